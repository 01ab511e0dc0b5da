"""Keeping a server that stays: a process that starts it, starts it again when it has ended, and ends with it.

    keeper ──forks──▶ run ──▶ watchdog, server         each life of the server is a process of its own, which is `run`'s
       ▲                │                               equal: its end leaves nothing, and it ends when the keeper does
       └── its status ──┘

The keeper has one thread and opens nothing: it waits for the end of a run, for a signal, or for the time to start the next.
Who keeps what stands in `state.keepers`; keeper and run write it in turns, each while the other one does not.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Self

from hatchlock.state.keepers import Keeper, is_held_by_name, now, read_kept, write_keeper

__all__ = ["USUAL", "Pace", "detached", "keep"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_GLANCE = 5.0
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
    life: Callable[[], int],
    *,
    hold: int,
    grace: float,
    say: Callable[[str], None],
    pace: Pace = USUAL,
) -> int:
    """Keep a server until a signal, or until the state that names this keeper is gone.

    To be called in the main thread of a process without other threads: it forks.

    Args:
        root: The project's state.
        keeper: What is written of it.
        life: Serves the server once, in a process of its own; returns its status.
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
            run = _forked(life, waiting)
            write_keeper(root, replace(keeper, phase="starting", began=now(), run=run))
            if reason := _until_end(root, keeper.server, run, hold, waiting):
                _end(run, grace, waiting)
                return reason
            status = _status(run)
            seen = read_kept(root, keeper.server) or keeper
            is_long = seen.health == "healthy" and time.monotonic() - began >= pace.healthy
            failures = 1 if is_long else failures + 1
            pause = pace.pause(failures)
            keeper = _ended(seen, keeper, status)
            say(f"{keeper.server} is started again in {pause:g} s: {keeper.said}")
            write_keeper(root, keeper)
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
        self.forget()

    def forget(self) -> None:
        """Let signals do what they do by themselves."""
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


def _forked(life: Callable[[], int], waiting: _Waiting) -> int:
    # what is meant for us must not hit the child before it has learnt what to do with it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    pid = os.fork()
    if pid == 0:
        _live(life, waiting, before)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _live(life: Callable[[], int], waiting: _Waiting, mask: set[int | signal.Signals]) -> NoReturn:
    """Be the child."""
    status = 1
    try:
        waiting.forget()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = life()
    finally:
        os._exit(status & 0xFF)


def _until_end(root: Path, server: str, run: int, hold: int, waiting: _Waiting) -> int:
    """Return why we end; 0 when the run has ended, which is not reaped yet."""
    while not _has_ended(run):
        waiting.glance(_GLANCE)
        if waiting.reason:
            return waiting.reason
        if not is_held_by_name(root, server, hold):
            return 1
    return waiting.reason


def _has_ended(run: int) -> bool:
    return os.waitid(os.P_PID, run, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _status(run: int) -> int:
    status = os.waitstatus_to_exitcode(os.waitpid(run, 0)[1])
    return status if status >= 0 else 128 - status


def _end(run: int, grace: float, waiting: _Waiting) -> None:
    """End a run, as its application would; and if it does not end, kill it: then its watchdog ends the server."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(run, signal.SIGTERM)
    deadline = time.monotonic() + grace + _END_SECONDS
    while not _has_ended(run):
        left = deadline - time.monotonic()
        if left <= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(run, signal.SIGKILL)
            break
        waiting.glance(min(left, _GLANCE))
    _status(run)


def _ended(seen: Keeper, keeper: Keeper, status: int) -> Keeper:
    """Return what is written of a server that has ended: its run may have said why it could not be started."""
    why = seen.said if seen.health == "failed" and seen.run == 0 else f"it ended with status {status}"
    return replace(
        keeper, phase="waiting", began=seen.began, run=0, health="failed", said=why, checked=now(), seconds=0.0
    )
