"""What goes to one connection of a client, in order, and is kept for one that comes back for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Event", "Reader", "Stream"]

_UNREAD = 4 << 20
"""Bytes that wait for a reader before whoever puts more in has to wait."""
_KEPT = 1 << 20
"""Bytes that are kept for a reader that comes back, or comes at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A message on its way to a client.

    Attributes:
        number: Its place in its stream, from 1.
        data: The message, in one line without a newline.
    """

    number: int
    data: bytes


class Reader:
    """A connection that takes what is in a stream.

    Attributes:
        after: The number of the last event that it was given.
    """

    def __init__(self, after: int) -> None:
        self.after = after


class Stream:
    """Messages for one connection. Used in one event loop.

    Whoever puts messages in waits while the reader does not take them. Without a reader nobody waits: of what is kept then
    the oldest goes when it is too much.

    Attributes:
        name: What the numbers of its events begin with.
        waiting: The ids of requests whose answers end it; empty for one that only its session ends.
        whole: Whether it takes more than answers.
    """

    def __init__(self, name: str, waiting: Iterable[Any] = (), *, whole: bool = True) -> None:
        self.name = name
        self.whole = whole
        self.waiting = set(waiting)
        self.is_finished = False
        self._events: deque[Event] = deque()
        self._held = 0
        self._last = 0
        self._taken = 0
        self._unread = 0
        self._reader: Reader | None = None
        self._changed = asyncio.Event()

    @property
    def is_read(self) -> bool:
        """Whether there is a connection that takes what comes."""
        return self._reader is not None

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self._last

    @property
    def newest(self) -> bytes:
        """The last message; b"" where there was none."""
        return self._events[-1].data if self._events else b""

    async def put(self, data: bytes) -> None:
        """Add a message; wait while there is a reader that has too much before it."""
        while self._reader is not None and not self.is_finished and self._unread > _UNREAD:
            await self._changed.wait()
        self._last += 1
        self._events.append(Event(number=self._last, data=data))
        self._held += len(data)
        self._unread += len(data)
        self._trim()
        self._wake()

    def finish(self) -> None:
        """Nothing more will come."""
        self.is_finished = True
        self._wake()

    def attach(self, after: int | None = None) -> Reader:
        """Return a new reader, in the place of one that there may be.

        Args:
            after: The number of the last event that it has; None for what nobody has been given.
        """
        reader = Reader(self._taken if after is None else after)
        self._reader = reader
        self._unread = sum(len(event.data) for event in self._events if event.number > reader.after)
        self._wake()
        return reader

    def detach(self, reader: Reader) -> None:
        """A reader takes no more."""
        if self._reader is reader:
            self._reader = None
            self._trim()
            self._wake()

    async def take(self, reader: Reader, patience: float) -> Sequence[Event] | None:
        """Return what has come since, at least one event; () when nothing came in `patience` seconds; None at the end."""
        try:
            async with asyncio.timeout(patience):
                while self._reader is reader:
                    if found := [event for event in self._events if event.number > reader.after]:
                        return found
                    if self.is_finished:
                        return None
                    await self._changed.wait()
        except TimeoutError:
            return ()
        return None

    def taken(self, reader: Reader, event: Event) -> None:
        """A reader has been given an event."""
        reader.after = self._taken = event.number
        self._unread -= len(event.data)
        self._trim()
        self._wake()

    def _trim(self) -> None:
        # without a reader, what is too much is lost; else only what it has
        seen = self._reader.after if self._reader else self._last
        while self._held > _KEPT and len(self._events) > 1 and self._events[0].number <= seen:
            self._held -= len(self._events.popleft().data)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
