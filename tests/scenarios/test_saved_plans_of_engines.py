"""Saved plans and engines: another engine at the same address is another engine; an image is made anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.engine_project import EngineProject

pytestmark = pytest.mark.engine

PART = ("--only", "image:echo", "--replace", "image:echo")


def test_a_plan_is_bound_to_its_engine_and_not_to_where_that_is(
    docker_project: EngineProject, podman: str, tmp_path: Path
) -> None:
    project = docker_project.project
    socket, saved = tmp_path / "sock", tmp_path / "plan.json"
    socket.symlink_to(project.env["DOCKER_HOST"].removeprefix("unix://"))
    here = {"DOCKER_HOST": f"unix://{socket}"}
    project.ok("plan", *PART, "--out", str(saved), env=here)
    assert json.loads(saved.read_bytes())["bindings"]["engine"]
    assert project.ok("show", str(saved), env=here).err == ""
    socket.unlink()
    socket.symlink_to(podman.removeprefix("unix://"))
    done = project.fails("apply", str(saved), env=here)
    assert "the plan is stale: the engine changed since it was made; nothing was done" in done.err
    socket.unlink()
    gone = project.ok("show", str(saved), env=here)
    assert "it cannot be applied any more" in gone.err
    assert gone.out.startswith("± image:echo  to be made anew [engine]")


@pytest.mark.parametrize("kind", ["docker_project", "podman_project"])
def test_an_image_is_made_anew_and_its_sessions_go_on(kind: str, request: pytest.FixtureRequest) -> None:
    found: EngineProject = request.getfixturevalue(kind)
    with found.run() as run:
        run.hello()
        done = found.project.ok("apply", *PART, "--yes", "--no-probe")
        assert "Applied: 1 done" in done.out
        assert len(found.containers()) == 1
        run.end()
    assert found.plan()["steps"] == []
