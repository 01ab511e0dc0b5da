"""An applied project whose one server is a container on a given engine: Docker's and Podman's, asked the same questions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hatchlock.cli.main import main
from hatchlock.engines.api import Container, Engine
from hatchlock.engines.process import host_platform
from support.engine_images import untag_all
from support.links import links_record
from support.links_image import links_image
from support.project import TrialProject
from support.runs import BARE, Run

__all__ = ["EngineProject", "docker_project", "podman_project"]


@dataclass(frozen=True, kw_only=True)
class EngineProject:
    """The project, its engine, and which that is: "docker" or "podman"."""

    project: TrialProject
    engine: Engine
    kind: str

    def run(self) -> Run:
        """Return a session as an application begins it."""
        return Run(command=self.project.launch_command("echo"), env=BARE)

    def containers(self) -> list[Container]:
        return self.engine.list({"dev.hatchlock.project": self.project.name})

    def say(self, *words: str) -> str:
        """Run a command that changes nothing in this process, which is fast, and return its stdout."""
        out, before = io.StringIO(), dict(os.environ)
        os.environ.update(self.project.env)
        try:
            with contextlib.redirect_stdout(out):
                found = main(["-C", str(self.project.directory), *words])
        finally:
            os.environ.clear()
            os.environ.update(before)
        assert found == 0, out.getvalue()
        return out.getvalue()

    def plan(self) -> Any:
        """Return the plan's document."""
        return json.loads(self.say("plan", "--json"))

    def inspect(self) -> dict[str, Any]:
        """Return what the engine says of the one container that runs."""
        (container,) = self.containers()
        return self.engine.inspect(container.id)


_MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.echo]
source = "oci:docker-daemon:{image}"
runtime = "container"
command = {command}

[servers.echo.sandbox]
stop-grace = 0.3
mounts = [{mounts}]
reason = "the image is empty"
"""


@contextlib.contextmanager
def _applied(kind: str, address: str, directory: Path) -> Iterator[EngineProject]:
    name = f"trial-{secrets.token_hex(4)}"
    with links_image(address) as image:
        record = links_record(address, image, name)
        mounts = ", ".join(
            f"{{ source = {json.dumps(mount.source)}, target = {json.dumps(mount.target)} }}"
            for mount in record.sandbox.mounts
        )
        manifest = _MANIFEST.format(
            name=name, platform=host_platform(), image=image, command=json.dumps(record.argv), mounts=mounts
        )
        made = EngineProject(
            project=TrialProject(directory, manifest, name=name, DOCKER_HOST=address), engine=Engine(address), kind=kind
        )
        made.project.ok("lock")
        made.project.ok("apply", "--yes", "--no-probe")
        yield made
        for container in made.containers():
            made.engine.remove(container.id)
        untag_all(address, name)


@pytest.fixture(scope="session")
def docker_project(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProject]:
    """Yield the project on Docker, applied."""
    with _applied("docker", engine, tmp_path_factory.mktemp("docker")) as made:
        yield made


@pytest.fixture(scope="session")
def podman_project(podman: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProject]:
    """Yield the project on Podman, applied."""
    with _applied("podman", podman, tmp_path_factory.mktemp("podman")) as made:
        yield made
