"""Projects whose server is built from a Dockerfile, on an image that is this machine's one static program."""

from __future__ import annotations

import gzip
import io
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from hatchlock.resolve.wanted import container_platforms
from support.engine_images import untag_all
from support.project import TrialProject
from support.registry import push
from support.unavailable import unavailable

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.web]
build = {build}
"""
PLAIN = 'FROM {base}\nRUN echo made > /made\nENTRYPOINT ["sh", "-c"]\nCMD ["cat /made"]\n'
RANDOM = PLAIN.replace("echo made", "cat /proc/sys/kernel/random/uuid")


@pytest.fixture(scope="session")
def busybox(registry: str) -> str:
    """Return `HOST/images/busybox:1` and its digest."""
    program = shutil.which("busybox")
    if program is None:
        unavailable("there is no busybox on this machine (`apt-get install busybox-static`)")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(program, "bin/busybox")
        for name in ("sh", "cat", "echo", "head", "ls", "mkdir", "rm", "wget"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    architecture = container_platforms([host_platform()])[0].partition("/")[2]
    layers = [gzip.compress(data.getvalue(), mtime=0)]
    env = ["PATH=/bin"]
    digest = push(registry, "images/busybox", "1", layers=layers, architecture=architecture, Env=env)
    return f"{registry}/images/busybox:1@{digest}"


def built_project(root: Path) -> Iterator[TrialProject]:
    """Yield a project with the server `web`, and take its images away afterwards."""
    name = f"built-{secrets.token_hex(4)}"
    made = TrialProject(root, MANIFEST.format(name=name, platform=host_platform(), build='"./docker"'), name=name)
    (made.directory / "docker").mkdir()
    yield made
    forget(made)


def write(project: TrialProject, text: str, **more: str) -> None:
    """Write the Dockerfile, and files beside it."""
    (project.directory / "docker" / "Dockerfile").write_text(text)
    for name, content in more.items():
        (project.directory / "docker" / name).write_text(content)


def tags(project: TrialProject) -> list[str]:
    """Return the images that the engine has of a project."""
    with Engine(project.env["DOCKER_HOST"]) as connection:
        return [tag for tag in connection.images() if tag.startswith(f"hatchlock/{project.name}/")]


def forget(project: TrialProject) -> None:
    """Take a project's images away."""
    if "DOCKER_HOST" not in project.env:
        return
    untag_all(project.env["DOCKER_HOST"], project.name)
