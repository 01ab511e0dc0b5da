"""Who may change what goes through a session: a passage looks at each message, in both directions.

    application ── sent ──▶ outermost ──▶ … ──▶ innermost ──▶ server
    application ◀─ received ─ outermost ◀── … ◀── innermost ◀── server

The gate is one; the audit of calls is another, outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hatchlock.errors import HatchlockError

__all__ = ["Chain", "Passage", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a line.

    Attributes:
        forward: What goes on in its direction: the very bytes that came where nothing is to change; b"" for nothing.
        answer: What the application gets instead, or besides: whole lines; b"" for nothing.
        end: Why the session ends after that; None to go on.
    """

    forward: bytes = b""
    answer: bytes = b""
    end: HatchlockError | None = None


class Passage(Protocol):
    """Looks at messages. The two methods are called by two threads, each of them in the order in which lines come."""

    def sent(self, line: bytes) -> Verdict:
        """Judge a line of the application's: newline included, unless it is the last one or longer than `LONGEST_MESSAGE`."""

    def received(self, line: bytes) -> Verdict:
        """Judge a line of the server's, of those that `lines.is_message` takes for messages."""


class Chain:
    """Several passages, one behind the other, as one."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        """Put passages in a row, the one next to the application first.

        What an inner one answers goes out through the ones before it, as if the server had said it.
        """
        self._passages = tuple(passages)

    def sent(self, line: bytes) -> Verdict:
        """Let a line of the application's pass all of them, until one keeps it."""
        places = range(len(self._passages))
        return self._through(line, places, [passage.sent for passage in self._passages])

    def received(self, line: bytes) -> Verdict:
        """Let a line of the server's pass all of them, until one keeps it."""
        places = reversed(range(len(self._passages)))
        return self._through(line, places, [passage.received for passage in self._passages])

    def _through(self, line: bytes, places: Iterable[int], judge: Sequence[Callable[[bytes], Verdict]]) -> Verdict:
        answers, end = b"", None
        for place in places:
            verdict = judge[place](line)
            answers += self._out(verdict.answer, before=place)
            end = end or verdict.end
            line = verdict.forward
            if not line:
                break
        return Verdict(line, answers, end)

    def _out(self, answer: bytes, *, before: int) -> bytes:
        lines = answer.splitlines(keepends=True)
        for passage in reversed(self._passages[:before]):
            lines = [passage.received(line).forward for line in lines]
        return b"".join(lines)
