"""Lines out of a stream of bytes, and which of them are messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

__all__ = ["LONGEST_MESSAGE", "Lines", "failure_in", "is_message", "streamed"]

LONGEST_MESSAGE = 128 << 20
"""Bytes of one line; a longer one is cut, and its parts are no messages."""

_PARSED = 1 << 20
_LONGEST_FAILURE = 1 << 14
_FAILED = (b'"isError":true', b'"isError": true', b'"error":')


class Lines:
    """Cuts a stream into lines, newline included, whatever the chunks are in which it comes.

    A line longer than `limit` comes out in pieces. Time is linear in the bytes, also for one very long line.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield self._joined(data[start : end + 1])
            start = end + 1
        if start < len(data):
            self._parts.append(data[start:])
            self._held += len(data) - start
            if self._held > self._limit:
                yield self._joined(b"")

    @property
    def held(self) -> int:
        """How many bytes of a line there are whose end has not come."""
        return self._held

    def rest(self) -> bytes:
        """Return what came after the last newline, and forget it."""
        return self._joined(b"")

    def _joined(self, end: bytes) -> bytes:
        line = b"".join((*self._parts, end))
        self._parts, self._held = [], 0
        return line


def streamed(
    lines: Lines, take: Callable[[bytes], None], put: Callable[[bytes], None], begun: Callable[[], None]
) -> Callable[[bytes], None]:
    """Return what takes a stream, and does not wait for the end of a line that is beyond 1 MiB and begins as a message does.

    Such a line is as good as judged, and whoever kept it would keep 50 MB, and let nobody read while somebody writes.

    Args:
        lines: Cuts it.
        take: Gets each other line.
        put: Gets the pieces of a long one, as they come.
        begun: Called before the first piece of each.
    """
    looked_at = passes = False

    def feed(data: bytes) -> None:
        nonlocal looked_at, passes
        if passes:
            end = data.find(b"\n") + 1
            put(data[:end] if end else data)
            passes = not end
            data = data[end:] if end else b""
        for line in lines.feed(data):
            looked_at = False
            take(line)
        if lines.held <= _PARSED:
            looked_at = False
        elif not looked_at:
            looked_at, beginning = True, lines.rest()
            passes = beginning.lstrip()[:1] in {b"{", b"["} and b'"jsonrpc"' in beginning
            if passes:
                begun()
                put(beginning)
            else:
                for line in lines.feed(beginning):
                    take(line)

    return feed


def is_message(line: bytes) -> bool:
    """Whether a line is a JSON-RPC 2.0 message, or a batch of them.

    Lines beyond 1 MiB are judged by their ends and by naming `"jsonrpc"`, since parsing them would delay them.
    """
    text = line.strip()
    if (text[:1], text[-1:]) not in {(b"{", b"}"), (b"[", b"]")} or b'"jsonrpc"' not in text:
        return False
    if len(text) > _PARSED:
        return True
    try:
        # Numbers stay text: their size is the client's business, and Python limits integers.
        value = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    messages = value if isinstance(value, list) else [value]
    return bool(messages) and all(isinstance(item, dict) and item.get("jsonrpc") == "2.0" for item in messages)


def failure_in(message: bytes) -> tuple[str, ...]:
    """Return the lines of a short message that reports an error, or a tool's failure; () for every other message."""
    if len(message) > _LONGEST_FAILURE or not any(word in message for word in _FAILED):
        return ()
    return tuple(message.decode(errors="replace").replace('\\"', '"').split("\\n"))
