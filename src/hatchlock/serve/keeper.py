"""Keeping a server that stays: a process that starts it, starts it again when it has ended, and ends with it.

    keeper ──starts──▶ run ──▶ watchdog, server        each run of the server is a process of its own, and `run`'s equal:
       ▲                │                               its end leaves nothing, and it ends when the keeper does
       └── its status ──┘

The keeper waits for the end of a run, for a signal, or for the time to start the next, and does nothing else. A run is a new
program each time, so a hatchlock that was upgraded meanwhile is one with itself.
Who keeps what stands in `state.keepers`; keeper and run write it in turns, each while the other one does not.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from hatchlock.state.keepers import Keeper, is_held_by_name, note_keeper, now, read_kept, write_keeper

__all__ = ["USUAL", "Pace", "detached", "keep"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_GLANCE = 2.0
"""Seconds after which a keeper looks whether the state that names it is still there."""
_END_SECONDS = 15.0
"""What the end of a run may take besides the server's own grace time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """When a server that has ended is started again.

    Attributes:
        first: Seconds after the first time; each further time twice as many.
        longest: At most so many.
        healthy: A run that has answered for so many seconds makes the next one the first again.
    """

    first: float = 1.0
    longest: float = 60.0
    healthy: float = 60.0

    def pause(self, failures: int) -> float:
        """Return the seconds until the next start, after so many failures in a row."""
        return float(min(self.first * 2 ** min(failures - 1, 16), self.longest))


USUAL = Pace()


def detached() -> bool:
    """Go on in a process of its own that no terminal and no application has; False in the one that came here.

    Its standard streams are nothing, its directory is the root.
    """
    if os.fork():
        return False
    os.setsid()
    os.chdir("/")
    empty = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(empty, descriptor)
    if empty > 2:  # noqa: PLR2004  the standard streams
        os.close(empty)
    return True


def keep(
    root: Path,
    keeper: Keeper,
    start: Callable[[], subprocess.Popen[bytes]],
    *,
    hold: int,
    grace: float,
    say: Callable[[str], None],
    pace: Pace = USUAL,
) -> int:
    """Keep a server until a signal, or until the state that names this keeper is gone.

    To be called in the main thread.

    Args:
        root: The project's state.
        keeper: What is written of it.
        start: Starts a process that serves the server once, ends it on SIGTERM, and ends with its parent.
        hold: What holds the server (`state.keepers.holding`).
        grace: Seconds that the server gets to end by itself.
        say: Takes what people should read.
        pace: When it is started again.

    Returns:
        128+N after signal N; 1 when the state was gone.
    """
    write_keeper(root, keeper)
    with _Waiting() as waiting:
        failures = 0
        while True:
            began = time.monotonic()
            run, why = _started(start)
            if run is not None:
                note_keeper(root, replace(keeper, phase="starting", began=now(), run=run.pid))
                if reason := _until_end(root, keeper.server, run, hold, waiting):
                    _end(run, grace, waiting)
                    return reason
                why = f"it ended with status {_status(run)}"
            seen = read_kept(root, keeper.server) or keeper
            is_long = seen.health == "healthy" and time.monotonic() - began >= pace.healthy
            failures = 1 if is_long else failures + 1
            pause = pace.pause(failures)
            keeper = _ended(seen, keeper, why)
            say(f"{keeper.server} is started again in {pause:g} s: {keeper.said}")
            note_keeper(root, keeper)
            if reason := waiting.wait(pause):
                return reason
            keeper = replace(keeper, restarts=keeper.restarts + 1)


class _Waiting:
    """Signals and ends of children, waited for in one place, by a pipe into which the interpreter writes."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self.reason = 0

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            signal.signal(number, self._take)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._in, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number in (*_SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._out)
        os.close(self._in)

    def wait(self, seconds: float) -> int:
        """Wait for a signal that ends us, and return 128 and its number; 0 when the time is over."""
        deadline = time.monotonic() + seconds
        while not self.reason and (left := deadline - time.monotonic()) > 0:
            self.glance(left)
        return self.reason

    def glance(self, seconds: float) -> None:
        """Wait until something has happened, or the time is over."""
        select.select([self._out], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._out, 64):
                pass

    def _take(self, number: int, _: object) -> None:
        self.reason = self.reason or 128 + number


def _started(start: Callable[[], subprocess.Popen[bytes]]) -> tuple[subprocess.Popen[bytes] | None, str]:
    """Start a run; else return why it cannot be: hatchlock may have been moved, or is just being upgraded."""
    try:
        return start(), ""
    except OSError as error:
        return None, str(error)


def _until_end(root: Path, server: str, run: subprocess.Popen[bytes], hold: int, waiting: _Waiting) -> int:
    """Return why we end; 0 when the run has ended."""
    while run.poll() is None:
        waiting.glance(_GLANCE)
        if waiting.reason:
            return waiting.reason
        if not is_held_by_name(root, server, hold):
            return 1
    return waiting.reason


def _end(run: subprocess.Popen[bytes], grace: float, waiting: _Waiting) -> None:
    """End a run, as its application would; and if it does not end, kill it: then its watchdog ends the server."""
    run.terminate()
    deadline = time.monotonic() + grace + _END_SECONDS
    while run.poll() is None:
        left = deadline - time.monotonic()
        if left <= 0:
            run.kill()
            run.wait()
            return
        waiting.glance(min(left, _GLANCE))


def _status(run: subprocess.Popen[bytes]) -> int:
    status = run.wait()
    return status if status >= 0 else 128 - status


def _ended(seen: Keeper, keeper: Keeper, why: str) -> Keeper:
    """Return what is written of a server that has ended: its run may have said why it could not be started."""
    said = seen.said if seen.health == "failed" and seen.run == 0 and seen.phase == "waiting" else why
    return replace(keeper, phase="waiting", began=seen.began, run=0, health="failed", said=said, checked=now())
