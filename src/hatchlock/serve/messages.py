"""What the gate looks for: listings in what a server says, and what an application asks for and calls.

Clients and servers do not read JSON alike: of a repeated member one takes the first and another the last, some do not tell
`Tools` from `tools`, some end a name at a NUL, some lines at a carriage return, some pass over bytes that are no UTF-8. So a
message in which members that matter can be read in two ways is unclear, and nothing of it is believed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.serve.outline import Item, Member, Read, Unreadable, items, members, whole

__all__ = ["Answer", "Request", "answers_in", "definition_names", "id_key", "may_list", "requests_in"]

_PIECE = 1 << 20
_OVERLAP = 64
_LISTS = ("tools", "prompts", "instructions")
_ENDS_OF_NAMES = tuple(f'{name}"'.encode() for name in _LISTS)
_NAMES = tuple(name.encode() for name in _LISTS)
_LONG_S = "\u017f".encode()  # for some parsers it is an s
_OTHER_SPELLING = re.compile(rb"\\u(?:00(?:00|[4-7])|017[fF])")
_NO_ESCAPE = re.compile(rb'\\(?<!\\\\)(?:[^"\\/bfnrtu]|u(?![0-9a-fA-F]{4}))')
_NOT_ASCII = bytes(range(0x80, 0x100))

_ENVELOPE = {name: name for name in ("jsonrpc", "id", "method", "params", "result", "error")}
_RESULT = {name.casefold(): name for name in (*_LISTS, "nextCursor")}
_PARAMS = {name: name for name in ("name", "cursor")}

_DEFINITIONS = items(members({}))
_ANSWER = members({"result": members({"tools": _DEFINITIONS, "prompts": _DEFINITIONS})})
_REQUEST = members({"params": members({})})


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of a server's.

    Attributes:
        id: Of the request that it answers, as it is written; "" for none, and where it is a request itself.
        result: The members of its result; () for none.
        unclear: Why it can be read in several ways, as a clause; "" if it cannot.
    """

    id: str
    result: tuple[Member, ...]
    unclear: str

    def member(self, name: str) -> Member | None:
        """Return a member of the result."""
        return next((member for member in self.result if member.name == name), None)

    @property
    def cursor(self) -> str:
        """Where the next page begins; "" for the last one."""
        found = self.member("nextCursor")
        return found.value if found and isinstance(found.value, str) else ""


@dataclass(frozen=True, slots=True)
class Request:
    """A message of an application's.

    Attributes:
        at: Where it begins in its line.
        end: What follows it.
        id: As it is written; "" for none.
        method: "" for an answer.
        name: Of a tool or prompt; None for none.
        cursor: Of a listing's page; "" for the first.
        unclear: As of an `Answer`.
    """

    at: int
    end: int
    id: str
    method: str
    name: str | None
    cursor: str
    unclear: str


def may_list(line: bytes) -> bool:
    """Whether a server's message could have a listing, or instructions, in it for any client: a quick look, seldom wrong.

    Text inside of a result has its quotes escaped, so `tools"` is the end of a whole string. Of messages beyond 1 MiB, which
    nobody has parsed, the mere words are enough, and escapes that JSON does not have: some parsers take a letter behind
    any backslash for itself.
    """
    may = _may_list_short if len(line) <= _PIECE else _may_list_long
    # a client may pass over what is no UTF-8: the SDK for Python does with errors="ignore"
    return may(line) or (not line.isascii() and may(line.translate(None, _NOT_ASCII)))


def _may_list_short(line: bytes) -> bool:
    return _looks_so(line, _ENDS_OF_NAMES)


def _may_list_long(line: bytes) -> bool:
    pieces = (line[at : at + _PIECE + _OVERLAP] for at in range(0, len(line), _PIECE))
    return any(
        _looks_so(piece, _NAMES) or (b"\\" in piece and _NO_ESCAPE.search(piece) is not None) for piece in pieces
    )


