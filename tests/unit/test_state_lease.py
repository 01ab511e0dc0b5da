from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hatchlock.events import Event
from hatchlock.state.lease import LeaseHeld, lease

HOLDER = """
import sys
from pathlib import Path
from hatchlock.state.lease import lease
with lease(Path(sys.argv[1]), what="it", purpose="apply", timeout=0):
    print("held", flush=True)
    sys.stdin.read()
"""


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


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
        f"since {holder.since.removesuffix('+00:00')}Z; waited {caught.value.waited:g} s"
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


def test_a_holder_that_was_killed_is_not_named_though_another_process_has_its_pid(path: Path) -> None:
    with lease(path, what="it", purpose="first", timeout=0):
        note = path.with_suffix(".holder.json")
        before = json.loads(note.read_bytes())
        boot, namespace, pid, begun = before["process"].split()
        for process in (f"{boot} {namespace} {pid} {int(begun) - 1}", f"{boot} {namespace} 4194304 1"):
            note.write_text(json.dumps({**before, "process": process}))
            with pytest.raises(LeaseHeld) as caught, lease(path, what="it", purpose="second", timeout=0):
                pytest.fail("two hold it")
            assert caught.value.holder is None
        note.write_text(json.dumps({name: value for name, value in before.items() if name != "process"}))
        with pytest.raises(LeaseHeld) as caught, lease(path, what="it", purpose="second", timeout=0):
            pytest.fail("two hold it")
        assert caught.value.holder is not None, "an older hatchlock does not say which process it is"


def test_who_waits_longer_than_half_a_second_is_told_for_whom(path: Path) -> None:
    told: list[Event] = []
    with lease(path, what="it", purpose="first", timeout=0):
        for timeout in (0, 0.3, 0.7):
            with pytest.raises(LeaseHeld), lease(path, what="it", purpose="second", timeout=timeout, emit=told.append):
                pytest.fail("two hold it")
    assert [event.name for event in told] == ["lease.wait"]
    assert told[0].message.startswith(f"it, held by `first`, process {os.getpid()} on {socket.gethostname()}, since ")
    assert told[0].data["pid"] == os.getpid()


def test_a_lease_that_does_not_last_leaves_no_file_and_is_held_by_one_at_a_time(path: Path) -> None:
    inside: list[int] = []

    def hold(number: int) -> None:
        for _ in range(20):
            with lease(path, what="it", purpose=str(number), timeout=60, lasting=False):
                inside.append(number)
                assert inside == [number]
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, range(4)))
    assert list(path.parent.iterdir()) == []


@as_root
def test_on_a_read_only_disk_the_place_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    mounts = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    command = ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", sys.executable, "-c", HOLDER]
    done = subprocess.run([*command, str(tmp_path / "lease.lock")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"hatchlock.errors.PermissionProblem: {tmp_path}: the file system is read-only" in done.stderr
