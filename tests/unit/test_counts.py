"""How sessions went is counted, by many at once, and forgotten with the launch record that they were of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.files import private_directory
from hatchlock.process import owner
from hatchlock.serve.tally import NOT_COUNTED, Tally
from hatchlock.state import sessions
from hatchlock.state.counts import NO_COUNTS, Counts, add_counts, counts_path, read_counts
from hatchlock.state.sessions import RunningSession, forget_ended, kept

ADD = """
import sys
from pathlib import Path
from hatchlock.state.counts import Counts, add_counts
for _ in range(25):
    add_counts(Path(sys.argv[1]), "a", Counts(sessions=1, noise=2))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return counts_path(tmp_path, "echo")


def test_counts_add_up_and_the_last_end_stands(path: Path) -> None:
    assert read_counts(path, "a") == NO_COUNTS
    add_counts(path, "a", Counts(sessions=1, status=0, ended="2026-11-27T21:03:55Z"))
    add_counts(path, "a", Counts(noise=1, refused=1, refused_at="2026-11-28T01:00:00Z"))
    add_counts(path, "a", Counts(sessions=1, abnormal=1, status=3, ended="2026-11-28T21:03:55Z", noise=4))
    add_counts(path, "a", Counts(sessions=1, killed=1))
    assert read_counts(path, "a") == Counts(
        sessions=3,
        abnormal=1,
        killed=1,
        noise=5,
        refused=1,
        refused_at="2026-11-28T01:00:00Z",
        status=3,
        ended="2026-11-28T21:03:55Z",
    )
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_several_processes_and_threads_lose_nothing(path: Path) -> None:
    others = [subprocess.Popen([sys.executable, "-c", ADD, str(path)]) for _ in range(3)]
    threads = [threading.Thread(target=add_counts, args=(path, "a", Counts(sessions=1))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait() for other in others] == [0, 0, 0]
    assert read_counts(path, "a") == replace(NO_COUNTS, sessions=85, noise=150)


def test_a_session_of_the_record_before_does_not_take_away_what_is_counted_of_the_new_one(path: Path) -> None:
    for launch in ("a", "b", "a", "b"):
        add_counts(path, launch, Counts(sessions=1))
    assert read_counts(path, "a") == read_counts(path, "b") == replace(NO_COUNTS, sessions=2)
    for launch in ("c", "d"):
        add_counts(path, launch, Counts(sessions=1))
    assert read_counts(path, "a") == NO_COUNTS
    assert read_counts(path, "b").sessions == 2


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format_version": 9}', b'{"format_version": 1, "launches": [1]}'])
def test_what_cannot_be_read_is_nothing_and_is_replaced(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    assert read_counts(path, "a") == NO_COUNTS
    add_counts(path, "a", Counts(sessions=1))
    assert read_counts(path, "a").sessions == 1


def test_a_session_that_was_killed_is_counted_once(tmp_path: Path, path: Path) -> None:
    session = RunningSession(server="echo", owner=owner(os.getpid()), pid=os.getpid(), launch="a", secrets={})
    boot, namespace, pid, begun = session.owner.split(" ")
    gone = replace(session, owner=f"{boot} {namespace} {pid} {int(begun) - 1}")
    with kept(tmp_path, session), kept(tmp_path, gone):
        forget_ended(tmp_path)
        forget_ended(tmp_path)
        assert read_counts(path, "a") == replace(NO_COUNTS, sessions=1, killed=1)


def test_a_state_that_is_removed_just_then_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a trial's, by the next one, while the watchdog of the one that was killed writes down that it was."""
    state = tmp_path / "projects" / "trial"
    note = private_directory(state / "sessions") / "one.json"
    gone = RunningSession(server="echo", owner="another-boot 1 1 1", pid=os.getpid(), launch="a", secrets={})

    def unlinked(_: Path) -> bool:
        shutil.rmtree(state)
        return True

    monkeypatch.setattr(sessions, "sessions", lambda _: [(note, gone)])
    monkeypatch.setattr(sessions, "_unlinked", unlinked)
    with pytest.raises(FileNotFoundError):
        forget_ended(state)
    assert not state.exists()


def test_a_place_that_cannot_be_written_to_is_no_reason_to_end(tmp_path: Path) -> None:
    (tmp_path / "counts").write_bytes(b"no directory")
    tally = Tally(state=tmp_path, server="echo", launch="a")
    tally.first_noise()
    tally.ended(0, abnormal=False, noise=1)
    NOT_COUNTED.ended(0, abnormal=False, noise=0)
