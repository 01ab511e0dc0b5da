"""An image that is nearly empty: its programs are this machine's own, mounted read-only, so that no base image is needed."""

from __future__ import annotations

import contextlib
import io
import secrets
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker

from hatchlock.launch import Mount
from support.engine_images import remove_image

__all__ = ["OPEN", "links_image", "programs"]

_PROGRAMS = ("cat", "dash", "env", "id", "nsenter", "perl", "sh", "sleep", "true", "unshare")

OPEN = "/open"
"""A directory in it into which everybody could write."""


@contextlib.contextmanager
def links_image(engine: str, *changes: str) -> Iterator[str]:
    """Yield the tag of an image that holds nothing but the usual links into /usr; `changes` are lines of a Dockerfile."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, mode in (("sbin", 0o755), (OPEN.strip("/"), 0o777)):  # the engine puts its init into sbin
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, mode
            archive.addfile(directory)
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
    repository = f"hatchlock-tests/{secrets.token_hex(4)}"
    client = docker.DockerClient(base_url=engine)
    try:
        client.api.import_image_from_data(data.getvalue(), repository=repository, tag="links", changes=list(changes))
        # Podman gives it a tag and a host of its own
        (tag,) = (name for image in client.images.list() for name in image.tags if f"{repository}:" in name)
        yield tag
        remove_image(client, tag)
    finally:
        client.close()


def programs(*needed: str) -> tuple[Mount, ...]:
    """Return the mounts with which programs of this machine run in it: a few of /usr, and what else is needed.

    /usr as a whole is nothing that a server may be shown.
    """
    usr = Path("/usr")
    version = f"python3.{sys.version_info.minor}"
    paths = [
        *(usr / "bin" / name for name in (*_PROGRAMS, "node", version)),
        *(usr / "lib").glob("*-linux-gnu*"),
        *(usr / "lib").glob("ld-linux-*"),
        *(usr / "lib64", usr / "lib" / version),
        *(Path(path) for path in needed if path != "/usr"),
    ]
    return tuple(Mount(source=str(path.resolve()), target=str(path)) for path in dict.fromkeys(paths) if path.exists())