def _looks_so(piece: bytes, words: tuple[bytes, ...]) -> bool:
    lower = piece.lower()
    first, second, third = words
    return (
        first in lower
        or second in lower
        or third in lower
        # one byte is found many times faster than two
        or (_LONG_S[:1] in piece and _LONG_S in piece)
        or (b"\\" in piece and b"\\u" in piece and _OTHER_SPELLING.search(piece) is not None)
    )


def answers_in(text: str) -> tuple[Answer, ...]:
    """Return the messages of a server's line.

    Raises:
        Unreadable: It is none, or clients cut it into several.
    """
    if "\r" in text.removesuffix("\n").removesuffix("\r"):
        raise Unreadable("some clients end a line at a carriage return")
    return tuple(_answer(text, item.value) for item in _each(text, _ANSWER))


def requests_in(text: str) -> tuple[Request, ...]:
    """Return the messages of an application's line; none for an empty line.

    Raises:
        Unreadable: It is none.
    """
    return tuple(_request(text, item) for item in _each(text, _REQUEST)) if text.strip() else ()


def id_key(written: str) -> object:
    """Return what two ways to write one request id have in common; `1` is not `"1"`."""
    if written[:1] == '"':
        return str(json.loads(written))
    try:
        return float(written)
    except ValueError:
        return (written,)


def definition_names(definition: Any) -> tuple[Any, ...]:
    """Return everything that a client could take for the name of a definition that `answers_in` gave."""
    if not isinstance(definition, tuple):
        return ()
    return tuple(member.value for member in definition if _folded(member.name) == "name")


def _each(text: str, reader: Read) -> tuple[Item, ...]:
    """Return the one message of a line, or those of its batch."""

    def alone(line: str, at: int) -> tuple[Any, int]:
        content, end = reader(line, at)
        return (Item(at, end, content),), end

    found: tuple[Item, ...] = whole(text, items(reader) if text.lstrip()[:1] == "[" else alone)
    if not all(isinstance(item.value, tuple) for item in found):
        raise Unreadable("a message is no object")
    return found


def _answer(text: str, found: tuple[Member, ...]) -> Answer:
    result = _value(found, "result")
    inside = result if isinstance(result, tuple) else ()
    unclear = _unclear(found, _ENVELOPE) or _unclear(inside, _RESULT)
    names = {member.name for member in found}
    is_request = "method" in names and names.isdisjoint({"result", "error"})
    return Answer("" if is_request else _written(text, found, "id"), inside, unclear)


def _request(text: str, item: Item) -> Request:
    found: tuple[Member, ...] = item.value
    method, params = _value(found, "method"), _value(found, "params")
    inside = params if isinstance(params, tuple) else ()
    name, cursor = _value(inside, "name"), _value(inside, "cursor")
    return Request(
        at=item.at,
        end=item.end,
        id=_written(text, found, "id"),
        method=method if isinstance(method, str) else "",
        name=name if isinstance(name, str) else None,
        cursor=cursor if isinstance(cursor, str) else "",
        unclear=_unclear(found, _ENVELOPE) or _unclear(inside, _PARAMS),
    )


def _value(found: tuple[Member, ...], name: str) -> Any:
    return next((member.value for member in found if member.name == name), None)


def _written(text: str, found: tuple[Member, ...], name: str) -> str:
    return next((text[member.at : member.end] for member in found if member.name == name), "")


def _unclear(found: tuple[Member, ...], meant: Mapping[str, str]) -> str:
    seen = set()
    for member in found:
        if member.name in seen:
            return "a member name is repeated"
        seen.add(member.name)
        if member.name == "__proto__":
            return "some clients copy the members of __proto__"
        name = meant.get(_folded(member.name))
        if name is not None and name != member.name:
            return f"some clients read another member as {name!r}"
    return ""


def _folded(name: str) -> str:
    return name.partition("\0")[0].casefold()
