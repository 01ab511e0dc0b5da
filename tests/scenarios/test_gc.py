"""`gc`: what nobody uses goes, and nothing else; a kill at any instant leaves nothing that has to be mended by hand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.state.lease import lease
from hatchlock.store.receipts import is_used
from support.cats import CatProject, start
from support.index import Index, serving
from support.killed import KilledProject
from support.project import TrialProject, server_release, snapshot
from support.runs import BARE, Run, wait_for
from support.terminal import at_terminal
from support.unavailable import need_isolation

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[defaults]
runtime = "process"

[indexes.pypi]
url = "{index}"

[servers.tiny]
source = "pypi:tiny-server==1.0"
"""
TOOLS = """
[environments.tools]
python = "3.11"
dependencies = ["pypi:tool"]
"""
APPLY = ("apply", "--yes", "--no-probe", "--allow-mass-removal")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    need_isolation()
    wheels = tmp_path_factory.mktemp("wheels")
    versions = [server_release(wheels, version=f"{number}.0") for number in (1, 2, 3)]
    with serving(*versions, server_release(wheels, name="tool")) as served:
        yield served


class GcProject(CatProject, KilledProject):
    """Runs commands inside this process, but for those that are killed."""


@pytest.fixture
def project(tmp_path: Path, index: Index) -> GcProject:
    return make(tmp_path, index)


def make(root: Path, index: Index, name: str = "trial", store: Path | None = None) -> GcProject:
    text = MANIFEST.format(name=name, platform=host_platform(), index=index.url)
    made = GcProject(root, text, name=name, HATCHLOCK_HOME=str(store or root / "store"))
    made.store = store or made.store
    return made


def apply(project: TrialProject) -> str:
    """Lock and apply, and return the server's environment."""
    project.ok("lock")
    project.ok(*APPLY)
    return environment(project)


def apply_version(project: TrialProject, number: int) -> str:
    text = project.manifest.read_text()
    old = text[text.index("==") : text.index("==") + len("==1.0")]
    project.write(text.replace(old, f"=={number}.0"))
    return apply(project)


def environment(project: TrialProject) -> str:
    return str(record(project)["key"])


def record(project: TrialProject) -> Any:
    launch = project.store / "projects" / project.name / "launch"
    return json.loads((launch / f"{project.active()['tiny']}.json").read_bytes())


def generations(project: TrialProject) -> list[str]:
    return sorted(path.name for path in (project.store / "projects" / project.name / "generations").iterdir())


def deleted(project: TrialProject, *words: str) -> list[tuple[str, str]]:
    document = project.ok("gc", *words, "--json").document
    assert document["format_version"] == 1
    return [(item["kind"], item["name"]) for item in document["deleted"]]


def test_what_only_old_generations_use_goes_and_the_last_two_stay(project: GcProject) -> None:
    first, second, third = (apply_version(project, number) for number in (1, 2, 3))
    assert len({first, second, third}) == 3
    expected = [("generation", "1"), ("environment", f"envs/{first}")]
    assert deleted(project, "--dry-run") == expected
    assert project.environments() == sorted({first, second, third})
    assert deleted(project, "--yes") == expected
    assert project.environments() == sorted({second, third})
    assert (generations(project), project.steps()) == (["2", "3"], [])
    launch = project.store / "projects" / "trial" / "launch"
    assert len(list(launch.iterdir())) == 2
    assert project.ok("gc", "--yes").out == "nothing to delete\n"
    assert deleted(project, "--yes", "--keep", "1") == [("generation", "2"), ("environment", f"envs/{second}")]
    assert project.tools("tiny")
    assert apply_version(project, 1) == first  # it is made again from the store
    assert deleted(project, "--dry-run", "--keep", "9") == []


def test_text_says_what_goes_and_how_much(project: GcProject) -> None:
    first = apply_version(project, 1)
    apply_version(project, 2)
    shown = project.ok("gc", "--keep", "1", "--dry-run").out.splitlines()
    assert shown[0] == "would be deleted:"
    assert shown[1].split() == ["-", "generation", "1"]
    assert shown[2].split()[:3] == ["-", "environment", f"envs/{first}"]
    assert shown[3].endswith("B of the store")
    assert "would be" not in project.ok("gc", "--keep", "1", "--yes").out


