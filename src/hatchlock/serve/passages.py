"""The passages of a session: what its launch record has looked at, on the way to the server and back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError, PermissionProblem, RefusedError
from hatchlock.launch import LaunchRecord
from hatchlock.serve.gate import Gate
from hatchlock.serve.lines import is_message
from hatchlock.serve.long_messages import LongMessage
from hatchlock.serve.passage import Passage, Verdict
from hatchlock.serve.traffic import in_thread
from hatchlock.state.surfaces import Difference, remember_surface, surface_path
from hatchlock.surface import SurfaceRules, value_hash

__all__ = ["Passing", "PinsStale", "Surroundings", "check_pins", "gate_of"]

_MOST = 100
"""Lines on differences told in one session; a server that lists something else each time must not fill the log."""


@dataclass(kw_only=True, eq=False)
class PinsStale(HatchlockError):
    """What was pinned of a server is another artefact than the one that would be started."""

    code: ClassVar[str] = "pins-stale"
    exit_status: ClassVar[int] = RefusedError.exit_status

    server: str

    def __str__(self) -> str:
        return (
            f"{self.server} is not what it was when its tools were pinned, so nobody has approved of what it offers now"
        )

    def _hint(self) -> str:
        return f"look at what it offers and pin that: `hatchlock pin {self.server}`, then `hatchlock apply`"


def check_pins(record: LaunchRecord) -> None:
    """Refuse a server whose pins are those of another artefact, unless it is only to be warned of.

    Raises:
        PinsStale: They are.
    """
    rules = record.surface
    if rules and rules.pins and rules.pins.stale and rules.changed != "warn":
        raise PinsStale(address=f"server:{record.server}", server=record.server)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Who learns what a gate finds.

    Attributes:
        launch: The launch record's digest, as it was applied.
        say: Takes what people should read.
        state: The project's state, where `status` looks; None for a session that does not count.
    """

    launch: str
    say: Callable[[str], None]
    state: Path | None


def gate_of(rules: SurfaceRules, server: str, around: Surroundings) -> Gate:
    """Return the gate of a server's session, whose findings are said once and kept for `status`."""
    if rules.pins and rules.pins.stale:
        around.say(f"{server} is not what it was when its tools were pinned; look at `hatchlock pin {server}`")
    if rules.pins:
        in_thread(_load_hashing)
    file = surface_path(around.state, server) if around.state and rules.pins else None
    return Gate(rules, server=server, report=_Findings(rules, server, around, file).report)


def _load_hashing() -> None:
    value_hash(None)  # before a listing comes that would have to wait for it


class Passing:
    """A session's messages on their way through its passages: `sent` is called by one thread, the other methods by another.

    Attributes:
        refused: Why the session was ended; None while it was not.
    """

    def __init__(
        self,
        passage: Passage,
        *,
        send: Callable[[bytes], None],
        put: Callable[[bytes], None],
        end: Callable[[HatchlockError], None],
    ) -> None:
        """Put a passage between two sides.

        Args:
            passage: Decides.
            send: Takes what goes to the server; its `OSError` goes on.
            put: Takes what goes to the application; both threads call it.
            end: Called when the session is to end, and why.
        """
        self._passage = passage
        self._send = send
        self._put = put
        self._end = end
        self._putting = threading.Lock()
        self._is_within = False
        self._waiting = b""
        self.refused: HatchlockError | None = None

    def sent(self, line: bytes) -> None:
        """Take a line of the application's."""
        verdict = self._passage.sent(line)
        self._answer(verdict.answer, verdict.end)
        if verdict.forward:
            self._send(verdict.forward)

    def received(self, line: bytes) -> None:
        """Take a message of the server's."""
        verdict = self._passage.received(line)
        self._answer(verdict.answer + verdict.forward, verdict.end)

    def begun(self, pieces: Iterable[bytes], noise: Callable[[bytes], None]) -> Callable[[bytes], None] | None:
        """Take the beginning of a long message of the server's, if it may go on before its end has come.

        At its end the passage decides about it without the inside of the strings that have gone on. What it does not let pass
        then is an unfinished line, and what it answers comes behind that.

        Args:
            pieces: The beginning, without the end of the line.
            noise: Gets it at its end, if it is no message after all.

        Returns:
            What takes the pieces that follow: the last one ends with the newline, or is empty at the end of the stream. None
            for a message that has to be whole.
        """
        message = LongMessage()
        going = [message.feed(piece) for piece in pieces]
        if self.refused or not message.gone:
            return None
        with self._putting:
            self._is_within = True  # from here on nobody else puts anything
        for piece in going:
            self._put(piece)

        def take(piece: bytes) -> None:
            self._put(message.feed(piece))
            if not piece or piece.endswith(b"\n"):
                self._finish(message, noise)

        return take

    def _finish(self, message: LongMessage, noise: Callable[[bytes], None]) -> None:
        line, verdict = message.gone + message.kept, Verdict()
        if is_message(line):
            verdict = self._passage.received(line)
        else:
            noise(line)
        rest = verdict.forward.removeprefix(message.gone) if verdict.forward.startswith(message.gone) else b"\n"
        with self._putting:
            self._put(rest + verdict.answer + self._waiting)
            self._waiting = b""
            self._is_within = False
        self._ended(verdict.end)

    def _answer(self, data: bytes, end: HatchlockError | None) -> None:
        if data:
            with self._putting:
                if self._is_within:
                    self._waiting += data
                else:
                    self._put(data)
        self._ended(end)

    def _ended(self, end: HatchlockError | None) -> None:
        if end:
            self.refused = end
            self._end(end)


class _Findings:
    """Says and keeps what differs; a difference once in a session, and nothing that matches afterwards."""

    def __init__(self, rules: SurfaceRules, server: str, around: Surroundings, file: Path | None) -> None:
        self._server = server
        self._around = around
        self._file = file
        outcome = {"refuse": "refused", "filter": "left out", "warn": "passed on all the same"}[rules.changed]
        self._what = f"not as pinned, {outcome}" if rules.pins else "withheld"
        self._told: set[str] = set()
        self._differed = Difference()
        self._kept: Difference | None = None

    def report(self, difference: Difference, details: tuple[str, ...]) -> None:
        for line in details:
            if line not in self._told and len(self._told) < _MOST:
                self._told.add(line)
                self._around.say(f"{self._server}: {self._what}: {line}")
        self._differed = (self._differed | difference).cut
        if self._file is not None and self._differed != self._kept:
            self._kept = self._differed
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            # it was said: a store that is full, or read-only, must not end the session
            with contextlib.suppress(OSError, PermissionProblem):
                remember_surface(self._file, self._around.launch, self._differed, now=now)
