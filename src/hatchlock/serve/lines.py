"""Lines out of a stream of bytes, and which of them are messages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

__all__ = ["LONGEST_MESSAGE", "Lines", "begins_as_message", "failure_in", "is_message", "streamed"]

LONGEST_MESSAGE = 128 << 20
"""Bytes of one line; a longer one is cut, and its parts are no messages."""

_PARSED = 1 << 20
_LONGEST_FAILURE = 1 << 14
# where `jsonrpc` comes last, as in answers of servers that use the SDK for TypeScript
_RESULT_FIRST = re.compile(rb'\s*\{\s*"result"\s*:\s*\{')
_ENDS = {(b"{", b"}"), (b"[", b"]")}
_LONG_ENDS = {(first, last + b"\n") for first, last in _ENDS}
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

    @property
    def pieces(self) -> Sequence[bytes]:
        """These bytes, as they came."""
        return self._parts

    def rest(self) -> bytes:
        """Return what came after the last newline, and forget it."""
        return self._joined(b"")

    def forget(self) -> None:
        """Forget what came after the last newline."""
        self._parts, self._held = [], 0

    def _joined(self, end: bytes) -> bytes:
        line = b"".join((*self._parts, end))
        self.forget()
        return line


def streamed(
    lines: Lines, take: Callable[[bytes], None], begun: Callable[[Sequence[bytes]], Callable[[bytes], None] | None]
) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """Cut a stream, and do not wait for the end of a line that is beyond 1 MiB, if that may go on before.

    Who kept it would keep 50 MB, and let nobody read while somebody writes.

    Args:
        lines: Cuts it.
        take: Gets each other line.
        begun: Gets the beginning of a long line, in pieces. Returns what takes the pieces that follow, the last of which ends
            with the newline, or is empty at the end of the stream; or None for a line that has to be whole.

    Returns:
        What takes the pieces of the stream; and what is called at its end.
    """
    rest: Callable[[bytes], None] | None = None
    is_kept = False

    def feed(data: bytes) -> None:
        nonlocal rest, is_kept
        if rest is not None and data:
            end = data.find(b"\n") + 1
            rest(data[:end] if end else data)
            if not end:
                return
            rest, data = None, data[end:]
        for line in lines.feed(data):
            is_kept = False
            take(line)
        if lines.held > _PARSED and not is_kept:
            rest = begun(lines.pieces)
            is_kept = rest is None
            if rest is not None:
                lines.forget()

    def end() -> None:
        if rest is not None:
            rest(b"")
        elif last := lines.rest():
            take(last)

    return feed, end


def begins_as_message(line: bytes) -> bool:
    """Whether a long line begins as a message does: with an object or a batch that names `"jsonrpc"`, or with a result."""
    return (line.lstrip()[:1] in {b"{", b"["} and b'"jsonrpc"' in line) or _RESULT_FIRST.match(line) is not None


def is_message(line: bytes) -> bool:
    """Whether a line is a JSON-RPC 2.0 message, or a batch of them.

    Lines beyond 1 MiB are judged by their ends and by naming `"jsonrpc"`, since parsing them would delay them.
    """
    if b'"jsonrpc"' not in line:
        return False
    if len(line) > _PARSED and (line[:1], line[-2:]) in _LONG_ENDS:
        return True  # without a copy of it
    text = line.strip()
    if (text[:1], text[-1:]) not in _ENDS:
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