def test_without_a_terminal_nothing_is_done_and_on_one_it_is_asked(project: GcProject) -> None:
    apply_version(project, 1)
    apply_version(project, 2)
    before = project.environments()
    for words in (("--keep", "1"), ("--keep", "1", "--json")):
        assert project.run("gc", *words).status == 3
    unasked = project.fails("gc", "--keep", "1", status=3).err
    assert unasked.startswith("would be deleted:\n  - generation")
    assert unasked.index("- environment") < unasked.index("error: there is no terminal to ask on")
    command, env = project.command("gc", "--keep", "1"), {**project.env, "CI": ""}
    refused = at_terminal(command, [("Delete this? [y/N]", "n")], cwd=project.directory, env=env)
    assert (refused.status, project.environments()) == (3, before)
    done = at_terminal(command, [("Delete this? [y/N]", "y")], cwd=project.directory, env=env)
    assert (done.status, "- generation" in done.shown, len(project.environments())) == (0, True, 1)


def test_what_a_running_server_was_started_from_stays_until_it_ends(project: GcProject) -> None:
    first = apply_version(project, 1)
    with Run(command=project.launch_command("tiny"), env=BARE) as run:
        run.hello()
        apply_version(project, 2)
        kept = [{"name": f"envs/{first}", "why": "a server that runs uses it"}]
        for words in (["--dry-run"], ["--yes"]):
            document = project.ok("gc", "--keep", "1", *words, "--json").document
            assert document["kept"] == kept
            assert f"envs/{first}" not in [item["name"] for item in document["deleted"]]
        assert run.call("attempt", trick="read", argument=f"{project.store}/envs/{first}/pyvenv.cfg")
        records = project.store / "projects" / "trial" / "launch"
        assert len(list(records.iterdir())) == 2, "what it was started from can still be looked up"
        run.end()
    assert deleted(project, "--yes", "--keep", "1") == [("environment", f"envs/{first}")]


def test_a_command_in_an_environment_holds_it_too(project: GcProject) -> None:
    project.write(project.manifest.read_text() + TOOLS)
    apply(project)
    tools = next(name for name in project.environments() if name != environment(project))
    tree = project.store / "envs" / tools
    with start(project, "exec", "env:tools", "--", "/bin/sleep", "60") as command:
        assert wait_for(lambda: is_used(tree))
        project.edit(TOOLS, "")
        apply_version(project, 2)
        document = project.ok("gc", "--keep", "1", "--yes", "--json").document
        assert {"name": f"envs/{tools}", "why": "a server that runs uses it"} in document["kept"]
        assert tree.exists()
        command.kill()
    assert deleted(project, "--yes", "--keep", "1") == [("environment", f"envs/{tools}")]


def test_an_environment_that_no_server_uses_stays_while_a_generation_has_it(project: GcProject, index: Index) -> None:
    project.write(project.manifest.read_text() + TOOLS)
    apply(project)
    both = project.environments()
    other = make(project.root / "other", index, "other", project.store)
    apply_version(other, 2)
    apply_version(other, 3)
    deleted(other, "--yes", "--keep", "1")
    assert set(both) < set(project.environments())
    project.lock.unlink()  # then only the generation says what it has
    assert deleted(project, "--yes", "--keep", "1") == []
    assert set(both) < set(project.environments())


def test_what_another_project_of_the_store_uses_stays(project: GcProject, index: Index) -> None:
    first = apply_version(project, 1)
    other = make(project.root / "other", index, "other", project.store)
    assert apply_version(other, 1) == first
    second = apply_version(project, 2)
    assert deleted(project, "--yes", "--keep", "1") == [("generation", "1")]
    assert project.environments() == sorted({first, second})
    assert generations(other) == ["1"]
    assert (other.steps(), other.tools("tiny") != []) == ([], True)


def test_what_the_lock_wants_is_no_garbage_before_its_apply_has_ended(project: GcProject) -> None:
    apply_version(project, 1)
    project.edit("==1.0", "==2.0")
    project.ok("lock")
    step = next(
        number for number in range(2, 9) if project.killed("after", number, *APPLY) and project.environments()[1:]
    )
    assert step
    assert deleted(project, "--dry-run") == []


def test_leftovers_of_killed_commands_go(project: GcProject) -> None:
    apply(project)
    state = project.store / "projects" / "trial"
    half = project.store / "envs" / ("0" * 20)
    for directory in (half / "bin", half.with_name(".build-" + "0" * 20), state / "generations" / ".7.part"):
        directory.mkdir(parents=True)
        (directory / "file").write_text("half")
    found = deleted(project, "--yes")
    assert found == [
        ("unfinished", f"envs/.build-{'0' * 20}"),
        ("unfinished", f"envs/{'0' * 20}"),
        ("unfinished", "projects/trial/generations/.7.part"),
    ]
    assert (project.half_done(), project.steps()) == ([], [])


