"""Runs that are killed in random ways, at random moments: nothing is left of any, and another run of the same server lives on."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import check_isolation
from hatchlock.launch import LaunchRecord, Sandbox
from support.links_image import links_image, programs
from support.orphans import Place, children_of, groups_of, strike_all
from support.runs import BARE, Run, apply_records, python_record, run_command, wait_for
from support.unavailable import unavailable

GRACE = 0.3
PATIENCE = 20.0
AT_ONCE = 12
SANDBOX = Sandbox(stop_grace=GRACE)


def place(tmp_path: Path, record: LaunchRecord, tag: str, **more: object) -> Place:
    home, scratch = tmp_path / "home", tmp_path / "tmp"
    for directory in (home, scratch):
        directory.mkdir(mode=0o700)
    apply_records(home, [record])
    env = {**BARE, "TMPDIR": str(scratch)}
    return Place(home=home, tag=tag, env=env, command=run_command(home, project=record.project), **more)  # type: ignore[arg-type]


@pytest.fixture
def tag() -> str:
    return f"tag-{secrets.token_hex(6)}"


@pytest.fixture
def process(tmp_path: Path, tag: str) -> Place:
    if problem := check_isolation():
        unavailable(problem)
    return place(tmp_path, python_record("--stderr", tag, sandbox=SANDBOX), tag)


@pytest.fixture
def container(tmp_path: Path, tag: str, engine: str) -> Iterator[Place]:
    project = f"trial-{secrets.token_hex(4)}"
    with links_image(engine) as image:
        base = python_record("--stderr", tag, project=project)
        sandbox = replace(SANDBOX, mounts=programs(*base.read_only_paths), reason="the image is empty")
        record = replace(base, runtime="container", read_only_paths=(), image=image, engine=engine, sandbox=sandbox)

        def containers() -> list[str]:
            return [item.name for item in Engine(engine).list({"dev.hatchlock.project": project})]

        yield place(tmp_path, record, tag, containers=containers)


def servers_of(run: int) -> Sequence[int]:
    """Return bubblewrap's process, or the watchdog where there is none: whoever started the server."""
    return [pid for pid in children_of(run) if b"bwrap" in Path(f"/proc/{pid}/comm").read_bytes()]


def killed(place: Place, number: int, record_property: Callable[[str, object], None]) -> None:
    seed = secrets.randbelow(10**6)
    chosen = random.Random(seed)
    with Run(command=place.command, env=place.env) as bystander:
        bystander.hello()
        before = place.traces()
        left = number
        while left:
            pids = strike_all(place, chosen, min(left, AT_ONCE), longest=1.5, servers=servers_of)
            assert wait_for(lambda: place.traces() == before, PATIENCE), (seed, before, place.traces())
            assert wait_for(lambda: list(groups_of(pids)) == [], PATIENCE), (seed, list(groups_of(pids)))  # noqa: B023
            left -= len(pids)
        assert bystander.call("echo", text="still here") == "still here"
        assert bystander.end()[0] == 0
    assert wait_for(lambda: not any(place.traces().values())), place.traces()
    record_property("runs killed, nothing left", number)


@pytest.mark.parametrize("number", [AT_ONCE, pytest.param(100, marks=pytest.mark.full)])
def test_of_processes_nothing_is_left(
    process: Place, number: int, record_property: Callable[[str, object], None]
) -> None:
    killed(process, number, record_property)


@pytest.mark.engine
@pytest.mark.parametrize("number", [AT_ONCE, pytest.param(100, marks=pytest.mark.full)])
def test_of_containers_nothing_is_left(
    container: Place, number: int, record_property: Callable[[str, object], None]
) -> None:
    killed(container, number, record_property)
