"""How `run` finds a server's launch record."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hatchlock.errors import UsageError
from hatchlock.launch import LaunchRecord
from hatchlock.paths import Home
from hatchlock.usecases.run import BrokenState, NoSuchProject, NoSuchServer, find_record, run
from support.runs import apply_records

RECORD = LaunchRecord(project="acme", server="time", runtime="process", argv=("/bin/true",), key="k")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    apply_records(tmp_path, [RECORD])
    return Home(root=tmp_path, is_default=False)


def test_the_current_record_is_found(home: Home) -> None:
    assert find_record(home, "acme", "time") == RECORD


def test_an_unknown_project_lists_those_that_exist(home: Home) -> None:
    with pytest.raises(NoSuchProject) as caught:
        find_record(home, "acne", "time")
    assert "it has acme" in str(caught.value)
    assert caught.value.hint == "did you mean acme?"


@pytest.mark.parametrize("name", ["..", "a/b", "../projects/acme", ""])
def test_a_projects_name_leads_nowhere_else(home: Home, name: str) -> None:
    with pytest.raises(NoSuchProject):
        find_record(home, name, "time")


def test_an_unknown_server_lists_those_that_exist(home: Home) -> None:
    with pytest.raises(NoSuchServer, match="it has time") as caught:
        find_record(home, "acme", "fetch")
    assert "hatchlock apply" in caught.value.hint


def test_a_record_that_was_changed_is_not_started(home: Home) -> None:
    path = home.project("acme") / "launch" / f"{RECORD.digest}.json"
    path.write_bytes(path.read_bytes().replace(b"/bin/true", b"/bin/sh"))
    with pytest.raises(BrokenState, match="its digest is another"):
        find_record(home, "acme", "time")


def test_a_record_that_is_gone_is_named(home: Home) -> None:
    (home.project("acme") / "launch" / f"{RECORD.digest}.json").unlink()
    with pytest.raises(BrokenState, match="is missing"):
        find_record(home, "acme", "time")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format_version": 1}', b'{"format_version": 1, "servers": []}'])
def test_damaged_state_is_named(home: Home, content: bytes) -> None:
    path = home.project("acme") / "active.json"
    path.write_bytes(content)
    with pytest.raises(BrokenState, match=r"active\.json is damaged"):
        find_record(home, "acme", "time")


def test_state_of_another_version_is_not_guessed_at(home: Home) -> None:
    (home.project("acme") / "active.json").write_bytes(b'{"format_version": 2, "servers": {}}')
    with pytest.raises(BrokenState, match="has format 2"):
        find_record(home, "acme", "time")


def test_the_project_is_that_of_the_manifest_above(home: Home, tmp_path: Path) -> None:
    (tmp_path / "work" / "deep").mkdir(parents=True)
    (tmp_path / "work" / "hatchlock.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(NoSuchProject, match="'other'"):
        run(home, None, "time", tmp_path / "work" / "deep", os.environ)


def test_without_a_manifest_the_project_must_be_named(home: Home, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(UsageError, match=r"there is no hatchlock\.toml") as caught:
        run(home, None, "time", tmp_path, os.environ)
    assert "--project" in caught.value.hint
