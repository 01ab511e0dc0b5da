from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hatchlock.state.lease import LeaseHeld, lease

HOLDER = """
import sys
from pathlib import Path
from hatchlock.state.lease import lease
with lease(Path(sys.argv[1]), what="it", purpose="apply", timeout=0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "lease.lock"


def test_a_lease_is_held_inside_the_block_only(path: Path) -> None:
    for _ in range(2):
        with lease(path, what="it", purpose="apply", timeout=0):
            assert path.with_suffix(".holder.json").exists()
        assert not path.with_suffix(".holder.json").exists()


def test_the_holder_is_told_with_pid_host_time_and_purpose(path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    with lease(path, what="the project 'p'", purpose="apply", timeout=0):
        with pytest.raises(LeaseHeld) as caught, lease(path, what="the project 'p'", purpose="up", timeout=0):
            pytest.fail("two hold it")
        holder = caught.value.holder
    assert holder is not None
    assert (holder.pid, holder.host, holder.purpose) == (os.getpid(), socket.gethostname(), "apply")
    assert before <= datetime.fromisoformat(holder.since) <= datetime.now(UTC)
    assert str(caught.value) == (
        f"the project 'p' is held by `apply`, process {os.getpid()} on {socket.gethostname()}, "
        f"since {holder.since}; waited 0 s"
    )
    assert "--lock-timeout" in caught.value.hint


def test_whoever_waits_gets_it_when_it_is_free(path: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with lease(path, what="it", purpose="second", timeout=30):
            got.set()

    waiter = threading.Thread(target=wait)
    with lease(path, what="it", purpose="first", timeout=0):
        waiter.start()
        assert not got.is_set()
    waiter.join(30)
    assert got.is_set()


def test_waiting_ends_after_the_timeout(path: Path) -> None:
    with (
        lease(path, what="it", purpose="first", timeout=0),
        pytest.raises(LeaseHeld) as caught,
        lease(path, what="it", purpose="second", timeout=0.2),
    ):
        pytest.fail("two hold it")
    assert caught.value.waited >= 0.2


def test_an_error_inside_frees_it_and_takes_the_note_away(path: Path) -> None:
    with pytest.raises(KeyError), lease(path, what="it", purpose="first", timeout=0):
        raise KeyError
    assert not path.with_suffix(".holder.json").exists()
    with lease(path, what="it", purpose="second", timeout=0):
        pass


def test_it_ends_with_its_process_even_by_sigkill(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LeaseHeld) as caught, lease(path, what="it", purpose="second", timeout=0):
            pytest.fail("two hold it")
        assert caught.value.holder is not None
        assert caught.value.holder.pid == process.pid
        process.kill()
    with lease(path, what="it", purpose="second", timeout=0):
        note = json.loads(path.with_suffix(".holder.json").read_bytes())
        assert note["pid"] == os.getpid()


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"pid": 1}'])
def test_a_note_that_cannot_be_read_does_not_hide_that_it_is_held(path: Path, note: str) -> None:
    with lease(path, what="it", purpose="first", timeout=0):
        path.with_suffix(".holder.json").write_text(note)
        with (
            pytest.raises(LeaseHeld, match="it is held; waited") as caught,
            lease(path, what="it", purpose="second", timeout=0),
        ):
            pytest.fail("two hold it")
        assert caught.value.holder is None


def test_its_files_are_private(path: Path) -> None:
    with lease(path, what="it", purpose="first", timeout=0):
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
