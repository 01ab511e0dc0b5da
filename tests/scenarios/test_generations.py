"""`history`, `rollback`, `destroy`: a way back to what each apply left, and away with everything, whatever happens in between."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.process import owner
from hatchlock.state.lease import lease
from hatchlock.state.sessions import RunningSession
from hatchlock.state.sessions import kept as kept_session
from hatchlock.usecases.rollback import Return, plan_return
from support.cats import CAT, CatProject, apply, entries
from support.index import Index, serving
from support.killed import KilledProject
from support.project import server_release
from support.runs import BARE, Run, wait_for
from support.terminal import at_terminal
from support.unavailable import need_isolation

TWO = '\n[servers.two]\ncommand = ["/bin/cat"]\n'
APPLY = ("apply", "--yes", "--no-probe", "--allow-mass-removal")
BACK = ("rollback", "--yes", "--allow-mass-removal")
AWAY = ("destroy", "--yes")
FOREIGN = '{\n\t"mcpServers": {\n\t\t"theirs": {"command": "x" },\n\n\t\t"more": {}\n\t}, "k" : 1\n}\n'
TINY = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"

[indexes.pypi]
url = "{index}"

[servers.tiny]
source = "pypi:tiny-server==1.0"
"""


class Project(CatProject, KilledProject):
    """Runs commands inside this process, but for those that are killed."""

    @property
    def state(self) -> Path:
        return self.store / "projects" / "trial"

    def files(self) -> dict[str, bytes]:
        """Return the client files that there are."""
        paths = (self.directory / ".mcp.json", self.directory / ".cursor" / "mcp.json")
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def past(self, *words: str) -> Any:
        return self.ok("history", *words, "--json").document

    def world(self) -> tuple[dict[str, str], dict[str, bytes]]:
        return self.active(), self.files()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, CAT)


def second(project: Project) -> None:
    project.write(CAT.replace(', "-u"', "") + TWO)
    apply(project)


@pytest.fixture
def applied(project: Project) -> Project:
    """A project with two generations, of one server and of two, beside entries of somebody else."""
    (project.directory / ".cursor").mkdir()
    (project.directory / ".cursor" / "mcp.json").write_text(FOREIGN)
    apply(project)
    project.first = project.world()  # type: ignore[attr-defined]
    second(project)
    project.second = project.world()  # type: ignore[attr-defined]
    return project


def test_history_says_when_and_by_what_each_was_left_and_what_it_changed(applied: Project) -> None:
    found = applied.past()
    assert (found["project"], found["current"], found["held"]) == ("trial", 2, 0)
    new, old = found["generations"]
    assert (new["number"], old["number"], new["current"], old["current"]) == (2, 1, True, False)
    assert [f"{item['sign']} {item['what']}" for item in new["changes"]] == ["~ server:cat", "+ server:two"]
    assert [f"{item['sign']} {item['what']}" for item in old["changes"]] == ["+ server:cat"]
    assert (new["servers"], old["servers"]) == (["cat", "two"], ["cat"])
    assert new["when"].endswith("+00:00")
    assert new["when"].replace("+00:00", "Z  ") in applied.ok("history").out
    assert old["counts"]["create"] == 3
    lines = applied.ok("history").out.splitlines()
    assert lines[0] == "project trial"
    assert lines[2].split() == ["GENERATION", "WHEN", "HATCHLOCK", "CHANGES"]
    assert lines[3].startswith("*  2 ")
    assert lines[3].endswith("~ server:cat, + server:two")
    one = applied.ok("history", "1").out
    assert "generation 1\n" in one
    assert "3 to create" in one
    assert [item["number"] for item in applied.past("1")["generations"]] == [1]
    assert "it has 1, 2" in applied.fails("history", "7").err


