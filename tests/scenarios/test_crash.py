"""`kill -9` at any instant of `apply` and `lock`, then the same command again: it converges, and nothing is edited by hand."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from support.crash_world import CrashProject, Record
from support.engine_images import untag_all
from support.index import Index, Release, serving
from support.project import server_release
from support.runs import wait_for
from support.wheels import make_wheel

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.one]
source = "pypi:tiny-server"
runtime = "process"
clients = ["claude-code", "cursor"]

[servers.two]
source = "pypi:other-server"
runtime = "process"
clients = ["cursor"]

[indexes.pypi]
url = "{index}"
"""
BOXED = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.boxed]
source = "pypi:tiny-server"
base = "oci:{base}"

[indexes.pypi]
url = "{index}"

[registries."{registry}"]
plain-http = true
"""
CURSOR = '{"mcpServers": {"theirs": {"command": "their-server"}}}\n'

APPLY = ("apply", "--yes", "--no-probe")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    wheels = tmp_path_factory.mktemp("wheels")
    with serving(server_release(wheels), server_release(wheels, name="other-server"), _slow(wheels)) as served:
        yield served


def _slow(directory: Path) -> Release:
    """A wheel that takes its time to be installed: its many modules are compiled."""
    body = "".join(f"def f{number}(x):\n    return [x, {{'k': x}}]\n" for number in range(400)).encode()
    files = {f"slow_server/m{number}.py": body for number in range(120)}
    code = b"def main():\n    pass\n"
    wheel = make_wheel(
        directory,
        name="slow_server",
        files={"slow_server/__init__.py": code, **files},
        entry_points="[console_scripts]\nslow-server = slow_server:main\n",
    )
    return Release(name="slow-server", version="1.0", body=wheel.read_bytes())


class Trial(CrashProject):
    """A locked project that is applied over and over from nothing, always at the same place."""

    def start_over(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.rmtree(self.user_home)
        (self.user_home / ".cursor").mkdir(parents=True)
        (self.user_home / ".cursor" / "mcp.json").write_text(CURSOR)

    def world(self) -> dict[str, object]:
        """Return what an apply is there for."""
        claude, cursor = self.user_home / ".claude.json", self.user_home / ".cursor" / "mcp.json"
        assert cursor.read_text().startswith(CURSOR[: CURSOR.index("}}")])
        return {
            "environments": self.environments(),
            "active": self.active(),
            "entries": [json.loads(path.read_bytes())["mcpServers"] for path in (claude, cursor)],
            "launcher": self.launcher.read_bytes(),
            "left over": self.half_done(),
            "journals": [path.name for path in self.store.glob("projects/*/journal.ndjson")],
            "plan": self.steps(),
        }


@pytest.fixture
def trial(tmp_path: Path, index: Index, record_property: Record) -> Trial:
    """A locked project of two process servers and three client entries."""
    project = Trial(tmp_path, MANIFEST.format(name="trial", platform=host_platform(), index=index.url))
    project.record = record_property
    project.ok("lock")
    return project


def converged(trial: Trial) -> dict[str, object]:
    trial.start_over()
    trial.ok(*APPLY)
    expected = trial.world()
    assert expected["plan"] == expected["journals"] == []
    assert len(trial.environments()) == len(trial.active()) == 2
    return expected


@pytest.mark.full
@pytest.mark.parametrize("mode", ["before", "after"])
def test_killed_around_each_step_the_same_apply_converges(trial: Trial, mode: str) -> None:
    expected = converged(trial)
    trial.start_over()
    points = trial.points(mode, *APPLY)
    assert points == 1 + 2 * 7  # the beginning; two environments, two servers, three entries
    for number in range(1, points + 1):
        trial.start_over()
        assert trial.killed(mode, number, *APPLY)
        trial.ok(*APPLY)
        assert trial.world() == expected, f"{mode} event {number}"


def sweep(trial: Trial, kills: int) -> None:
    expected = converged(trial)
    trial.start_over()
    points = trial.points("effects", *APPLY)
    step = max(1, points // kills)
    reached = 0
    for number in range(1, points + 1, step):
        trial.start_over()
        reached += trial.killed("effects", number, *APPLY)
        trial.ok(*APPLY)
        assert trial.world() == expected, f"effect {number} of {points}"
    assert reached >= 0.8 * len(range(1, points + 1, step))  # threads may share their work out otherwise


def test_killed_before_some_of_its_effects_the_same_apply_converges(trial: Trial) -> None:
    sweep(trial, 8)


@pytest.mark.full
def test_killed_before_many_of_its_effects_the_same_apply_converges(trial: Trial) -> None:
    sweep(trial, 150)


@pytest.mark.full
def test_killed_at_random_instants_the_same_apply_converges(trial: Trial) -> None:
    expected = converged(trial)
    moments = random.Random(1)
    for _ in range(60):
        trial.start_over()
        while trial.killed_after(moments.uniform(0.05, 1.0), *APPLY):
            pass
        assert trial.world() == expected


@pytest.mark.parametrize("moment", [0.0, 0.2])
def test_killed_while_a_program_works_for_it_the_next_apply_does_not_get_in_its_way(
    tmp_path: Path, index: Index, moment: float
) -> None:
    text = MANIFEST.format(name="trial", platform=host_platform(), index=index.url)
    trial = Trial(tmp_path, text.replace("tiny-server", "slow-server"))
    trial.ok("lock")
    process = subprocess.Popen(
        trial.command(*APPLY),
        cwd=trial.directory,
        env=trial.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    installed = "envs/*/lib/python*/site-packages/slow_server/m100.py"
    assert wait_for(lambda: list(trial.store.glob(installed)))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(moment)
    process.kill()
    process.wait()
    assert len(trial.environments()) < 2
    trial.ok(*APPLY)
    assert len(trial.environments()) == 2
    assert trial.half_done() == []
    [environment] = {path.parents[4] for path in trial.store.glob(installed)}
    assert len(list(environment.glob("lib/python*/site-packages/slow_server/__pycache__/*.pyc"))) == 121


def lock_sweep(trial: Trial, kill: Any, count: int) -> None:
    """Kill `lock` at `count` points, over an older lock; it is the old one or the new one, and the next one is new."""
    old = trial.lock.read_bytes()
    trial.edit("[servers.two]", '[servers.two]\nargs = ["--new"]')
    trial.ok("lock")
    new = trial.lock.read_bytes()
    assert old != new
    for number in range(count):
        trial.lock.write_bytes(old)
        shutil.rmtree(trial.store / "cache", ignore_errors=True)
        kill(number)
        assert trial.lock.read_bytes() in {old, new}
        trial.ok("lock")
        assert trial.lock.read_bytes() == new


def lock_effects(trial: Trial) -> int:
    shutil.rmtree(trial.store)
    return trial.points("effects", "lock", "--upgrade")


def test_killed_before_some_of_its_effects_lock_leaves_the_old_one_or_the_new_one(trial: Trial) -> None:
    points = lock_effects(trial)
    chosen = [1, points // 3, 2 * points // 3, points - 2, points - 1, points]
    lock_sweep(trial, lambda number: trial.killed("effects", chosen[number], "lock", "--upgrade"), len(chosen))


@pytest.mark.full
def test_killed_before_many_of_its_effects_lock_leaves_the_old_one_or_the_new_one(trial: Trial) -> None:
    points = lock_effects(trial)
    step = max(1, points // 100)
    lock_sweep(trial, lambda number: trial.killed("effects", number * step + 1, "lock", "--upgrade"), points // step)


@pytest.mark.full
def test_killed_at_random_instants_lock_leaves_the_old_one_or_the_new_one(trial: Trial) -> None:
    moments = random.Random(2)
    lock_sweep(trial, lambda _: trial.killed_after(moments.uniform(0.05, 0.9), "lock", "--upgrade"), 50)


@pytest.fixture
def boxed(  # noqa: PLR0917  fixtures are asked for by name
    tmp_path: Path, index: Index, engine: str, registry: str, base_image: str, record_property: Record
) -> Iterator[Trial]:
    """A locked project of one container server; its images are gone at the end."""
    name = f"crash-{secrets.token_hex(4)}"
    text = BOXED.format(name=name, platform=host_platform(), index=index.url, base=base_image, registry=registry)
    project = Trial(tmp_path, text, name=name, DOCKER_HOST=engine)
    project.record = record_property
    project.ok("lock")
    yield project
    untag_all(engine, name)


def images(engine: str, name: str) -> dict[str, str]:
    with Engine(engine) as connection:
        return {tag: item.id for tag, item in connection.images().items() if tag.startswith(f"hatchlock/{name}/")}


def image_sweep(boxed: Trial, engine: str, kills: Any) -> None:
    boxed.ok(*APPLY)
    expected = (boxed.active(), images(engine, boxed.name))
    assert len(expected[1]) == 2, "the pinned one, and the one with bytecode"
    for kill in kills:
        shutil.rmtree(boxed.store / "projects")
        untag_all(engine, boxed.name)
        kill()
        boxed.ok(*APPLY)
        assert (boxed.active(), images(engine, boxed.name), boxed.steps()) == (*expected, [])


@pytest.mark.engine
@pytest.mark.full
def test_killed_around_the_making_of_an_image_the_same_apply_converges(boxed: Trial, engine: str) -> None:
    points = [("after", 2), ("before", 3), ("after", 3)]  # the image's step began, was done, was noted as done
    image_sweep(boxed, engine, [lambda point=point: boxed.killed(*point, *APPLY) for point in points])


@pytest.mark.engine
@pytest.mark.full
def test_killed_at_random_instants_of_the_making_of_an_image_the_same_apply_converges(
    boxed: Trial, engine: str
) -> None:
    moments = random.Random(3)
    image_sweep(boxed, engine, [lambda: boxed.killed_after(moments.uniform(0.1, 1.5), *APPLY) for _ in range(40)])
