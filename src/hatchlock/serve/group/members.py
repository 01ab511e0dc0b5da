"""The servers of a group as processes: each is a `hatchlock run` with pipes, and nobody waits for one that does not read."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hatchlock.serve.lines import LONGEST_MESSAGE, Lines
from hatchlock.serve.talk import write_all

__all__ = ["Member", "Outlet", "Running", "read_lines"]

_CHUNK = 1 << 16
_ROOM = 8 << 20
_MOST = 2 * LONGEST_MESSAGE
_STUCK_SECONDS = 30.0
_KILL_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A server of a group.

    Attributes:
        server: Its name.
        command: Its `run`, in exec form.
        patience: Seconds that it may take to answer `initialize`, or a listing.
        grace: Seconds that it may take to end when its input has ended.
    """

    server: str
    command: Sequence[str]
    patience: float
    grace: float


class Outlet:
    """Writes to a descriptor in a thread of its own: whoever has something for it need not wait.

    Args:
        descriptor: Where to; it is closed at the end.
        broken: Called when nobody reads there any more.
    """

    def __init__(self, descriptor: int, broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._broken = broken
        self._lines: deque[bytes] = deque()
        self._held = 0
        self._moved = time.monotonic()
        self._is_finished = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether too much waits to be read."""
        return self._held > _ROOM

    @property
    def is_stuck(self) -> bool:
        """Whether nothing of that was taken for long, or it is more than can be kept: messages can be long themselves."""
        return self._held > _MOST or (self.is_full and time.monotonic() - self._moved > _STUCK_SECONDS)

    def put(self, line: bytes) -> None:
        """Add a line; it is written as soon as the ones before it are."""
        with self._changed:
            if not self._is_finished:
                if not self._held:
                    self._moved = time.monotonic()
                self._lines.append(line)
                self._held += len(line)
                self._changed.notify_all()

    def wait_for_room(self) -> None:
        """Wait while too much waits to be read."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_full or self._is_finished)

    def finish(self) -> None:
        """Close it when everything is written."""
        with self._changed:
            self._is_finished = True
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """Wait until it is closed."""
        self._thread.join(seconds)

    def _write(self) -> None:
        try:
            while (line := self._next()) is not None:
                for at in range(0, len(line), _CHUNK):
                    write_all(self._descriptor, line[at : at + _CHUNK])
                    self._moved = time.monotonic()
                with self._changed:
                    self._held -= len(line)
                    self._changed.notify_all()
        except OSError:
            self.finish()
            self._broken()
        finally:
            os.close(self._descriptor)

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._is_finished)
            return self._lines.popleft() if self._lines else None


class Running:
    """A server of a group that runs.

    Args:
        member: Which.
        environ: The environment of its `run`.
    """

    def __init__(self, member: Member, environ: Mapping[str, str]) -> None:
        self.member = member
        self._process = subprocess.Popen(
            list(member.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None or self._process.stderr is None:
            raise RuntimeError("it was started with pipes")
        self._stdout, self._stderr = self._process.stdout, self._process.stderr
        # a copy, which is the outlet's own: Popen would close its own at any time
        descriptor = os.dup(self._process.stdin.fileno())
        self._process.stdin.close()
        self.input = Outlet(descriptor, lambda: None)  # its end is told of by its output

    def read(self, take: Callable[[bytes], None]) -> None:
        """Give away the lines that it says, until it ends."""
        with self._stdout:
            read_lines(self._stdout.fileno(), take)

    def overhear(self, take: Callable[[bytes], None]) -> None:
        """Give away the lines that it, or its `run`, writes to stderr, until it ends."""
        with self._stderr:
            read_lines(self._stderr.fileno(), take)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; return whether it has come."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def stop(self) -> None:
        """Ask its `run` to end it."""
        self.input.finish()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """See to its end, by harder ways if it takes too long. Its input has ended, or it was stopped."""
        patience = self.member.grace + _KILL_SECONDS
        if self.wait(patience):
            return
        self.stop()
        if not self.wait(patience):
            self._process.kill()  # its watchdog sees to the server
            self._process.wait()


def read_lines(descriptor: int, take: Callable[[bytes], None]) -> None:
    """Give away the lines that come from a descriptor, the last one also without its newline, until they end."""
    lines = Lines(LONGEST_MESSAGE)
    with contextlib.suppress(OSError):
        while data := os.read(descriptor, _CHUNK):
            for line in lines.feed(data):
                take(line)
    if rest := lines.rest():
        take(rest)