def test_rollback_brings_back_what_there_was_byte_for_byte_and_holds_it(applied: Project) -> None:
    plan = applied.root / "plan.json"
    applied.edit('["/bin/cat"]', '["/bin/cat", "-n"]')
    applied.ok("lock")
    applied.ok("plan", "--out", str(plan))
    done = applied.ok(*BACK)
    assert done.out.startswith("Rolled back to generation 1: ")
    assert applied.world() == applied.first  # type: ignore[attr-defined]
    assert (applied.past()["current"], applied.past()["held"]) == (1, 1)
    assert "Held at generation 1 since a rollback" in applied.ok("plan").out
    assert applied.plan()["held"] == 1
    assert applied.ok("status").out.startswith("project trial, generation 1")
    assert "stale" in applied.fails("apply", str(plan)).err
    assert applied.fails("rollback", "--yes").err.startswith("error: the project trial has no generation before 1; ")
    assert applied.ok("rollback", "1", "--yes").out.startswith("Nothing to do: the project is at generation 1 ")
    applied.ok(*APPLY)
    assert (applied.past()["current"], applied.past()["held"], applied.steps()) == (3, 0, [])
    assert "Held" not in applied.ok("plan").out


def test_a_rollback_in_part_does_not_say_that_it_is_there(applied: Project) -> None:
    broken = applied.directory / ".mcp.json"
    whole = broken.read_bytes()
    broken.write_text("{")
    assert "Rolled back in part" in applied.fails(*BACK).out
    assert (applied.past()["current"], applied.past()["held"]) == (2, 0)
    broken.write_bytes(whole)
    applied.ok(*BACK)
    assert (applied.past()["current"], applied.past()["held"]) == (1, 1)
    assert applied.world() == applied.first  # type: ignore[attr-defined]


def test_rollback_goes_forward_again_and_then_nothing_is_held(applied: Project) -> None:
    applied.ok(*BACK)
    applied.ok("rollback", "2", "--yes")
    assert applied.world() == applied.second  # type: ignore[attr-defined]
    assert (applied.past()["current"], applied.past()["held"], applied.steps()) == (2, 0, [])


def test_the_way_back_passes_over_what_is_the_same(applied: Project) -> None:
    applied.ok(*BACK)
    applied.ok(*APPLY)  # generation 3 is what generation 2 was
    assert applied.world() == applied.second  # type: ignore[attr-defined]
    assert "Back to generation 1:" in applied.fails("rollback", status=3).err
    applied.ok(*BACK)
    assert applied.world() == applied.first  # type: ignore[attr-defined]
    applied.ok("rollback", "3", "--yes")
    applied.ok("rollback", "2", "--yes")
    assert applied.past()["current"] == 2, "whoever names one gets it"


def test_an_apply_with_nothing_to_do_ends_a_rollback(applied: Project) -> None:
    applied.ok(*BACK)
    applied.write(CAT)
    applied.ok("lock")
    assert applied.steps() == []
    assert applied.plan()["held"] == 1
    applied.ok(*APPLY)
    assert (applied.past()["current"], applied.past()["held"], applied.plan()["held"]) == (3, 0, 0)


def test_an_apply_that_puts_right_what_somebody_has_changed_makes_the_way_back_no_shorter(applied: Project) -> None:
    (applied.directory / ".mcp.json").unlink()
    last = json.loads(applied.ok(*APPLY, "--json").out.splitlines()[-1])
    assert last["done"]
    assert last["generation"] == 2
    assert [item["number"] for item in applied.past()["generations"]] == [2, 1]


def test_gc_keeps_the_last_two_that_differ(applied: Project) -> None:
    applied.ok(*BACK)
    applied.ok(*APPLY)
    assert [item["number"] for item in applied.past()["generations"]] == [3, 2, 1]
    applied.ok("gc", "--yes")
    assert [item["number"] for item in applied.past()["generations"]] == [3, 1]  # 2 is what 3 is


def test_without_the_launcher_no_application_starts_anything_and_plan_says_so(applied: Project) -> None:
    applied.launcher.unlink()
    assert f"! launcher  {applied.launcher} is gone; `hatchlock apply` writes it anew" in applied.ok("plan").out
    applied.ok(*APPLY)
    assert "launcher" not in applied.ok("plan").out


def test_plan_says_what_its_apply_takes(applied: Project) -> None:
    applied.write(CAT[: CAT.index("[servers.")])
    applied.ok("lock")
    assert "note: this takes `hatchlock apply --allow-mass-removal`" in applied.ok("plan").err