def test_what_was_not_shown_stays(project: GcProject, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, later = (project.store / "envs" / (digit * 20) for digit in "12")
    for directory in (project.store, shown.parent, shown):
        directory.mkdir(mode=0o700)
    monkeypatch.setattr("hatchlock.usecases.consent.check_agreed", lambda **_: later.mkdir())
    assert deleted(project, "--yes") == [("unfinished", f"envs/{shown.name}")]
    assert later.is_dir()


def test_while_an_apply_runs_nothing_goes_and_a_first_apply_waits_for_gc(project: GcProject, index: Index) -> None:
    apply_version(project, 1)
    apply_version(project, 2)
    held = project.store / "projects" / "trial" / "lease.lock"
    with lease(held, what="the project 'trial'", purpose="apply", timeout=0):
        done = project.fails("gc", "--keep", "1", "--yes", "--lock-timeout", "0")
        assert "is held by `apply`" in done.err
    newcomers = project.store / "locks" / "projects.lock"
    other = make(project.root / "other", index, "other", project.store)
    other.ok("lock")
    with lease(newcomers, what="the store", purpose="gc", timeout=0):
        assert "is held by `gc`" in other.fails(*APPLY, "--lock-timeout", "0").err
        project.ok(*APPLY, "--lock-timeout", "0")
    other.ok(*APPLY)


def test_a_project_that_is_bound_elsewhere_is_refused(project: GcProject) -> None:
    apply_version(project, 1)
    apply_version(project, 2)
    copy = project.root / "copy"
    shutil.copytree(project.directory, copy)
    assert "belongs to" in project.fails("-C", str(copy), "gc", "--yes", "--keep", "1").err
    assert generations(project) == ["1", "2"]


def test_a_launch_record_that_cannot_be_read_stops_it(project: GcProject) -> None:
    apply_version(project, 1)
    apply_version(project, 2)
    path = project.store / "projects" / "trial" / "launch" / f"{project.active()['tiny']}.json"
    path.write_text("{}")
    assert str(path) in project.fails("gc", "--yes", "--keep", "1").err
    assert len(project.environments()) == 2


@pytest.mark.parametrize("words", [["--keep", "0"], ["--keep", "-1"], ["--keep", "all"], ["everything"]])
def test_what_makes_no_sense_is_wrong_usage(project: GcProject, words: list[str]) -> None:
    project.fails("gc", *words, status=64)


def kill_everywhere(project: GcProject, points: list[int]) -> None:
    """From the same state each time: kill at an instant, then the same command ends the work, and nothing is left."""
    saved = project.root / "saved"
    shutil.copytree(project.store, saved, symlinks=True)
    wanted = environment(project)
    for point in points:
        shutil.rmtree(project.store)
        shutil.copytree(saved, project.store, symlinks=True)
        project.killed("effects", point, "gc", "--keep", "1", "--yes")
        assert environment(project) == wanted
        assert project.steps() == []
        for name in project.environments():  # what looks finished is whole
            assert snapshot(project.store / "envs" / name) == snapshot(saved / "envs" / name)
        project.ok("gc", "--keep", "1", "--yes")
        left = [path for path in project.half_done() if ".holder.json." not in path]
        assert (project.environments(), left, generations(project)) == ([wanted], [], ["2"])


def effects(project: GcProject) -> int:
    apply_version(project, 1)
    apply_version(project, 2)
    saved = project.root / "first"
    shutil.copytree(project.store, saved, symlinks=True)
    number = project.points("effects", "gc", "--keep", "1", "--yes")
    shutil.rmtree(project.store)
    os.rename(saved, project.store)  # noqa: PTH104
    return number


def test_killed_at_some_instants_the_next_gc_ends_the_work(project: GcProject) -> None:
    number = effects(project)
    kill_everywhere(project, sorted({number // 8 * part for part in range(1, 8, 2)} | {number}))


@pytest.mark.full
def test_killed_at_many_instants_the_next_gc_ends_the_work(project: GcProject) -> None:
    number = effects(project)
    kill_everywhere(project, list(range(1, number + 1, max(number // 80, 1))))
