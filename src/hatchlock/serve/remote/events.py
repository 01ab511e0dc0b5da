"""Server-sent events, as bytes: their data is passed on as it was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hatchlock.net.exchange import Answer
from hatchlock.serve.lines import LONGEST_MESSAGE

__all__ = ["Event", "EventTooLong", "Events", "events_of"]

_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_LONGEST_RETRY = 9
"""Digits: more milliseconds than that nobody waits, and Python refuses numbers of some thousands."""


class EventTooLong(ValueError):
    """An event is longer than any message may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event.

    Attributes:
        kind: Its type; `message` where none was given.
        data: Its lines of data, a space between them: what is JSON stays the same JSON.
        id: What a stream is taken up from; "" where the event has none.
        retry: Seconds to wait before it is taken up; None where the event does not say.
    """

    kind: str
    data: bytes
    id: str = ""
    retry: float | None = None

    @property
    def is_message(self) -> bool:
        """Whether it is one of MCP's, and not only about the stream."""
        return self.kind == "message" and bool(self.data.strip())


class Events:
    """Cuts a stream into events, whatever the pieces are in which it comes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0
        """Bytes of the line that has begun."""
        self._begun = False
        self._clear()

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that `data` completes.

        Raises:
            EventTooLong: One is longer than `LONGEST_MESSAGE`.
        """
        if not _END.search(data):
            self._parts.append(data)
            self._grow(len(data))
            return
        text, self._parts, self._held = b"".join((*self._parts, data)), [], 0
        at = 0
        for found in _END.finditer(text):
            if found.end() == len(text) and found.group() == b"\r":
                break  # the newline may be yet to come
            if event := self._line(text[at : found.start()]):
                yield event
            at = found.end()
        if rest := text[at:]:
            self._parts.append(rest)
            self._grow(len(rest))

    def _grow(self, size: int) -> None:
        self._held += size
        if self._held + self._size > LONGEST_MESSAGE:
            raise EventTooLong

    def _clear(self) -> None:
        self._kind, self._id = "", ""
        self._data: list[bytes] = []
        self._size = 0
        self._retry: float | None = None

    def _line(self, line: bytes) -> Event | None:
        if not self._begun:
            self._begun, line = True, line.removeprefix(_BOM)
        if not line:
            return self._event()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value) + bool(self._data)
            self._data.append(value)
            self._grow(0)  # an event need not end in the piece in which it grows
        elif name == b"event":
            self._kind = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _LONGEST_RETRY:
            self._retry = int(value) / 1000
        return None

    def _event(self) -> Event | None:
        event = Event(kind=self._kind or "message", data=b" ".join(self._data), id=self._id, retry=self._retry)
        said = bool(self._data or self._id or self._retry is not None)
        self._clear()
        return event if said else None


def events_of(answer: Answer) -> Iterator[Event]:
    """Yield the events of an answer as they come.

    Raises:
        EventTooLong: As for `feed`.
        Unreachable: It breaks off.
    """
    events = Events()
    for piece in answer.pieces():
        yield from events.feed(piece)