def test_rollback_works_while_manifest_and_lock_are_broken(applied: Project) -> None:
    applied.lock.write_text("<<<<<<<")
    applied.write('[project]\nname = "trial"\nnonsense = 1\n')
    applied.ok(*BACK)
    assert applied.world() == applied.first  # type: ignore[attr-defined]
    applied.ok(*AWAY)
    assert applied.active() == {}


def test_where_nothing_was_applied_there_is_no_way_back(project: Project) -> None:
    project.ok("lock")
    assert "nothing was applied yet" in project.fails("rollback", "--yes").err
    assert project.past()["generations"] == []
    assert project.ok("history").out == "project trial: nothing was applied yet\n"
    assert project.ok(*AWAY).out == "Nothing to do: there is nothing of the project trial\n"
    assert not (project.store / "projects").exists()


def test_rollback_asks_and_shows_the_plan_first(applied: Project) -> None:
    unasked = applied.fails("rollback", status=3).err
    assert unasked.index("- server:two") < unasked.index("error: there is no terminal to ask on")
    command, env = applied.command("rollback"), {**applied.env, "CI": ""}
    refused = at_terminal(command, [("Roll back? [y/N]", "n")], cwd=applied.directory, env=env)
    assert refused.status == 3
    assert "Back to generation 1:" in refused.shown
    assert "- server:two" in refused.shown
    assert applied.world() == applied.second  # type: ignore[attr-defined]


def test_a_target_of_another_version_is_compiled_again_from_the_generation(applied: Project) -> None:
    (applied.state / "generations" / "1" / "target.json").write_text('{"format_version": 1, "target_format": 99}')
    applied.ok(*BACK)
    assert applied.world() == applied.first  # type: ignore[attr-defined]


def test_gc_keeps_the_generation_that_a_rollback_went_to(applied: Project) -> None:
    for number in (3, 4):
        applied.write(CAT.replace('"-u"', f'"-{"n" * number}"'))
        apply(applied)
    applied.ok("rollback", "1", "--yes")
    applied.ok("gc", "--keep", "1", "--yes")
    assert [item["number"] for item in applied.past()["generations"]] == [4, 1]
    assert applied.past()["held"] == 1


def kill_at_each_step(project: Project, words: tuple[str, ...], points: list[int]) -> Iterator[int]:
    """From the same state each time: kill a command at an instant. Whoever goes on looks at what it left."""
    saved = project.root / "saved"
    for name in ("store", "project"):
        shutil.copytree(project.root / name, saved / name, symlinks=True)
    for point in points:
        for name in ("store", "project"):
            shutil.rmtree(project.root / name)
            shutil.copytree(saved / name, project.root / name, symlinks=True)
        if project.killed("effects", point, *words):  # with threads the last instants come to be a few more or less
            yield point


