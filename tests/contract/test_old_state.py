"""After an upgrade a project is as it was: its state is read, its plan is empty, and what came since is optional."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.launch import LaunchRecord
from hatchlock.reconcile.planfile import read_plan
from hatchlock.state.denials import denials_path, read_denials
from hatchlock.state.journal import read_interrupted
from hatchlock.state.project import ProjectState
from hatchlock.state.sessions import sessions
from support.cats import tree
from support.old_state import STATES, OldProject, put_state

FORMATS = sorted(int(path.name) for path in STATES.iterdir() if path.is_dir())


@pytest.fixture(params=FORMATS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> OldProject:
    return put_state(request.param, tmp_path)


def test_the_plan_after_an_upgrade_is_empty(project: OldProject) -> None:
    before = tree(project.root, without=("store/cache", "store/logs", "store/audit"))
    assert "Nothing to do: 6 resources are as declared" in project.ok("plan", "--check").out
    assert tree(project.root, without=("store/cache", "store/logs", "store/audit")) == before


def test_an_apply_after_an_upgrade_changes_nothing_that_anybody_uses(project: OldProject) -> None:
    used = ("active.json", "launch", "entries.json")
    before = {name: facts for name, facts in tree(project.root).items() if _is_below(name, used)}
    (kept,) = project.state.glob("volumes/notes/*")
    facts = kept.stat()
    project.ok("apply", "--yes", "--no-probe")
    assert {name: facts for name, facts in tree(project.root).items() if _is_below(name, used)} == before
    # the same directory, which sessions may have, by the name that their launch record has for it
    assert (kept.stat().st_ino, kept.stat().st_uid) == (facts.st_ino, facts.st_uid)
    assert (kept / "kept.txt").read_text() == "what it keeps\n"
    project.ok("plan", "--check")


def _is_below(name: str, used: tuple[str, ...]) -> bool:
    in_state = name.removeprefix("store/projects/trial/")
    return name.startswith(("project", "user")) or in_state.split("/")[0] in used


def test_a_change_of_its_manifest_is_the_only_step(project: OldProject) -> None:
    project.edit('["/bin/cat", "-u"]', '["/bin/cat", "-v"]')
    project.ok("lock")
    assert project.steps() == ["update server:cat"]
    project.ok("apply", "--yes", "--no-probe")
    project.ok("plan", "--check")
    assert (next(project.state.glob("volumes/notes/*")) / "kept.txt").read_text() == "what it keeps\n"


def test_what_is_deleted_from_it_is_deleted_by_what_it_says(project: OldProject) -> None:
    project.write(project.manifest.read_text().partition("[servers.notes]")[0])
    project.ok("lock")
    assert project.steps() == [
        "delete client:claude-code/notes",
        "delete server:notes",
        "delete volume:notes/var/lib/notes@process",
    ]


def test_each_of_its_files_is_read(project: OldProject) -> None:
    state = ProjectState(project.state)
    assert state.bound_to() == str(project.directory)
    assert list(state.active()) == ["cat", "notes"]
    records = {name: state.record(digest) for name, digest in state.active().items()}
    assert all(record and record.server == name for name, record in records.items())
    assert len(state.entry_files()) == 2
    assert state.generations.numbers() == (1, 2)
    assert state.last_probe("cat") == {
        "format_version": 1,
        "health": "failed",
        "launch": state.active()["cat"],
        "said": "Method not found",
    }
    (refusal,) = read_denials(denials_path(state.root, "notes"), state.active()["notes"])
    assert (refusal.kind, refusal.what) == ("network", "api.example.com:443")
    ((_, session),) = sessions(state.root)
    assert (session.server, session.pid, session.launch) == ("notes", 4242, state.active()["notes"])
    killed = read_interrupted(state.journal_path)
    assert killed is not None
    assert (killed.done, killed.running) == (("server:cat",), ("server:notes",))


def test_every_launch_record_is_written_again_as_the_same_bytes(project: OldProject) -> None:
    found = list(project.state.glob("launch/*.json"))
    assert len(found) == 2
    for path in found:
        record = LaunchRecord.from_json(path.read_bytes())
        assert record.to_json() == path.read_bytes()
        assert record.digest == path.stem


def test_its_saved_plan_is_read_and_shown_and_not_applied_again(project: OldProject) -> None:
    saved = read_plan(project.directory / "plan.json")
    assert [str(step.address) for step in saved.plan.steps] == [
        "volume:notes/var/lib/notes@process",
        "server:notes",
        "client:claude-code/notes",
    ]
    assert "Plan: 3 to create, 0 to update, 0 to delete, 3 unchanged" in project.ok("show", "plan.json").out
    assert "the plan is stale" in project.fails("apply", "plan.json", "--no-probe").err


@pytest.mark.parametrize("command", [["status"], ["history"], ["verify"], ["gc", "--dry-run"], ["logs", "cat"]])
def test_every_command_that_reads_it_does(project: OldProject, command: list[str]) -> None:
    done = project.run(*command)
    assert done.status in {0, 2}, done.said


def test_a_generation_that_it_left_can_be_gone_back_to(project: OldProject) -> None:
    project.ok("rollback", "1", "--yes")
    assert list(project.active()) == ["cat"]
    assert (next(project.state.glob("volumes/notes/*")) / "kept.txt").read_text() == "what it keeps\n"
    project.ok("apply", "--yes", "--no-probe")
    assert list(project.active()) == ["cat", "notes"]
    project.ok("plan", "--check")


def newer(path: Path) -> None:
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), "format_version": 99}).encode())


@pytest.mark.parametrize("name", ["active.json", "binding.json", "entries.json", "held.json"])
def test_what_a_newer_one_wrote_is_refused_by_name_and_left_alone(project: OldProject, name: str) -> None:
    path = project.state / name
    if not path.exists():
        path.write_text('{"format_version": 1}')
    newer(path)
    before = path.read_bytes()
    read_by_run = [["run", "cat"]] if name == "active.json" else []
    for command in (["plan"], ["apply", "--yes", "--no-probe"]):
        done = project.fails(*command)
        assert f"{name} has format 99, and this hatchlock reads up to 1" in done.err
        assert "use the hatchlock that wrote it, or a newer one" in done.err
    for command in read_by_run:
        assert "use the hatchlock that wrote it, or a newer one" in project.fails(*command).err
    assert path.read_bytes() == before


def test_a_saved_plan_of_a_newer_one_is_refused_by_name(project: OldProject) -> None:
    newer(project.directory / "plan.json")
    for command in ("show", "apply"):
        done = project.fails(command, "plan.json")
        assert "its format is 99" in done.err


def test_a_launch_record_of_a_newer_one_is_replaced_when_asked(project: OldProject) -> None:
    """It is never changed: its server gets one that this version understands, by a step of the plan."""
    digest = project.active()["cat"]
    path = project.state / "launch" / f"{digest}.json"
    data = canonical_json({**json.loads(path.read_bytes()), "format_version": 99})
    other = path.with_name(f"{sha256_bytes(data)}.json")
    other.write_bytes(data)
    other.chmod(0o600)
    active = project.state / "active.json"
    active.write_text(active.read_text().replace(digest, other.stem))
    assert project.steps() == ["update server:cat"]
    assert "of another version" in project.ok("plan").out
    project.ok("apply", "--yes", "--no-probe")
    assert project.active()["cat"] == digest
    assert other.read_bytes() == data
