"""Servers that stay, as containers, on both engines: reached though they have no network, kept, and gone with their keeper."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Engine
from hatchlock.launch import Endpoint, LaunchRecord, Mount, Relay, Sandbox
from hatchlock.resources.container import ContainerResource
from hatchlock.resources.keeping import stop_keeper
from hatchlock.state.project import ProjectState
from hatchlock.usecases.gc_networks import networks_of, remove_network
from support.ports import free_port
from support.python_image import python_image
from support.runs import BARE, SERVERS, Run, processes_with, run_command, wait_for
from support.standing import ask_tool, ended, kept, started

pytestmark = pytest.mark.engine
only_docker = pytest.mark.parametrize("image", ["engine"], indirect=True)
"""For what is the same on Podman."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """An engine with an image that has a Python, and a project of its own."""

    engine: str
    image: str
    interpreter: str
    project: str
    home: Path

    @property
    def root(self) -> Path:
        return self.home / "projects" / self.project

    def record(self, *network: str, **fields: Any) -> LaunchRecord:
        mounts = (Mount(source=str(SERVERS), target="/servers"),)
        values: dict[str, Any] = {
            "project": self.project,
            "server": "web",
            "runtime": "container",
            "argv": (self.interpreter, "-I", "-S", "/servers/web.py"),
            "key": "0" * 64,
            "sandbox": Sandbox(network=network or ("none",), stop_grace=0.5, reason="tried", mounts=mounts),
            "image": self.image,
            "engine": self.engine,
            "directory": "/",
            "relay": None if network == ("internet",) else self.relay,
            "endpoint": Endpoint(host_port=free_port(), port=8080),
        }
        return LaunchRecord(**{**values, **fields})

    @property
    def relay(self) -> Relay:
        return Relay(image=self.image, interpreter=self.interpreter, language="python")

    def start(self, record: LaunchRecord) -> str:
        started(self.home, record, DOCKER_HOST=self.engine)
        return kept(self.root).url

    def containers(self) -> list[str]:
        found = Engine(self.engine).list({"dev.hatchlock.project": self.project})
        return sorted(item.name for item in found)

    def changed(self) -> list[Any]:
        resource = ContainerResource(project=self.project, engine=self.engine, state=ProjectState(self.root))
        return [*resource.observe(), *resource.unknown]


@pytest.fixture(params=["engine", "podman"], scope="module")
def image(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, str]]:
    address: str = request.getfixturevalue(request.param)
    with python_image(address) as (tag, interpreter):
        yield address, tag, interpreter


@pytest.fixture
def place(image: tuple[str, str, str], tmp_path: Path) -> Iterator[Place]:
    engine, tag, interpreter = image
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    found = Place(engine=engine, image=tag, interpreter=interpreter, project=f"trial-{secrets.token_hex(4)}", home=home)
    with ended(home):
        yield found
    left = found.containers()
    for name in left:
        Engine(engine).remove(name)
    for name in networks_of(found.project, engine):
        remove_network(engine, name)
    assert left == []


def test_it_is_reached_without_a_network_and_is_as_its_record_says(place: Place) -> None:
    """Kept by its keeper, reached by a URL and by run; its containers are no drift; killed, it comes back; stopped, it is gone."""
    url = place.start(place.record())
    assert ask_tool(url, "where", "198.18.0.1:80") == "OSError"  # no packet leaves: there is no route
    assert len(place.containers()) == 2
    assert place.changed() == []
    with Run(command=run_command(place.home, "web", place.project), env=BARE) as run:
        assert run.hello()["serverInfo"]["name"] == "web"
        run.end()

    (server,) = [name for name in place.containers() if not name.endswith("-relay")]
    Engine(place.engine).kill(server)
    assert kept(place.root, restarts=1, health="healthy").url == url
    assert server not in place.containers()
    assert stop_keeper(place.root, "web", grace=0.5)
    assert place.containers() == []


@only_docker
def test_with_the_keeper_goes_everything(place: Place) -> None:
    place.start(place.record("localhost:1"))
    os.kill(kept(place.root).pid, signal.SIGKILL)

    assert wait_for(lambda: place.containers() == [] and processes_with(str(place.home)) == [])


@only_docker
def test_on_the_bridge_its_engine_publishes_it(place: Place) -> None:
    url = place.start(place.record("internet"))
    assert ask_tool(url, "echo", "here") == "here"
    assert place.changed() == []
    (name,) = place.containers()
    bindings = Engine(place.engine).inspect(name)["HostConfig"]["PortBindings"]
    assert [item["HostIp"] for item in bindings["8080/tcp"]] == ["127.0.0.1"]
