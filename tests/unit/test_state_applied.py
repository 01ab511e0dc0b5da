from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.address import Address
from hatchlock.state.applied import AppliedKeys, read_applied, write_applied
from hatchlock.state.journal import Journal

ENV, SERVER, IMAGE = (Address.parse(text) for text in ("env:a", "server:a", "image:b"))
APPLIED = AppliedKeys(
    keys={ENV: "e1", SERVER: "s1", IMAGE: "i1"}, images={"hatchlock/p/b:i1": "sha256:1"}, engine="unix://e"
)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert read_applied(tmp_path) == AppliedKeys()
    write_applied(tmp_path / "p", APPLIED)
    assert read_applied(tmp_path / "p") == APPLIED


def test_what_stands_there_already_is_not_written_again(tmp_path: Path) -> None:
    write_applied(tmp_path, APPLIED)
    before = (tmp_path / "applied.json").stat().st_ino
    write_applied(tmp_path, APPLIED)
    assert (tmp_path / "applied.json").stat().st_ino == before


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{", b"\xff", b'{"format_version": 2}', b'{"format_version": 1}']
)
def test_what_cannot_be_read_is_not_known(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "applied.json").write_bytes(data)
    assert read_applied(tmp_path) == AppliedKeys()


def test_what_an_apply_did_that_was_killed_stands_in_its_journal(tmp_path: Path) -> None:
    write_applied(tmp_path, APPLIED)
    journal = Journal(tmp_path / "journal.ndjson")
    journal.write("begin", project="p")
    journal.write("start", step="env:a", action="update")
    assert read_applied(tmp_path).keys == {SERVER: "s1", IMAGE: "i1"}
    journal.write("done", step="env:a", after="e2")
    journal.write("done", step="server:a", after="")
    journal.write("start", step="image:b", action="update")
    journal.write("failed", step="image:b", error="x")
    journal.close(finished=False)
    assert read_applied(tmp_path).keys == {ENV: "e2"}


def test_a_journal_that_ends_in_the_middle_or_is_of_another_version_says_no_more_than_it_says(tmp_path: Path) -> None:
    write_applied(tmp_path, APPLIED)
    lines = [json.dumps({"event": "done", "step": step}) for step in ("env:a", "nothing", "")]
    lines += ["[]", "3", json.dumps({"event": "done", "step": "server:a", "after": "s2"}), '{"event": "done", "st']
    (tmp_path / "journal.ndjson").write_text("\n".join(lines))
    assert read_applied(tmp_path).keys == {SERVER: "s2", IMAGE: "i1"}


def test_in_another_engine_nobody_has_changed_anything() -> None:
    assert APPLIED.in_engine("unix://e") is APPLIED
    assert APPLIED.in_engine("") == AppliedKeys(keys={ENV: "e1", SERVER: "s1"}, engine="")
