"""`kill -9` at random instants of every command that changes something, one after the other as in a project's life; after each
the same command again, and the world is the one that it is without a kill."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from support.crash_world import APPLY, CONSENT, CrashProject, Record, Sweep
from support.index import Index, serving
from support.project import server_release

_START = 0.5
"""Seconds that a process takes to begin, which those that look at the world do without."""
HEAD = """\
[project]
name = "trial"
platforms = ["{platform}"]

[indexes.pypi]
url = "{index}"
"""
ONE = """
[servers.first]
source = "pypi:tiny-server"
runtime = "process"
clients = ["claude-code", "cursor"]
sandbox.writable = ["/data"]
sandbox.reason = "keeps something"
"""
OTHER = """
[servers.first]
source = "pypi:other-server"
runtime = "process"
clients = ["cursor"]

[servers.second]
source = "pypi:tiny-server"
runtime = "process"
clients = ["claude-code"]
"""


def _as_it_is(_: CrashProject) -> None:
    pass


def _without_a_lock(project: CrashProject) -> None:
    project.lock.unlink()
    for name in ("cache", "blobs"):
        shutil.rmtree(project.store / name, ignore_errors=True)


def _without_blobs(project: CrashProject) -> None:
    shutil.rmtree(project.store / "blobs", ignore_errors=True)


@dataclass(frozen=True)
class Command:
    """A command in the life of a project: what is declared, what is run, and what becomes of the world right before."""

    declared: str
    words: tuple[str, ...]
    before: Callable[[CrashProject], None] = _as_it_is


LIFE = (
    Command("one", ("lock",), _without_a_lock),
    Command("one", ("fetch",), _without_blobs),
    Command("one", APPLY),
    Command("other", APPLY, _without_blobs),
    Command("other", ("rollback", "1", *CONSENT)),
    Command("other", APPLY),
    Command("other", ("gc", "--yes", "--keep", "1")),
    Command("nothing", APPLY),
    Command("one", APPLY),
    Command("one", ("destroy", "--yes", "--allow-destructive")),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    wheels = tmp_path_factory.mktemp("wheels")
    with serving(server_release(wheels), server_release(wheels, name="other-server")) as served:
        yield served


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, index: Index) -> CrashProject:
    made = CrashProject(tmp_path_factory.mktemp("life"))
    for state, text in {"one": HEAD + ONE, "other": HEAD + OTHER, "nothing": HEAD}.items():
        made.keep(state, text.format(platform=host_platform(), index=index.url))
    return made


def live(project: CrashProject, kill: Callable[[int, Command], None], look: Callable[[int, Command], None]) -> None:
    """Go through the commands of a life, with kills before each."""
    project.start_over()
    declared = ""
    for number, command in enumerate(LIFE):
        if command.declared != declared:
            project.declare(command.declared)
            declared = command.declared
        command.before(project)
        kill(number, command)
        project.ok(*command.words)
        look(number, command)


def undisturbed(project: CrashProject) -> tuple[dict[int, dict[str, Any]], dict[int, float]]:
    """Return the world after each command, and how long that took."""
    worlds, seconds = {}, {}
    began = 0.0

    def begin(_: int, __: Command) -> None:
        nonlocal began
        began = time.monotonic()

    def look(number: int, command: Command) -> None:
        seconds[number] = time.monotonic() - began
        worlds[number] = project.world()
        assert worlds[number]["left over"] == [], command

    live(project, begin, look)
    assert all(worlds[number] != worlds[number + 1] for number in range(len(LIFE) - 1)), "each command does something"
    return worlds, seconds


def sweep_of_lives(project: CrashProject, rounds: int, seed: int, record: Record) -> None:
    worlds, seconds = undisturbed(project)
    sweep, chance = Sweep(project), random.Random(seed)
    moments: list[float] = []

    def kill(number: int, command: Command) -> None:
        moments[:] = []
        for _ in range(chance.choice((1, 1, 2))):
            moments.append(chance.uniform(0.1, seconds[number] + _START))
            if not project.killed_after(moments[-1], *command.words):
                return

    def look(number: int, command: Command) -> None:
        at = ", ".join(f"{moment:.2f} s" for moment in moments)
        sweep.compare(f"{' '.join(command.words)} (number {number}), killed after {at}", worlds[number])

    for _ in range(rounds):
        live(project, kill, look)
    sweep.end(record)


def test_killed_at_some_instants_each_command_converges(project: CrashProject, record_property: Record) -> None:
    sweep_of_lives(project, 1, 1, record_property)


@pytest.mark.full
def test_killed_at_random_instants_each_command_converges(project: CrashProject, record_property: Record) -> None:
    sweep_of_lives(project, 30, 2, record_property)
