"""A `Server` that is somewhere else: its messages go over HTTP, everything else about a session stays as it is.

Nothing is started for it. Messages of the application are cut into lines and carried one after the other; those that want
an answer, each in a thread of its own. A request that cannot be carried, or whose answer is lost, is answered by an error.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hatchlock.errors import HatchlockError
from hatchlock.security.denials import Denial
from hatchlock.serve.lines import LONGEST_MESSAGE, Lines
from hatchlock.serve.remote.messages import NOT_JSON, Said, answers, error_line, read
from hatchlock.serve.server import Take

__all__ = ["Bridge", "Outlet", "Way"]

_WAITING = 16
_AT_ONCE = 512
_STOPPED = 0
_FAILED = 1


class Outlet(Protocol):
    """Where a `Way` puts what comes, and how it learns that nobody wants it any more."""

    @property
    def stopped(self) -> threading.Event:
        """Set when the session is over."""

    @property
    def heard(self) -> bool:
        """Whether the server has ever said anything."""

    def deliver(self, line: bytes) -> frozenset[str]:
        """Pass a line of the server on, and return the ids, as JSON, of the requests that it answers."""

    def fail(self, requests: Sequence[str], error: HatchlockError) -> None:
        """Answer requests by an error, and say what is wrong; before anything was heard that ends the session."""

    def note(self, text: str) -> None:
        """Say what the user may want to know."""


class Way(Protocol):
    """How messages get to a server."""

    def carry(self, line: bytes, said: Said, outlet: Outlet) -> None:
        """Carry one message, and deliver what is said in answer to it; for any number of threads.

        Raises:
            HatchlockError: It could not be carried, or its answer was lost. Requests that were answered are not answered again.
        """

    def is_first(self, said: Said) -> bool:
        """Whether nothing may follow before a message was answered."""

    def end(self) -> None:
        """Take leave of the server. What is still underway comes to its end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """How the bridge speaks to the user.

    Attributes:
        say: Says a sentence.
        fail: Says an error with its hint.
    """

    say: Callable[[str], None]
    fail: Callable[[HatchlockError], None]


class Bridge:
    """A `Server` at the other end of a `Way`."""

    def __init__(
        self, name: str, way: Way, *, say: Callable[[str], None], fail: Callable[[HatchlockError], None]
    ) -> None:
        """Make a bridge; it begins with `readers`.

        Args:
            name: The server's.
            way: How its messages get there.
            say: Says a sentence to the user.
            fail: Says an error, with its hint.
        """
        self.stopped = threading.Event()
        self._name = name
        self._way = way
        self._voice = Voice(say=say, fail=fail)
        self._lines = Lines(LONGEST_MESSAGE)
        self._coming: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._out: Take | None = None
        self._speaking = threading.Lock()
        self._heard = False
        self._open: set[str] = set()
        self._underway = 0
        self._idle = threading.Condition()
        self._over = threading.Event()
        self._status = _STOPPED

    @property
    def heard(self) -> bool:
        """Whether the server has ever said anything."""
        return self._heard

    def send(self, data: bytes) -> None:
        """Take bytes of the application's; block while earlier ones are not on their way."""
        for line in self._lines.feed(data):
            self._enqueue(line)

    def end_input(self) -> None:
        """Let what is underway come to its end, and then end."""
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            if rest := self._lines.rest():
                self._enqueue(rest)
            self._enqueue(None)

    def readers(self, out: Take, err: Take) -> Sequence[Callable[[], None]]:  # noqa: ARG002  it has no stderr
        """Begin, and return what ends with it."""
        self._out = out
        threading.Thread(target=self._carry_all, daemon=True).start()
        return (self._wait_over,)

    def stop(self) -> None:
        """Take leave at once; what is underway is lost."""
        if not self.stopped.is_set():
            self.stopped.set()
            threading.Thread(target=self._leave, args=(_STOPPED,), daemon=True).start()

    def kill(self) -> None:
        """Be gone."""
        self.stopped.set()
        self._finish(_STOPPED)

    def wait(self) -> int:
        """Wait for its end."""
        self._over.wait()
        return self._status

    def explain(self, status: int) -> str:  # noqa: ARG002
        """Say nothing: what was wrong was said with its hint."""
        return ""

    def limits_met(self) -> Sequence[Denial]:
        """Return nothing: there are no limits of ours."""
        return ()

    def close(self) -> None:
        """Be gone."""
        self.kill()

    def deliver(self, line: bytes) -> frozenset[str]:
        """Pass a line of the server on."""
        answered = answers(line)
        self._heard = True
        with self._idle:
            self._open -= answered
        self._speak(line)
        return answered

    def fail(self, requests: Sequence[str], error: HatchlockError) -> None:
        """Answer requests by an error."""
        error.address = error.address or f"server:{self._name}"
        with self._idle:
            lost = [item for item in requests if item in self._open]
            self._open.difference_update(lost)
        for item in lost:
            self._speak(error_line(item, f"{self._name}: {error}" + (f" ({error.hint})" if error.hint else "")))
        taken_back = bool(requests) and not lost
        if taken_back or self.stopped.is_set():
            return
        self._voice.fail(error)
        if not self._heard:
            self._finish(_FAILED)

    def note(self, text: str) -> None:
        """Say what the user may want to know."""
        self._voice.say(text)

    def _enqueue(self, line: bytes | None) -> None:
        while not self._over.is_set():
            try:
                self._coming.put(line, timeout=1.0)
            except queue.Full:
                continue
            return
        raise BrokenPipeError

    def _carry_all(self) -> None:
        while (line := self._coming.get()) is not None and not self._over.is_set():
            said = read(line)
            if said is None:
                if line.strip():
                    self._speak(error_line("null", f"{self._name}: what was sent is no JSON", code=NOT_JSON))
                continue
            if not self._admitted(said):
                continue
            if said.requests and not self._way.is_first(said):
                threading.Thread(target=self._carry, args=(line, said), daemon=True).start()
            else:
                self._carry(line, said)
        with self._idle:
            self._idle.wait_for(lambda: self._underway == 0 or self._over.is_set())
        self._leave(_STOPPED)

    def _admitted(self, said: Said) -> bool:
        with self._idle:
            if len(self._open) + len(said.requests) > _AT_ONCE:
                full = True
            else:
                full = False
                self._open.update(said.requests)
                self._underway += 1
        if full:
            for item in said.requests:
                self._speak(error_line(item, f"{self._name}: more than {_AT_ONCE} requests at once"))
        return not full

    def _carry(self, line: bytes, said: Said) -> None:
        try:
            if said.cancels:
                with self._idle:
                    self._open.discard(said.cancels)  # nobody waits for its answer
            self._way.carry(line, said, self)
        except HatchlockError as error:
            self.fail(said.requests, error)
        finally:
            with self._idle:
                self._underway -= 1
                self._idle.notify_all()

    def _speak(self, line: bytes) -> None:
        if self._out is not None:
            with self._speaking:
                self._out(line)

    def _leave(self, status: int) -> None:
        self.stopped.set()
        self._way.end()
        self._finish(status)

    def _finish(self, status: int) -> None:
        with self._idle:
            if not self._over.is_set():
                self._status = status
                self._over.set()
                self._idle.notify_all()
        self.stopped.set()
        with contextlib.suppress(queue.Full):  # else whoever carries looks by itself
            self._coming.put_nowait(None)

    def _wait_over(self) -> None:
        self._over.wait()
