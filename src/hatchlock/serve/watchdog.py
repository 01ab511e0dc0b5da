"""A second process that outlives `run` by an instant, and ends the server when `run` could not.

`run` holds the writing end of a pipe, the watchdog the reading end: when `run` ends, in whatever way, the pipe ends. The
other way round, `run` sees the end of a second pipe when the watchdog is gone.

Both may be killed at once. So the watchdog has a second, which sleeps until both have ended, and does what is not done then.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

__all__ = [
    "CREATED",
    "DONE",
    "MARK",
    "RELEASED",
    "Cleanup",
    "Watchdog",
    "end_container",
    "end_processes",
    "kill_marked",
]

Cleanup = Callable[[bytes, int], None]
"""Gets the notes that `run` left and the watchdog's process group, and ends the server.

It must do no harm when the server has ended by itself.
"""

CREATED = b"c"
"""The note that the server exists, so that there is no race with its creation."""

DONE = b"d"
"""The note that nothing is left of the server."""

RELEASED = b"r"
"""The note that `run` has come to its end: what it has to do afterwards, it does."""

_CLEAN = b"x"
"""The note that whoever had to clean up has done it."""

MARK = "HATCHLOCK_SESSION"
"""The variable that marks the processes of a server that is not isolated."""

_CREATION_SECONDS = 10.0
_RETRY_SECONDS = 0.1
_PASSES = 5


class Watchdog:
    """The watchdog, seen from `run`.

    Attributes:
        group: Its process group, which the server's processes may join; it ends with them.
        ended: A descriptor that becomes readable when the watchdog has died, or has cleaned up.
    """

    def __init__(self, group: int, ended: int, notes: tuple[int, int], cleanup: Cleanup) -> None:
        self.group = group
        self.ended = ended
        self._notes = notes
        self._cleanup = cleanup

    @classmethod
    def start(cls, cleanup: Cleanup) -> Watchdog:
        """Fork the watchdog. The caller has no threads yet, and has not started the server.

        Args:
            cleanup: Called as soon as `run` has released the watchdog or is gone, in a process outside of the group.
        """
        (notes, notes_in), (copy, copy_in), (life, life_in) = os.pipe(), os.pipe(), os.pipe()
        # What is meant for `run` must not hit the watchdog before it has learnt to ignore it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = os.fork()
        if pid == 0:
            _watch(notes, copy, life_in, cleanup)
        os.setpgid(pid, pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for descriptor in (notes, copy, life_in):
            os.close(descriptor)
        return cls(pid, life, (notes_in, copy_in), cleanup)

    def note(self, note: bytes) -> None:
        """Leave a note for the cleanup."""
        for descriptor in self._notes:
            with contextlib.suppress(BrokenPipeError):
                os.write(descriptor, note)

    def release(self) -> None:
        """Let it clean up what is left, and wait for that; if it was killed before, clean up in its place."""
        self.note(RELEASED)
        if select.select([self.ended], [], [], 0)[0]:
            # Before it is reaped: until then nobody else can get its number.
            self._cleanup(DONE + RELEASED, self.group)
            self.note(_CLEAN)
        for descriptor in self._notes:
            os.close(descriptor)
        os.read(self.ended, 1)
        os.close(self.ended)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.group, 0)


def _watch(notes: int, copy: int, life: int, cleanup: Cleanup) -> NoReturn:
    """Be the watchdog."""
    try:
        os.setpgid(0, 0)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            with contextlib.suppress(OSError):  # the C library keeps some for itself
                signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        group = os.getpgrp()
        told, tell = os.pipe()
        if os.fork() == 0:
            _be_second(copy, told, group, cleanup)
        _keep_only((notes, life, tell))
        left = _all_of(notes)
        cleaner = os.fork()
        if cleaner == 0:
            # From outside the group, or the kill would hit the one who has more to do.
            os.setpgid(0, 0)
            cleanup(left, group)
            os.write(tell, _CLEAN)
            os._exit(0)
        os.waitpid(cleaner, 0)
    finally:
        os._exit(0)


def _be_second(notes: int, told: int, group: int, cleanup: Cleanup) -> NoReturn:
    """Wait until neither `run` nor the watchdog is there, and clean up unless one of them has."""
    try:
        os.setpgid(0, 0)
        _keep_only((notes, told))
        left = _all_of(notes)
        if _CLEAN not in left + _all_of(told):
            cleanup(left, group)
    finally:
        os._exit(0)


def _all_of(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 64), b""))


def _keep_only(keep: tuple[int, ...]) -> None:
    """The application must see the end of our stdout, and the server that of its stdin, when `run` is gone."""
    empty = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if descriptor not in keep:
            os.dup2(empty, descriptor)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  plain names are wanted
        if int(name) > 2 and int(name) not in keep:  # noqa: PLR2004  the standard streams
            with contextlib.suppress(OSError):  # the one by which the directory was read
                os.close(int(name))


def end_processes(scratch: Path | None, mark: str, groups: Sequence[Path] = ()) -> Cleanup:
    """Return the cleanup for a server of processes: kill the watchdog's group, then those that left it.

    Args:
        scratch: A directory to remove at the end (`scratch.make_scratch`).
        mark: The value of `MARK` in the server's environment, by which processes that left the group are found (Linux);
            "" when a sandbox holds them.
        groups: Directories of control groups of its own, to be removed with all that is in them.
    """
    from hatchlock.engines.cgroups import remove_groups  # noqa: PLC0415  containers do without

    def cleanup(_: bytes, group: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        if mark:
            kill_marked(mark)
        remove_groups(groups)
        if scratch is not None:
            import shutil  # noqa: PLC0415  a start does without

            shutil.rmtree(scratch, ignore_errors=True)

    return cleanup


def kill_marked(mark: str) -> None:
    """Kill the processes of a server that is not isolated, wherever they have gone (Linux).

    Args:
        mark: The value of `MARK` in its environment.
    """
    for _ in range(_PASSES):
        if not mark or not _killed(f"{MARK}={mark}".encode()):
            break


def _killed(entry: bytes) -> int:
    if sys.platform != "linux":
        return 0
    killed = 0
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and entry in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
    return killed


def end_container(remove: Callable[[], bool]) -> Cleanup:
    """Return the cleanup for a container.

    Args:
        remove: Kills and removes it and says whether there was one; raises `OSError` or `HatchlockError` when the engine
            does not answer.
    """

    def cleanup(notes: bytes, _: int) -> None:
        from hatchlock.errors import HatchlockError  # noqa: PLC0415

        patience = time.monotonic() + _CREATION_SECONDS
        while DONE not in notes and time.monotonic() < patience:
            with contextlib.suppress(HatchlockError, OSError):
                # Without the note `run` may have died while the engine was creating it: it may yet appear.
                if remove() or CREATED in notes:
                    return
            time.sleep(_RETRY_SECONDS)

    return cleanup
