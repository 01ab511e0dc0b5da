"""`pin` of a server that runs in a container."""

from __future__ import annotations

import json

import pytest

from hatchlock.lock.store import read_lock
from support.engine_project import EngineProject

pytestmark = pytest.mark.engine

APPLY = ("apply", "--yes", "--no-probe")


def test_a_container_is_held_to_its_pins_and_let_go_again(docker_project: EngineProject) -> None:
    project = docker_project.project
    before = project.active()
    project.ok("pin")
    (surface,) = read_lock(project.lock).surfaces
    assert "echo" in [tool.name for tool in surface.tools]
    project.ok(*APPLY)
    with docker_project.run() as run:
        run.hello()
        assert run.call("echo", text="täst") == "täst"
        run.end()
    server = json.loads(docker_project.say("status", "--json"))["servers"][0]
    assert server["surface"]["tools"] == len(surface.tools)
    project.ok("pin", "--remove", "echo")
    project.ok(*APPLY)
    assert project.active() == before