def some(number: int, of: int) -> list[int]:
    return sorted({number * part // of for part in range(1, of)})


def half_done(project: Project) -> list[str]:
    return [path for path in project.half_done() if ".holder.json." not in path]


def test_a_rollback_that_was_killed_is_told_and_the_same_command_ends_it(applied: Project) -> None:
    assert applied.killed("after", 4, *BACK, "1")
    said = applied.ok("plan").err
    assert "a rollback to generation 1 begun" in said
    assert "`hatchlock rollback 1` goes on from here, `hatchlock apply` goes to what the lock says" in said
    assert "a rollback to generation 1 begun" in applied.ok("status").err
    assert (applied.past()["current"], applied.past()["held"]) == (2, 0)
    applied.ok(*BACK, "1")
    assert applied.world() == applied.first  # type: ignore[attr-defined]
    assert (applied.past()["held"], applied.half_done()) == (1, [])


@pytest.mark.parametrize("number", [pytest.param(3, id="some"), pytest.param(60, id="many", marks=pytest.mark.full)])
def test_killed_at_any_instant_a_rollback_converges(applied: Project, number: int) -> None:
    saved = applied.root / "first"
    shutil.copytree(applied.store, saved, symlinks=True)
    effects = applied.points("effects", *BACK, "1")
    applied.ok("rollback", "2", "--yes")
    shutil.rmtree(applied.store)
    shutil.copytree(saved, applied.store, symlinks=True)
    for _ in kill_at_each_step(applied, (*BACK, "1"), some(effects, number)):
        applied.ok(*BACK, "1")
        assert applied.world() == applied.first  # type: ignore[attr-defined]
        assert (applied.past()["current"], applied.plan()["held"], half_done(applied)) == (1, 1, [])


@pytest.mark.parametrize("number", [pytest.param(3, id="some"), pytest.param(60, id="many", marks=pytest.mark.full)])
def test_killed_at_any_instant_a_destroy_converges(applied: Project, number: int) -> None:
    saved = applied.root / "first"
    for name in ("store", "project"):
        shutil.copytree(applied.root / name, saved / name, symlinks=True)
    effects = applied.points("effects", *AWAY)
    for name in ("store", "project"):
        shutil.rmtree(applied.root / name)
        shutil.copytree(saved / name, applied.root / name, symlinks=True)
    for _ in kill_at_each_step(applied, AWAY, some(effects, number)):
        applied.ok(*AWAY)
        assert applied.active() == {}
        assert left_of(applied) == {"serial.json"}
        assert (applied.files()["mcp.json"].decode(), half_done(applied)) == (FOREIGN, [])


def left_of(project: Project) -> set[str]:
    return {path.name for path in project.state.iterdir() if not path.name.startswith("lease.")}


def test_destroy_leaves_nothing_but_what_is_somebody_elses(applied: Project) -> None:
    serial = json.loads((applied.state / "serial.json").read_bytes())["serial"]
    plan = applied.root / "plan.json"
    applied.ok("plan", "--out", str(plan))
    assert "\nerror: there is no terminal to ask on" in applied.fails("destroy", status=3).err
    done = applied.ok(*AWAY, "--json").out.splitlines()
    summary = json.loads(done[-1])
    assert summary["removed"] == [{"kind": "generation", "name": name, "bytes": 0} for name in ("1", "2")]
    clients = [f"client:{name}" for name in ("claude-code/cat", "claude-code/two", "cursor/cat", "cursor/two")]
    assert sorted(summary["done"]) == [*clients, "server:cat", "server:two"]
    assert applied.files() == {"mcp.json": FOREIGN.encode()}  # the other file was made for our entries
    assert left_of(applied) == {"serial.json"}
    assert json.loads((applied.state / "serial.json").read_bytes())["serial"] > serial
    assert applied.past()["generations"] == []
    assert "stale" in applied.fails("apply", str(plan)).err
    assert len(applied.steps()) == 6
    applied.ok(*APPLY)
    assert (applied.past()["current"], applied.steps()) == (1, [])
    assert applied.active() == applied.second[0]  # type: ignore[attr-defined]


def test_destroy_says_that_a_quarantine_outlives_it(applied: Project) -> None:
    applied.ok("quarantine", "cat", "--reason", "looks odd")
    done = applied.ok(*AWAY)
    again = applied.ok(*AWAY)

    for said in (done, again):
        assert f"left alone: quarantine of cat: what was kept of it is in {applied.state}/quarantine/cat;" in said.err
        assert "but what was left alone" in said.out


def test_a_name_is_nobody_elses_until_everything_of_its_project_is_gone(
    applied: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(path: Path, ignore_errors: bool = False) -> None:
        if path.name == "launch":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        delete(path, ignore_errors=ignore_errors)

    delete = shutil.rmtree
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", full)
        assert os.strerror(errno.EIO) in applied.fails(*AWAY).err
    other = tmp_path / "other"
    shutil.copytree(applied.directory, other)
    assert "belongs to" in applied.fails("-C", str(other), "plan").err
    applied.ok(*AWAY)
    applied.ok("-C", str(other), "plan")


@pytest.mark.parametrize("words", [BACK, AWAY], ids=["rollback", "destroy"])
def test_nothing_goes_back_or_away_while_another_command_has_the_project(
    applied: Project, words: tuple[str, ...]
) -> None:
    with lease(applied.state / "lease.lock", what="the project", purpose="apply", timeout=0):
        assert "is held by `apply`" in applied.fails(*words, "--lock-timeout", "0").err
    assert applied.world() == applied.second  # type: ignore[attr-defined]
    assert applied.past()["current"] == 2


def test_what_was_given_up_stays_so_when_its_project_is_destroyed_and_applied_anew(applied: Project) -> None:
    applied.write(f'{CAT}\n[[forget]]\naddress = "server:two"\n')
    apply(applied)
    applied.ok(*AWAY)
    applied.write(CAT)
    apply(applied)
    assert "two" in entries(applied)[".mcp.json"]
    assert applied.ok("plan", "--json").document["steps"] == []


def test_a_session_that_begins_while_destroy_asks_is_not_destroyed(
    applied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = RunningSession(server="cat", owner=owner(os.getpid()), pid=os.getpid(), launch="0", secrets={})
    with contextlib.ExitStack() as stack:
        monkeypatch.setattr(
            "hatchlock.usecases.consent.check_consent",
            lambda *_, **__: stack.enter_context(kept_session(applied.state, session)),
        )
        done = applied.fails(*AWAY)
        assert f"servers of the project trial run: cat (process {os.getpid()}); nothing was removed" in done.err
    assert applied.world() == applied.second  # type: ignore[attr-defined]


def test_destroy_shows_what_goes_and_asks(applied: Project) -> None:
    command, env = applied.command("destroy"), {**applied.env, "CI": ""}
    refused = at_terminal(command, [("Destroy this? [y/N]", "n")], cwd=applied.directory, env=env)
    assert refused.status == 3
    assert "- client:cursor/two  its project is destroyed" in refused.shown
    assert "- generation 1, 2" in refused.shown
    assert applied.world() == applied.second  # type: ignore[attr-defined]


NOTES = """
[servers.notes]
command = ["/bin/cat"]

[servers.notes.sandbox]
writable = ["/data"]
reason = "keeps notes"
"""


def volume(project: Project) -> Path:
    return next(path for path in project.store.glob("volumes/trial/notes/*") if path.is_dir())


def test_data_is_not_rolled_back_and_that_is_said_beforehand(project: Project) -> None:
    apply(project)
    project.write(CAT + NOTES)
    apply(project)
    kept = volume(project) / "note"
    kept.write_text("precious")
    stays = "! volume:notes/data@process was made since; it stays, with what is in it"
    assert stays in project.fails("rollback", status=3).err
    way = project.ok(*BACK)
    assert "volume:notes/data@process was made since; it stays, with what is in it" in way.err
    assert (kept.read_text(), list(project.active())) == ("precious", ["cat"])
    project.ok("rollback", "2", "--yes")
    assert (kept.read_text(), sorted(project.active())) == ("precious", ["cat", "notes"])
    project.ok("rollback", "1", "--yes")
    shutil.rmtree(kept.parent)
    way = project.ok("rollback", "2", "--yes")
    assert "volume:notes/data@process is gone; it comes back empty" in way.err
    assert list(volume(project).iterdir()) == []


def test_destroy_takes_data_only_with_consent(project: Project) -> None:
    project.write(CAT + NOTES)
    apply(project)
    kept = volume(project) / "note"
    kept.write_text("precious")
    refused = project.fails(*AWAY, status=3).err
    assert refused.index("- server:notes") < refused.index("this would be lost: 8 bytes that notes keeps in /data")
    assert kept.exists()
    project.ok(*AWAY, "--allow-destructive")
    assert not kept.exists()


def test_a_first_apply_that_fails_leaves_nothing_if_that_is_asked_for(project: Project) -> None:
    project.write(CAT + NOTES)
    project.ok("lock")
    (project.directory / ".cursor").write_text("in the way")
    done = project.fails("apply", "--yes", "--no-probe", "--rollback-on-failure")
    assert "Rolled back to nothing at all: " in done.out
    assert "volume:notes/data@process stays, with what is in it" in done.err
    assert (project.active(), entries(project).get(".mcp.json", [])) == ({}, [])
    assert project.past()["generations"] == []


def test_what_hinders_the_way_back_after_a_failure_is_told_beside_the_failure(
    applied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shutil.rmtree(applied.directory / ".cursor")
    (applied.directory / ".cursor").write_text("in the way")
    applied.write(CAT)
    applied.ok("lock")
    monkeypatch.setattr("hatchlock.usecases.undo.carry_back", full)
    done = applied.fails("apply", "--yes", "--no-probe", "--allow-mass-removal", "--rollback-on-failure")
    assert "Applied in part: " in done.out
    assert "Not rolled back to generation 2, for the reason above" in done.out
    assert os.strerror(errno.ENOSPC) in done.err


def test_the_way_back_after_a_failure_loses_nothing_that_nobody_agreed_to_lose(
    applied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(*words: Any, **options: Any) -> Return:
        way = plan_return(*words, **options)
        steps = tuple(replace(step, loss="what cat keeps in /data") for step in way.planned.plan.steps)
        return replace(way, planned=replace(way.planned, plan=replace(way.planned.plan, steps=steps)))

    shutil.rmtree(applied.directory / ".cursor")
    (applied.directory / ".cursor").write_text("in the way")
    applied.write(CAT)
    applied.ok("lock")
    monkeypatch.setattr("hatchlock.usecases.undo.plan_return", losing)
    command = ("apply", "--yes", "--no-probe", "--allow-mass-removal", "--rollback-on-failure")
    done = applied.fails(*command)
    assert "this would be lost: what cat keeps in /data" in done.err
    assert "Not rolled back to generation 2, for the reason above" in done.out
    assert "two" not in applied.active()
    assert "Rolled back" in applied.fails(*command, "--allow-destructive").out
    assert "two" in applied.active()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    need_isolation()
    wheels = tmp_path_factory.mktemp("wheels")
    with serving(*(server_release(wheels, version=f"{number}.0") for number in (1, 2))) as served:
        yield served


@pytest.fixture
def tiny(tmp_path: Path, index: Index) -> Project:
    """A project with a server of its first version, and then of its second."""
    made = Project(tmp_path, TINY.format(platform=host_platform(), index=index.url))
    made.ok("lock")
    made.ok(*APPLY)
    made.edit("==1.0", "==2.0")
    made.ok("lock")
    made.ok(*APPLY)
    return made


def test_an_environment_that_is_gone_is_made_again_by_the_generations_own_lock(tiny: Project) -> None:
    changes = [
        f"{item['sign']} {item['what']} {item['before']}" for item in tiny.past("2")["generations"][0]["changes"]
    ]
    assert changes == ["~ server:tiny ", "~ pypi:tiny-server 1.0"]
    uses = json.loads((tiny.state / "generations" / "1" / "generation.json").read_bytes())["uses"]
    (first,) = [Path(name).name for name in uses["trees"] if name.startswith("envs/")]
    for path in (tiny.store / "envs" / first, tiny.store / "blobs"):
        shutil.rmtree(path)
    failed = tiny.run(*BACK, "--offline")
    assert failed.status == 1, failed.said
    assert "hint: " in failed.err
    tiny.ok(*BACK)
    assert first in tiny.environments()
    assert tiny.tools("tiny")
    shutil.rmtree(tiny.store / "envs" / first)
    tiny.ok("rollback", "1", "--yes", "--offline")
    assert first in tiny.environments()
    moved = "Since generation 1:\n  ~ pypi:tiny-server 1.0 -> 2.0\n"
    assert tiny.ok("plan").out.endswith(f"\n\n{moved}")
    assert "\nSince `generation 1`:\n\n* `~ pypi:tiny-server 1.0 -> 2.0`\n" in tiny.ok("plan", "--markdown").out
    assert tiny.ok("plan", "--json").document["versions"]["since"] == "generation 1"
    assert moved in tiny.ok(*APPLY, "--offline").err
    assert "Since" not in tiny.ok("plan").out


def test_a_session_lives_through_a_rollback_and_destroy_asks_for_its_end(tiny: Project) -> None:
    with Run(command=tiny.launch_command("tiny"), env=BARE) as run:
        run.hello()
        assert wait_for(lambda: tiny.past()["generations"][0]["sessions"] == ["tiny"])
        assert "runs: tiny" in tiny.ok("history").out
        tiny.ok(*BACK)
        assert run.call("attempt", trick="read", argument="/etc/hostname")
        assert [item["sessions"] for item in tiny.past()["generations"]] == [["tiny"], []]
        refused = tiny.fails(*AWAY)
        assert "servers of the project trial run: tiny (process " in refused.err
        assert "--stop-sessions" in refused.err
        assert list(tiny.active()) == ["tiny"]
        tiny.ok(*AWAY, "--stop-sessions")
        assert wait_for(lambda: run.process.poll() is not None)
    assert (tiny.active(), left_of(tiny)) == ({}, {"serial.json"})
    document = tiny.ok("gc", "--yes", "--json").document
    assert {item["kind"] for item in document["deleted"]} == {"environment"}
    assert tiny.environments() == []


def test_a_session_that_was_killed_hinders_nobody(tiny: Project) -> None:
    with Run(command=tiny.launch_command("tiny"), env=BARE) as run:
        run.hello()
        assert wait_for(lambda: tiny.past()["generations"][0]["sessions"] == ["tiny"])
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
    assert tiny.past()["generations"][0]["sessions"] == []
    tiny.ok(*AWAY)


def test_a_server_that_does_not_answer_any_more_is_taken_back(tiny: Project) -> None:
    before = tiny.active()
    tiny.edit("==2.0", "==1.0")
    tiny.edit('source = "pypi', 'command = "/bin/false"\nsource = "pypi')
    tiny.ok("lock")
    done = tiny.run("apply", "--yes", "--rollback-on-failure")
    assert done.status == 1, done.said
    assert "Rolled back to generation 2: " in done.out
    assert (tiny.active(), tiny.past()["held"]) == (before, 2)


def test_what_is_made_from_a_directory_that_has_changed_since(tmp_path: Path) -> None:
    """What was built of it is there and used; what would have to be built again says that the directory is another one."""
    need_isolation()
    source = tmp_path / "project" / "server"
    source.mkdir(parents=True)
    (source / "pyproject.toml").write_text(
        '[project]\nname = "own"\nversion = "1"\n[project.scripts]\nown = "own:main"\n'
    )
    (source / "own.py").write_text("def main():\n    pass\n")
    text = CAT.replace('command = ["/bin/cat", "-u"]', 'source = "path:./server"').replace("servers.cat", "servers.own")
    project = Project(tmp_path, text)
    locked = project.run("lock")
    assert locked.status == 0, locked.said
    project.ok(*APPLY)
    (source / "own.py").write_text("def main():\n    print()\n")
    project.ok("lock")
    project.ok(*APPLY)
    project.ok(*BACK)
    assert project.past()["current"] == 1
    project.ok("rollback", "2", "--yes")
    first = json.loads((project.state / "generations" / "1" / "generation.json").read_bytes())["uses"]["trees"]
    for name in first:
        if name.startswith("envs/"):
            shutil.rmtree(project.store / name)
    shutil.rmtree(project.store / "blobs")
    failed = project.run(*BACK)
    assert failed.status == 1, failed.said
    assert "changed since it was locked" in failed.err
    assert project.past()["current"] == 2


def test_history_and_rollback_write_nothing_into_the_project(applied: Project) -> None:
    before = {path.name: path.read_bytes() for path in (applied.manifest, applied.lock)}
    applied.ok("history")
    applied.ok(*BACK)
    assert {path.name: path.read_bytes() for path in (applied.manifest, applied.lock)} == before


@pytest.mark.parametrize("words", [("rollback", "x"), ("history", "x"), ("destroy", "all"), ("rollback", "1", "2")])
def test_what_makes_no_sense_is_wrong_usage(project: Project, words: tuple[str, ...]) -> None:
    project.fails(*words, status=64)


def test_no_generation_holds_a_secret(project: Project) -> None:
    value = "s3cret-" + "x" * 20
    project.env["TOKEN"] = value
    project.write(CAT + '\n[servers.cat.env]\nTOKEN = { secret = "env:TOKEN" }\n')
    apply(project)
    found = subprocess.run(["grep", "-r", value, str(project.store)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
