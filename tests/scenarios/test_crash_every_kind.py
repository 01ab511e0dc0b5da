"""`kill -9` before and after every step of an `apply` with every kind of resource, then the same command again: the world is
the one that it is without a kill, and nothing is left over."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from support.crash_world import APPLY, CrashProject, Record, Sweep
from support.dockerfiles import PLAIN
from support.engine_project import EngineProject
from support.index import Index, serving
from support.killed import KilledProject
from support.project import server_release

pytestmark = pytest.mark.engine

HEAD = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[indexes.pypi]
url = "{index}"

[registries."{registry}"]
plain-http = true
"""
ONE = """
[servers.process]
source = "pypi:tiny-server"
runtime = "process"
clients = ["claude-code", "cursor"]
sandbox.writable = ["/data"]
sandbox.reason = "keeps something"

[servers.assembled]
source = "pypi:tiny-server"
base = "oci:{base}"
clients = ["cursor"]
sandbox.writable = ["/data"]
sandbox.reason = "keeps something"

[servers.built]
build = "./docker"
"""
OTHER = """
[servers.process]
source = "pypi:other-server"
runtime = "process"
clients = ["cursor"]
sandbox.writable = ["/other"]
sandbox.reason = "keeps something"

[servers.assembled]
source = "pypi:other-server"
base = "oci:{base}"
clients = ["claude-code"]
sandbox.writable = ["/data", "/other"]
sandbox.reason = "keeps something"

[servers.more]
source = "pypi:tiny-server"
runtime = "process"
"""
STATES = {"one": HEAD + ONE, "other": HEAD + OTHER, "nothing": HEAD}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    wheels = tmp_path_factory.mktemp("wheels")
    with serving(server_release(wheels), server_release(wheels, name="other-server")) as served:
        yield served


@pytest.fixture(scope="module")
def project(  # noqa: PLR0917  fixtures are asked for by name
    tmp_path_factory: pytest.TempPathFactory,
    index: Index,
    engine: str,
    registry: str,
    base_image: str,
    busybox: str,
    held_base: None,
) -> Iterator[CrashProject]:
    """The project, with a manifest and a lock for each of its states, and nothing applied."""
    name = f"crash-{secrets.token_hex(4)}"
    made = CrashProject(tmp_path_factory.mktemp("everything"), name=name, DOCKER_HOST=engine)
    made.engine = engine
    made.strangers = frozenset(made.containers())
    (made.directory / "docker").mkdir()
    (made.directory / "docker" / "Dockerfile").write_text(PLAIN.format(base=busybox))
    facts = {"name": name, "platform": host_platform(), "index": index.url, "registry": registry, "base": base_image}
    for state, text in STATES.items():
        made.keep(state, text.format(**facts))
    yield made
    made.start_over()


@dataclass(frozen=True, kw_only=True)
class Calm:
    """The world in each state when nobody is killed, and how many lines the journal has on the way to it."""

    worlds: dict[str, dict[str, Any]]
    points: dict[str, int]


@pytest.fixture(scope="module")
def calm(project: CrashProject) -> Calm:
    """What is to be compared with."""
    worlds: dict[str, dict[str, Any]] = {}
    points: dict[str, int] = {}
    project.start_over()
    for state in STATES:
        project.declare(state)
        points[state] = project.points("after", *APPLY)
        worlds[state] = project.world()
        del worlds[state]["blobs"]  # all that was ever needed stays
        assert worlds[state]["plan"] == worlds[state]["problems"] == worlds[state]["left over"] == []
    kinds = {"environments", "images", "volumes", "directories", "active", "files of applications"}
    assert all(worlds["one"][kind] and worlds["one"][kind] != worlds["other"][kind] for kind in kinds)
    return Calm(worlds=worlds, points=points)


def around_steps(project: CrashProject, calm: Calm, chosen: Iterable[tuple[str, int]], record: Record) -> None:
    """Go from nothing to one, to the other and back to nothing, with a kill on the way to each."""
    sweep = Sweep(project)
    for mode, number in chosen:
        project.start_over()
        for state in STATES:
            project.declare(state)
            if number <= calm.points[state]:
                assert project.killed(mode, number, *APPLY)
            project.ok(*APPLY)
            sweep.compare(f"to {state}, killed {mode} event {number} of {calm.points[state]}", calm.worlds[state])
    sweep.end(record)


def test_killed_around_some_steps_of_every_kind_the_same_apply_converges(
    project: CrashProject, calm: Calm, record_property: Record
) -> None:
    around_steps(project, calm, [("after", 7)], record_property)


@pytest.mark.full
@pytest.mark.parametrize("first", range(1, 26, 5))
@pytest.mark.parametrize("mode", ["after", "before"])
def test_killed_around_any_step_of_every_kind_the_same_apply_converges(
    project: CrashProject, calm: Calm, mode: str, first: int, record_property: Record
) -> None:
    # two environments and images, three servers, volumes and entries: a line when it begins, and one when it is done
    assert max(calm.points.values()) < 26
    around_steps(project, calm, [(mode, number) for number in range(first, first + 5)], record_property)


@pytest.mark.parametrize(
    "number", [2, pytest.param(1, marks=pytest.mark.full), pytest.param(3, marks=pytest.mark.full)]
)
def test_killed_while_a_session_is_put_right_the_same_apply_does_it(
    docker_project: EngineProject, number: int, record_property: Record
) -> None:
    found = docker_project
    killed = KilledProject(found.project.root, name=found.project.name, **found.project.env)
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        right = found.plan()["steps"]
        for mode in ("before", "after"):
            found.engine.ask("POST", f"/containers/{container.id}/update", {"PidsLimit": 999})
            assert killed.killed(mode, number, *APPLY)
            killed.ok(*APPLY)
            assert found.plan()["steps"] == right == []
            assert found.inspect()["HostConfig"]["PidsLimit"] == 128
        assert killed.half_done() == []
        run.end()
    record_property("kills", killed.kills)
