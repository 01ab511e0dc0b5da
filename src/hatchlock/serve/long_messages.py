"""Long messages of a server's, and what of one may go on before its end has come.

Almost all of a message of megabytes is one string: the text of a file, an image. Who reads JSON finds no listing in the value
of a string, however it goes on. So that is passed on as it comes, and what is judged at the end is the message without it
([0073](../../../docs/decisions/0073-long-messages-through-the-gate.md)).
"""

from __future__ import annotations

import re

from hatchlock.serve.lines import LONGEST_MESSAGE
from hatchlock.serve.messages import may_list
from hatchlock.serve.outline import Unreadable, members, value, whole

__all__ = ["LongMessage"]

_MOST_STRINGS = 1000
"""In what comes before the long one; to look at more of them costs more than to keep the message."""
_GLANCE = 1 << 16
_FIRST_LOOK = 1 << 16
"""Bytes after a long string, in which there may be another one."""
_MOST_AROUND = 1 << 20
"""Bytes of what is in no long string, beyond which no further one is looked for: each time all of them are read again."""
_LOOKED_AT = 2
"""How deep in a message is what the passages look at: a message's members, and those of its result."""
_LONGEST_ESCAPE = 6
_LONGEST_HALF = 8
"""Bytes of an escape that is not complete, and of a character behind it."""

_BRACKETS = re.compile(r"[\[\]{}]")
_CLOSING = {"[": "]", "{": "}"}
_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_MESSAGE = members({})


class LongMessage:
    """A message while it comes, whose pieces are given to `feed`, and what that returns is passed on at once.

    Nothing is returned but what everybody reads as the beginning of one message, without the name of a listing in it, and what
    everybody reads as the inside of a string that is a value deep in it.
    """

    def __init__(self) -> None:
        self._gone = b""
        self._kept = bytearray()
        self._is_inside = False
        self._next_look = 0

    @property
    def gone(self) -> bytes:
        """What was passed on, without the insides of the strings that were; empty when nothing was."""
        return self._gone

    @property
    def kept(self) -> bytes:
        """What was not passed on. At the end, `gone` and this are the message that is to be judged."""
        return bytes(self._kept)

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, in which a newline is the end, and return what may be passed on now."""
        if self._is_inside and not self._kept and _is_plain(data) and _characters(data) == len(data):
            return data
        self._kept += data
        if len(self._gone) + len(self._kept) > LONGEST_MESSAGE:
            self._kept[:] = b"\0"  # with which it is no message
        passed = self._inside() if self._is_inside else b""
        if not self._is_inside and len(self._kept) > self._next_look and len(self._gone) <= _MOST_AROUND:
            self._next_look = 2 * len(self._kept)  # so that all looks together cost no more than the last
            passed += self._before()
        return passed

    def _before(self) -> bytes:
        """Pass on what comes before the string that it is inside of now, and how far that goes; nothing where it is in none."""
        so_far = self._gone + self._kept
        start = _string_open_in(so_far)
        if not start:
            return b""
        before = self._taken(start - len(self._gone))
        self._gone = so_far[:start]
        self._is_inside = True
        return before + self._inside()

    def _inside(self) -> bytes:
        """Pass on how far the string goes that it is inside of."""
        text = _text(self._kept[: _characters(self._kept)])
        length = _without_half_an_escape(text)
        end = _end_of_string(text[:length])
        if end < length or len(self._kept) - length > _LONGEST_HALF:
            self._is_inside = False
            # what is no string now is none later: looked at again, all that is kept would be read for each piece
            self._next_look = _FIRST_LOOK if 0 <= end < length else LONGEST_MESSAGE
        return self._taken(max(end, 0))

    def _taken(self, end: int) -> bytes:
        taken = bytes(self._kept[:end])
        del self._kept[:end]
        return taken


def _is_plain(data: bytes) -> bool:
    """Whether a piece of a string does not end it, and has no escape, nor what ends a line. One byte is found at once."""
    return not any(byte in data for byte in (b'"', b"\\", b"\n", b"\r"))


def _characters(data: bytes | bytearray) -> int:
    """Return how many bytes there are before one that is no UTF-8, or begins a character that is not complete."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _text(data: bytes | bytearray) -> str:
    """Return a character for each byte: what JSON is made of is ASCII, and places stay what they are."""
    return data.decode("latin-1")


def _end_of_string(text: str) -> int:
    """Return where a string ends whose inside begins a text; its length where it does not end, -1 where it is no string."""
    try:
        return value(f'"{text}"', 0)[1] - 2
    except Unreadable:
        return -1


def _without_half_an_escape(text: str) -> int:
    """Return how much of the inside of a string there is without an escape at its end that is not complete."""
    at = text.rfind("\\", max(0, len(text) - _LONGEST_ESCAPE + 1))
    if at < 0:
        return len(text)
    before = text[:at]
    if (len(before) - len(before.rstrip("\\"))) % 2:
        return len(text)  # it is itself escaped
    return at if len(text) < at + (_LONGEST_ESCAPE if text[at + 1 : at + 2] == "u" else 2) else len(text)


def _string_open_in(data: bytes) -> int:
    """Return where the string begins in which a message ends so far; 0 where it does not, or what comes before may not go on."""
    if data.count(b'"', 0, _GLANCE) - data.count(b'\\"', 0, _GLANCE) > 2 * _MOST_STRINGS:
        return 0
    text, outside, at = _text(data), [], 0
    for _ in range(_MOST_STRINGS):
        quote = text.find('"', at)
        if quote < 0:
            return 0
        outside.append(text[at:quote])
        try:
            at = value(text, quote)[1]
        except Unreadable:
            start = quote + 1
            return start if _is_beginning(data[:start], "".join(outside)) else 0
    return 0


def _is_beginning(data: bytes, outside: str) -> bool:
    """Whether it is the beginning of a message for everybody, up to a string that is a value and that nobody looks at.

    Args:
        data: With the quotation mark that the string begins with.
        outside: What of it is in no string.
    """
    closing: list[str] = []
    for bracket in _BRACKETS.findall(outside):
        if bracket in _CLOSING:
            closing.append(_CLOSING[bracket])
        elif closing:
            closing.pop()
    try:
        found = whole(f'{data.decode()}"{"".join(reversed(closing))}', _MESSAGE)
    except ValueError:
        return False
    is_message = isinstance(found, tuple) and {member.name for member in found} <= _ENVELOPE
    return is_message and len(closing) > _LOOKED_AT and not may_list(data)
