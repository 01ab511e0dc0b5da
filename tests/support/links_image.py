"""An image that is nearly empty: its programs are this machine's own, mounted read-only, so that no base image is needed."""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
from collections.abc import Iterator

import docker

__all__ = ["OPEN", "links_image"]

OPEN = "/open"
"""A directory in it into which everybody could write."""


@contextlib.contextmanager
def links_image(engine: str) -> Iterator[str]:
    """Yield the tag of an image that holds nothing but the usual links into /usr."""
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
    tag = f"hatchlock-tests/{secrets.token_hex(4)}:links"
    client = docker.DockerClient(base_url=engine)
    try:
        client.api.import_image_from_data(data.getvalue(), repository=tag.partition(":")[0], tag="links")
        yield tag
        client.images.remove(tag)
    finally:
        client.close()
