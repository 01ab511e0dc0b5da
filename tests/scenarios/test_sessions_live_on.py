"""Sessions live through applies, rollbacks and gc of their own project untouched; new ones get what is current."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from hatchlock.store.receipts import is_used
from support.cats import CatProject
from support.engine_images import untag_all
from support.index import Index, serving
from support.links import links_record
from support.links_image import links_image
from support.project import TrialProject, server_release
from support.runs import BARE, Run
from support.unavailable import need_isolation

PROCESS = """\
[project]
name = "trial"
platforms = ["{platform}"]

[indexes.pypi]
url = "{index}"

[servers.tiny]
source = "pypi:tiny-server==1.0"
runtime = "process"
"""
CONTAINER = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.tiny]
source = "oci:docker-daemon:{image}"
runtime = "container"
command = {command}

[servers.tiny.sandbox]
stop-grace = 0.3
mounts = [{mounts}]
reason = "the image is empty"
"""
APPLY = ("apply", "--yes", "--no-probe", "--allow-mass-removal")
GC = ("gc", "--yes", "--keep", "1")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    need_isolation()
    wheels = tmp_path_factory.mktemp("wheels")
    with serving(*(server_release(wheels, version=f"{number}.0") for number in (1, 2))) as served:
        yield served


def begun(project: TrialProject, stack: ExitStack) -> Run:
    run = stack.enter_context(Run(command=project.launch_command("tiny"), env=BARE))
    run.hello()
    return run


def applied(project: TrialProject, old: str = "", new: str = "") -> None:
    project.write(project.manifest.read_text().replace(old, new))
    project.ok("lock")
    project.ok(*APPLY)


def record(project: TrialProject) -> Any:
    digest = project.active()["tiny"]
    return json.loads((project.store / "projects" / project.name / "launch" / f"{digest}.json").read_bytes())


def without_server(project: TrialProject) -> None:
    text = project.manifest.read_text()
    project.write(text[: text.index("[servers.tiny]")])
    project.ok("lock")
    project.ok(*APPLY)
    assert project.active() == {}


def test_processes_live_on(tmp_path: Path, index: Index) -> None:
    project = CatProject(tmp_path, PROCESS.format(platform=host_platform(), index=index.url))
    applied(project)
    first = project.store / "envs" / record(project)["key"]
    with ExitStack() as stack:
        sessions = [begun(project, stack)]
        applied(project, "==1.0", "==2.0")
        second = project.store / "envs" / record(project)["key"]
        assert (is_used(first), is_used(second)) == (True, False)
        sessions.append(begun(project, stack))
        assert is_used(second), "a new session has what is current"
        project.ok("rollback", "--yes")
        assert record(project)["key"] == first.name
        sessions.append(begun(project, stack))
        without_server(project)
        kept = {item["name"] for item in project.ok(*GC, "--json").document["kept"]}
        assert kept == {f"envs/{first.name}", f"envs/{second.name}"}
        for run, tree in zip(sessions, (first, second, first), strict=True):
            assert run.call("attempt", trick="read", argument=f"{tree}/pyvenv.cfg").startswith("home = ")
        pids = [run.process.pid for run in sessions]
        assert [run.process.poll() for run in sessions] == [None] * len(pids)
        for run in sessions:
            assert run.end()[0] == 0
    assert {item["name"] for item in project.ok(*GC, "--json").document["deleted"]} == kept


@pytest.mark.engine
def test_containers_live_on(tmp_path: Path, engine: str) -> None:
    name = f"trial-{secrets.token_hex(4)}"
    api = Engine(engine)
    with ExitStack() as stack:
        images = [stack.enter_context(links_image(engine, f"LABEL which={number}")) for number in (1, 2)]
        stack.callback(untag_all, engine, name)
        launch = links_record(engine, images[0], name)
        mounts = ", ".join(
            f"{{ source = {json.dumps(mount.source)}, target = {json.dumps(mount.target)} }}"
            for mount in launch.sandbox.mounts
        )
        text = CONTAINER.format(
            name=name, platform=host_platform(), image=images[0], command=json.dumps(launch.argv), mounts=mounts
        )
        project = CatProject(tmp_path, text, name=name, DOCKER_HOST=engine)

        def used() -> list[str]:
            """Return the images of the containers that run, each as its tag names it now."""
            return sorted(item.image for item in api.list({"dev.hatchlock.project": name}))

        applied(project)
        sessions = [begun(project, stack)]
        (first,) = used()
        applied(project, images[0], images[1])
        assert used() == [first]
        sessions.append(begun(project, stack))
        second = next(image for image in used() if image != first)
        before = {item.id for item in api.list({"dev.hatchlock.project": name})}
        project.ok("rollback", "--yes")
        assert [step for step in project.steps() if "delete" in step] == []
        without_server(project)
        document = project.ok(*GC, "--json").document
        assert [item["kind"] for item in document["deleted"] if item["kind"] in {"container", "image"}] == []
        assert len([item for item in document["kept"] if "uses it" in item["why"]]) == 2
        assert {item.id for item in api.list({"dev.hatchlock.project": name})} == before
        assert used() == sorted([first, second])
        for run in sessions:
            assert run.call("echo", text="still here") == "still here"
            assert run.end()[0] == 0
        gone = [item["kind"] for item in project.ok(*GC, "--json").document["deleted"]]
        assert gone.count("image") == 2
