from __future__ import annotations

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hatchlock.state.journal import Interrupted, Journal, read_interrupted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.ndjson"


def test_a_finished_apply_leaves_no_journal(path: Path) -> None:
    journal = Journal(path)
    journal.write("begin", project="p")
    journal.close(finished=True)
    assert not path.exists()
    assert read_interrupted(path) is None


def test_a_killed_apply_says_what_it_was_doing(path: Path) -> None:
    journal = Journal(path)
    journal.write("begin", project="p")
    for step in ("env:b", "env:a"):
        journal.write("start", step=step)
    journal.write("done", step="env:a")
    # nobody closes it: the lines must be there all the same
    found = read_interrupted(path)
    journal.close(finished=False)
    began = json.loads(path.read_bytes().splitlines()[0])["at"]
    assert found == Interrupted(began=began, done=("env:a",), running=("env:b",))


def test_of_a_line_that_did_not_get_to_the_disk_nothing_is_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(path)
    journal.write("begin", project="p")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            journal.write("start", step="env:a")
    journal.write("failed", step="env:b")
    journal.close(finished=False)
    assert [json.loads(line).get("step") for line in path.read_bytes().splitlines()] == [None, "env:b"]


def test_a_failed_step_is_told_as_one_until_it_is_done(path: Path) -> None:
    journal = Journal(path)
    journal.write("start", step="env:a")
    journal.write("failed", step="env:a", error="no")
    journal.close(finished=False)
    found = read_interrupted(path)
    assert found is not None
    assert (found.running, found.failed) == ((), ("env:a",))
    assert "did not finish, env:a failed; `hatchlock apply` goes on" in found.told


def test_a_line_that_was_being_written_does_not_count(path: Path) -> None:
    journal = Journal(path)
    journal.write("start", step="env:a")
    journal.write("done", step="env:a")
    journal.close(finished=False)
    path.write_bytes(path.read_bytes()[:-5])
    found = read_interrupted(path)
    assert found is not None
    assert found.running == ("env:a",)


def test_the_next_apply_begins_a_new_one(path: Path) -> None:
    old = Journal(path)
    old.write("start", step="env:old")
    old.close(finished=False)
    new = Journal(path)
    new.write("start", step="env:new")
    new.close(finished=False)
    found = read_interrupted(path)
    assert found is not None
    assert found.running == ("env:new",)


def test_lines_of_threads_do_not_mix(path: Path) -> None:
    journal = Journal(path)
    names = [f"env:{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: journal.write("done", step=name, error="x" * 1000), names))
    journal.close(finished=False)
    assert sorted(json.loads(line)["step"] for line in path.read_bytes().splitlines()) == sorted(names)


def test_it_is_private(path: Path) -> None:
    Journal(path).close(finished=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("apply", "an apply begun T did not finish, in the middle of server:a; `hatchlock apply` goes on from here"),
        (
            "rollback 12",
            (
                "a rollback to generation 12 begun T did not finish, in the middle of server:a; "
                "`hatchlock rollback 12` goes on from here, `hatchlock apply` goes to what the lock says"
            ),
        ),
        (
            "destroy",
            (
                "a destroy begun T did not finish, in the middle of server:a; "
                "`hatchlock destroy` goes on from here, `hatchlock apply` goes to what the lock says"
            ),
        ),
    ],
)
def test_what_was_interrupted_says_what_it_was_and_how_to_go_on(tmp_path: Path, command: str, told: str) -> None:
    path = tmp_path / "journal.ndjson"
    journal = Journal(path)
    journal.write("begin", command=command)
    journal.write("start", step="server:a")
    journal.close(finished=False)
    left = read_interrupted(path)
    assert left is not None
    assert left.told.replace(left.began, "T") == told


@pytest.mark.parametrize("command", ["", "rollback", "rollback 0", "rollback 1; rm", "something"])
def test_a_journal_names_no_command_that_is_none_of_ours(tmp_path: Path, command: str) -> None:
    path = tmp_path / "journal.ndjson"
    journal = Journal(path)
    journal.write("begin", command=command)
    journal.close(finished=False)
    left = read_interrupted(path)
    assert left is not None
    assert left.command == "apply"


def test_what_still_runs_is_not_called_interrupted() -> None:
    left = Interrupted(began="T", done=(), running=("env:a",), held_by="`apply`, process 7 on ant, since T")
    assert left.told == (
        "the project is held by `apply`, process 7 on ant, since T, in the middle of env:a; what is here changes meanwhile"
    )
