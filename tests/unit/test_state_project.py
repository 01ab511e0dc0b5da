from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from hatchlock.launch import LaunchRecord
from hatchlock.state.project import BadState, BoundElsewhere, ProjectState
from hatchlock.state.sessions import RunningSession, kept, running

RECORD = LaunchRecord(project="p", server="a", runtime="process", argv=("/bin/cat",), key="")


@pytest.fixture
def state(tmp_path: Path) -> ProjectState:
    return ProjectState(tmp_path / "projects" / "p")


def record(server: str) -> LaunchRecord:
    return LaunchRecord(project="p", server=server, runtime="process", argv=("/bin/cat", server), key="")


def test_asking_a_state_that_is_not_there_makes_nothing(state: ProjectState) -> None:
    state.check_binding("p", Path("/anywhere"))
    assert state.bound_to() is None
    assert state.active() == {}
    assert state.entry_files() == ()
    assert state.generation() == 0
    assert state.generations.read(1) is None
    assert state.last_probe("a") is None
    assert not state.root.exists()


def test_a_project_belongs_to_the_directory_that_it_was_bound_to(state: ProjectState) -> None:
    state.bind(Path("/home/ada/acme"))
    state.check_binding("p", Path("/home/ada/acme"))
    with pytest.raises(BoundElsewhere) as caught:
        state.check_binding("p", Path("/home/ada/other"))
    assert "belongs to /home/ada/acme" in str(caught.value)
    assert "/home/ada/other" in str(caught.value)
    assert "--takeover" in caught.value.hint
    assert "no manifest any more" in str(caught.value)


def test_whether_the_directory_has_a_manifest_decides_on_the_advice(state: ProjectState, tmp_path: Path) -> None:
    state.bind(tmp_path)
    for name, advice in (("", "if it has moved"), ("other.toml", "give one of them another [project] name")):
        if name:
            (tmp_path / name).touch()
        with pytest.raises(BoundElsewhere) as caught:
            state.check_binding("p", Path("/home/ada/other"))
        assert advice in caught.value.hint
        assert "--takeover" in caught.value.hint


def test_an_activated_record_is_in_its_file_and_behind_the_pointer(state: ProjectState) -> None:
    state.activate("a", RECORD)
    assert state.active() == {"a": RECORD.digest}
    assert LaunchRecord.from_json(state.record_path(RECORD.digest).read_bytes()) == RECORD


def test_activating_and_taking_away_touches_one_server(state: ProjectState) -> None:
    for name in ("b", "a"):
        state.activate(name, record(name))
    assert list(state.active()) == ["a", "b"]
    state.activate("a", None)
    assert state.active() == {"b": record("b").digest}
    assert state.record_path(record("a").digest).exists(), "rollback needs it"
    state.activate("nobody", None)
    assert list(state.active()) == ["b"]


def test_threads_that_activate_at_once_lose_nothing(state: ProjectState) -> None:
    names = [f"s{number:02}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: state.activate(name, record(name)), names))
        list(pool.map(state.remember_entry_file, names))
    assert list(state.active()) == names
    assert list(state.entry_files()) == names


def test_state_is_private(state: ProjectState) -> None:
    state.bind(Path("/d"))
    state.activate("a", RECORD)
    state.remember_entry_file("cursor/user/f")
    state.remember_probe("a", {"health": "healthy"})
    state.generations.record(lock=b"l", manifest=b"m", overlay=b"", target={}, facts={"servers": {}})
    paths = list(state.root.rglob("*"))
    assert len(paths) > 9
    for path in (state.root, *paths):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_entry_files_are_remembered_once_and_sorted(state: ProjectState) -> None:
    for name in ("b", "a", "b"):
        state.remember_entry_file(name)
    assert state.entry_files() == ("a", "b")


def test_a_probe_is_remembered_until_the_next(state: ProjectState) -> None:
    state.remember_probe("a", {"health": "failed", "said": "no"})
    state.remember_probe("a", {"health": "healthy", "said": ""})
    found = state.last_probe("a") or {}
    assert found["health"] == "healthy"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '"x"', "{}", json.dumps({"format_version": 1, "servers": {"a": 1}})]
)
def test_a_state_file_that_we_did_not_write_is_named(state: ProjectState, content: str) -> None:
    state.activate("a", RECORD)
    path = state.root / "active.json"
    path.write_text(content)
    with pytest.raises(BadState) as caught:
        state.active()
    assert str(path) in str(caught.value)
    assert "hatchlock apply" in caught.value.hint


@pytest.mark.parametrize("more", [{"superseded": 5}, {"superseded": "v"}, {"superseded": [1]}, {"id": None}])
def test_what_a_document_may_have_besides_is_looked_at_too(state: ProjectState, more: dict[str, object]) -> None:
    state.begin_volume("v", "unix:///e", "id")
    path = state.root / "volumes.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    (error,) = state.damage()
    assert str(path) in str(error)


@pytest.mark.parametrize("content", ["", "5", '"x"', "[]", "null", "{}", '{"format_version": 1}'])
def test_what_is_no_session_is_none(state: ProjectState, content: str) -> None:
    session = RunningSession(server="a", owner="", pid=os.getpid(), launch="0", secrets={})
    with kept(state.root, session):
        (state.root / "sessions" / "other.json").write_text(content)
        wrong = {**asdict(session), "format_version": 1, "owner": 5}
        (state.root / "sessions" / "wrong.json").write_text(json.dumps(wrong))
        assert running(state.root) == (session,)


def test_what_a_killed_write_left_beside_an_applications_file_goes_and_nothing_else(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    (tmp_path / "mcp.json").symlink_to(real)
    state = ProjectState(tmp_path / "state")
    state.remember_entry_file(f"cursor/user/{tmp_path / 'mcp.json'}")
    for name in ("mcp.json", "theirs.json"):
        (real.parent / f".{name}.0123456789ab.tmp").write_text("{}")
    state.clear_unfinished()
    assert [path.name for path in real.parent.iterdir()] == [".theirs.json.0123456789ab.tmp"]
