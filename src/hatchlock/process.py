"""Programs that are run to the end, with their output kept; and names of processes that are never given twice."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError

__all__ = [
    "ProcessFailed",
    "end_children",
    "on_path",
    "owner",
    "owner_is_gone",
    "process_has_ended",
    "run",
    "run_until",
    "sparing_children",
    "started",
]

_TAIL = 20
_GLANCE = 0.1
_ENDED = {"Z", "X"}
"""States of a process that has ended and that nobody has asked about: an application may not care."""


@dataclass(kw_only=True, eq=False)
class ProcessFailed(HatchlockError):
    """A program that we ran ended with an error, or could not be started."""

    code: ClassVar[str] = "process-failed"

    argv: tuple[str, ...]
    status: int | None
    output: str

    def __str__(self) -> str:
        ended = "could not be started" if self.status is None else f"ended with status {self.status}"
        tail = "\n  ".join(self.output.strip().splitlines()[-_TAIL:])
        return f"{self.argv[0]} {ended}" + (f":\n  {tail}" if tail else "")

    def _hint(self) -> str:
        if os.strerror(errno.ENOSPC) in self.output:
            return "make room on that disk, then run the same command again"
        return ""


def on_path(name: str, path: str) -> str | None:
    """Return the first program of a name on a PATH, or None.

    Entries that are not absolute are passed over, the empty one too, which means where we happen to be: whoever can write
    there, a server with its workspace for one, would choose what we run.
    """
    for directory in path.split(os.pathsep):
        candidate = f"{directory}/{name}"
        if directory.startswith("/") and os.access(candidate, os.X_OK) and Path(candidate).is_file():
            return candidate
    return None


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    umask: int = 0o022,
    keep_open: Sequence[int] = (),
    new_session: bool = False,
) -> bytes:
    """Run a program to its end and return its stdout.

    Args:
        argv: The program and its arguments; no shell is involved.
        env: Its whole environment.
        cwd: Its working directory.
        stdin: What it reads.
        timeout: Seconds after which it is killed.
        umask: Its umask, whatever ours is.
        keep_open: File descriptors that it inherits. A kernel lock on one of them is held until it, too, has ended.
        new_session: Whether it loses our terminal, on which it could ask something.

    Raises:
        ProcessFailed: It is missing, exits with another status than 0, or takes too long.
    """
    try:
        with started(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=umask,
            pass_fds=tuple(keep_open),
            start_new_session=new_session,
        ) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout=timeout)
            finally:
                # it has ended, unless something kept us from waiting for that
                process.kill()
    except OSError as error:
        raise ProcessFailed(argv=tuple(argv), status=None, output=str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(argv=tuple(argv), status=None, output=f"no end within {timeout} s") from error
    if process.returncode != 0:
        raise ProcessFailed(
            argv=tuple(argv), status=process.returncode, output=(stderr or stdout).decode(errors="replace")
        )
    return stdout


class _Children:
    """The programs that run now, and whether they are spared what our terminal sends us. One of a process, as its signals."""

    spared = 0
    leaders: ClassVar[set[subprocess.Popen[bytes]]] = set()


@contextlib.contextmanager
def sparing_children() -> Iterator[None]:
    """Start programs in sessions of their own inside the block: ctrl-C on our terminal is for us, and they finish their work.

    They have no terminal then, and can ask nothing there.
    """
    _Children.spared += 1
    try:
        yield
    finally:
        _Children.spared -= 1


def end_children() -> None:
    """Kill the programs that `sparing_children` has spared, with everything of their sessions. Takes no lock: for signals."""
    for leader in tuple(_Children.leaders):
        # once its end was waited for, the number may be somebody else's
        if leader.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader.pid, signal.SIGKILL)


@contextlib.contextmanager
def started(
    argv: Sequence[str], *, start_new_session: bool = False, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and wait for its end when the block ends.

    Args:
        argv: The program and its arguments; no shell is involved.
        start_new_session: Whether it is in a session of its own in any case.
        options: As `subprocess.Popen`.

    Raises:
        OSError: It could not be started.
    """
    own_session = start_new_session or _Children.spared > 0
    with _deaf_to_interrupts() if own_session else contextlib.nullcontext():
        process = subprocess.Popen(list(argv), start_new_session=own_session, **options)
    with process:
        if own_session:
            _Children.leaders.add(process)
        try:
            yield process
        finally:
            _Children.leaders.discard(process)


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start programs that no ctrl-C reaches: one that comes between their fork and their own session would end them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_until(
    stopped: threading.Event, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float
) -> bytes:
    """Run a program in a session of its own, to its end or until an event, and return its stdout.

    Whatever ends the wait, the program is gone afterwards, with everything of its session.

    Args:
        stopped: The event; another thread sets it.
        argv: The program and its arguments; no shell is involved.
        env: Its whole environment.
        cwd: Its working directory.
        timeout: Seconds after which it is killed.

    Raises:
        CancelledError: The event is set.
        ProcessFailed: It is missing, exits with another status than 0, or takes too long.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=0o022,
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessFailed(argv=tuple(argv), status=None, output=str(error)) from error
    deadline = time.monotonic() + timeout
    with process:
        try:
            stdout, stderr = _read_until(stopped, process, deadline)
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(argv=tuple(argv), status=None, output=f"no end within {timeout} s") from error
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise ProcessFailed(
            argv=tuple(argv), status=process.returncode, output=(stderr or stdout).decode(errors="replace")
        )
    return stdout


def _read_until(stopped: threading.Event, process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    while not stopped.is_set():
        try:
            return process.communicate(timeout=_GLANCE)
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise
    from concurrent.futures import CancelledError  # noqa: PLC0415  it loads logging, and few are ever stopped

    raise CancelledError


def owner(pid: int) -> str:
    """Return words that name a process of this machine for ever: boot, pid namespace, pid, start time; "" off Linux."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
        return f"{boot} {namespace} {pid} {_start_time(pid)}"
    except OSError:
        return ""


def owner_is_gone(name: str) -> bool:
    """Whether `owner` named a process that provably does not run any more: same boot, same namespace, no such process."""
    boot, _, rest = name.partition(" ")
    namespace, _, process = rest.partition(" ")
    pid, _, _ = process.partition(" ")
    if not pid.isdigit() or not owner(os.getpid()).startswith(f"{boot} {namespace} "):
        return False
    return owner(int(pid)) != name


def process_has_ended(name: str, pid: int) -> bool:
    """Whether a process of this machine is gone: it does not run any more, or was of another boot.

    Args:
        name: What `owner` called it; "" off Linux.
        pid: Its number, by which it is looked for where processes have no such names.
    """
    here = owner(os.getpid())
    if not here or not name:
        return not _exists(pid)
    return name.partition(" ")[0] != here.partition(" ")[0] or owner_is_gone(name)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_time(pid: int) -> str:
    """Clock ticks since boot, field 22; the command before it may hold anything, blanks and brackets too."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = status.rpartition(")")[2].split()
    if fields[0] in _ENDED:
        raise ProcessLookupError(pid)
    return fields[19]
