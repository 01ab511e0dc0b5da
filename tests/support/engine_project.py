"""An applied project whose one server is a container on a given engine: Docker's and Podman's, asked the same questions."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Container, Engine
from hatchlock.engines.process import host_platform
from support.links import links_record
from support.links_image import links_image
from support.project import TrialProject
from support.runs import BARE, Run

__all__ = ["EngineProject", "engine_project"]


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


@pytest.fixture(scope="session", params=["docker", "podman"])
def engine_project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProject]:
    """Yield the project, applied."""
    kind: str = request.param
    address: str = request.getfixturevalue("engine" if kind == "docker" else kind)
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
        project = TrialProject(Path(tmp_path_factory.mktemp(kind)), manifest, name=name, DOCKER_HOST=address)
        project.ok("lock")
        project.ok("apply", "--yes")
        made = EngineProject(project=project, engine=Engine(address), kind=kind)
        yield made
        for container in made.containers():
            made.engine.remove(container.id)
        from support.engine_images import untag_all

        untag_all(address, name)
