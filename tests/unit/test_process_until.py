"""Programs that end when nobody waits for them any more."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from hatchlock.process import ProcessFailed, run_until
from support.runs import wait_for

ENV = {"PATH": os.environ["PATH"]}


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_what_it_started_is_gone_with_it(tmp_path: Path) -> None:
    stopped = threading.Event()
    script = "sleep 60 & echo $! > child; mv child ready; wait"

    def stop() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        stopped.set()

    threading.Thread(target=stop).start()
    with pytest.raises(CancelledError):
        run_until(stopped, ["sh", "-c", script], env=ENV, cwd=tmp_path, timeout=60)
    child = int((tmp_path / "ready").read_text())
    assert wait_for(lambda: is_gone(child))


def test_it_is_like_any_other_program_when_nobody_stops_it(tmp_path: Path) -> None:
    never = threading.Event()
    assert run_until(never, ["pwd"], env=ENV, cwd=tmp_path, timeout=60).decode().strip() == str(tmp_path)
    with pytest.raises(ProcessFailed, match="status 3:\n  why") as caught:
        run_until(never, ["sh", "-c", "echo why >&2; exit 3"], env=ENV, cwd=tmp_path, timeout=60)
    assert caught.value.status == 3
    with pytest.raises(ProcessFailed, match="could not be started"):
        run_until(never, ["no-such-program"], env=ENV, cwd=tmp_path, timeout=60)
    with pytest.raises(ProcessFailed, match="no end within"):
        run_until(never, ["sleep", "60"], env=ENV, cwd=tmp_path, timeout=0.2)
