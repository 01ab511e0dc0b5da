"""Where things are in a JSON text: an object's members and an array's items, with their places, so that the rest stays as it is.

Readers are put together: `members` reads an object, and each of its members by a reader of its own. What nobody asks for
is passed over by the standard library's parser, so that all of it is known to be JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Edit", "Item", "Member", "Read", "Unreadable", "edited", "items", "members", "value", "whole"]

_SPACE = re.compile(r"[ \t\n\r]*")
# numbers stay text: their size is somebody else's business, and Python limits integers
_PLAIN = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


class Unreadable(ValueError):
    """A text is no JSON, or too deep for the parser."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object.

    Attributes:
        name: As it is meant, escapes resolved.
        start: Where its name begins.
        at: Where its value begins.
        end: What follows it.
        value: What its reader gave.
    """

    name: str
    start: int
    at: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class Item:
    """An item of an array: from `at` to before `end`, and what its reader gave."""

    at: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class Edit:
    """What stands from `at` to before `end` is to become `text`."""

    at: int
    end: int
    text: str


Read = Callable[[str, int], tuple[Any, int]]
"""Takes a text and where a value begins in it; returns what it made of the value, and what follows it."""


def value(text: str, at: int) -> tuple[Any, int]:
    """Read any value; numbers become texts."""
    try:
        return _PLAIN.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def members(readers: Mapping[str, Read]) -> Read:
    """Return a reader of objects, which gives a tuple of `Member`; what is no object is read as any value.

    Args:
        readers: Name -> how its value is read, each time that it occurs. Others are read as any value.
    """

    def read(text: str, at: int) -> tuple[Any, int]:
        if text[at : at + 1] != "{":
            return value(text, at)
        found: list[Member] = []
        at = _after_space(text, at + 1)
        if text[at : at + 1] == "}":
            return (), at + 1
        while True:
            name, end = value(text, at)
            colon = _after_space(text, end)
            if not isinstance(name, str) or text[at] != '"' or text[colon : colon + 1] != ":":
                raise Unreadable("a member has no name")
            place = _after_space(text, colon + 1)
            content, end = readers.get(name, value)(text, place)
            found.append(Member(name, at, place, end, content))
            at, more = _next(text, end, "}")
            if not more:
                return tuple(found), at

    return read


def items(reader: Read) -> Read:
    """Return a reader of arrays, which gives a tuple of `Item`; what is no array is read as any value."""

    def read(text: str, at: int) -> tuple[Any, int]:
        if text[at : at + 1] != "[":
            return value(text, at)
        found: list[Item] = []
        at = _after_space(text, at + 1)
        if text[at : at + 1] == "]":
            return (), at + 1
        while True:
            content, end = reader(text, at)
            found.append(Item(at, end, content))
            at, more = _next(text, end, "]")
            if not more:
                return tuple(found), at

    return read


def whole(text: str, reader: Read) -> Any:
    """Read a whole text.

    Raises:
        Unreadable: It is no JSON.
    """
    content, end = reader(text, _after_space(text, 0))
    if _after_space(text, end) != len(text):
        raise Unreadable("something follows it")
    return content


def edited(text: str, edits: list[Edit]) -> str:
    """Return a text with edits made, none of which overlap; all else is as it was."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda item: item.at):
        pieces += [text[at : edit.at], edit.text]
        at = edit.end
    return "".join((*pieces, text[at:]))


def _next(text: str, at: int, closing: str) -> tuple[int, bool]:
    """Return where the next member or item begins; or what follows the end, and False."""
    at = _after_space(text, at)
    if text[at : at + 1] == closing:
        return at + 1, False
    if text[at : at + 1] != ",":
        raise Unreadable("a comma is missing")
    return _after_space(text, at + 1), True


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
