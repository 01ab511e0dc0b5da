"""Where in the text of a TOML document its statements, members and items stand.

A scanner that checks nothing: it relies on `tomllib` having accepted the text (without its byte order mark). Offsets count
characters of the decoded text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from hatchlock.clients.file_text import BOM

__all__ = ["Item", "Run", "Span", "Statement", "first_runs", "items", "members", "runs", "scan"]

Path = tuple[str | int, ...]

_STRING = r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\''
_QUOTED = re.compile(_STRING, re.DOTALL)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]*[^,\]}#\s]")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_MARK = re.compile(rf"(?P<string>{_STRING})|(?P<comment>#[^\n]*)|(?P<opening>[\[{{])|(?P<closing>[\]}}])", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A value: the offsets of its first character and behind its last one."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A table header, or a key with its value, outside of any value.

    Attributes:
        path: The full key path; an array of tables counts its elements.
        depth: How many parts of the path come from the header that the key stands under.
        start: The offset of its first character.
        end: The offset behind its last one.
        value: Of a key; None of a header.
    """

    path: Path
    depth: int
    start: int
    end: int
    value: Span | None

    @property
    def is_header(self) -> bool:
        """Whether it is a table header."""
        return self.value is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A member of an inline table, or an item of an array.

    Attributes:
        key: Of a member.
        start: The offset of the key's first character, or of the item's.
        value: The value.
        comma: The offset of the comma behind it; None if there is none.
    """

    key: tuple[str, ...]
    start: int
    value: Span
    comma: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Statements in a row that are all about one thing.

    Attributes:
        first: The first one.
        second: The one behind it; None if there is none.
        last: The last one.
    """

    first: Statement
    second: Statement | None
    last: Statement


def scan(text: str) -> tuple[Statement, ...]:
    """Return the statements of a document that `tomllib` accepts, in the order of the text."""
    return tuple(_Scanner(text).statements())


def members(text: str, table: Span) -> tuple[Item, ...]:
    """Return the members of an inline table."""
    return tuple(_Scanner(text, table.start + 1).items(keyed=True))


def items(text: str, array: Span) -> tuple[Item, ...]:
    """Return the items of an array that is written in brackets."""
    return tuple(_Scanner(text, array.start + 1).items(keyed=False))


def runs(statements: Sequence[Statement], prefix: Path) -> tuple[Run, ...]:
    """Return the statements about a key path and what is below it; those that stand together make one run."""
    found: list[list[Statement]] = [[]]
    for statement in statements:
        if statement.path[: len(prefix)] == prefix:
            found[-1].append(statement)
        elif found[-1]:
            found.append([])
    return tuple(Run(first=run[0], second=run[1] if len(run) > 1 else None, last=run[-1]) for run in found if run)


def first_runs(statements: Sequence[Statement], prefix: Path) -> Mapping[str | int, Run]:
    """Return what stands right below a key path -> the first of its `runs`; for all of it in one walk."""
    found: dict[str | int, Run] = {}
    size = len(prefix)
    below = (item.path[size] if item.path[:size] == prefix and len(item.path) > size else None for item in statements)
    for part, group in groupby(zip(below, statements, strict=True), key=lambda pair: pair[0]):
        run = [statement for _, statement in group]
        if part is not None:
            found.setdefault(part, Run(first=run[0], second=run[1] if len(run) > 1 else None, last=run[-1]))
    return found


class _Scanner:
    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at or len(BOM) * text.startswith(BOM)
        self._arrays: dict[Path, int] = {}

    def statements(self) -> Iterator[Statement]:
        table: Path = ()
        while self._skip(_BLANK) < len(self.text):
            start = self.at
            if self.text[start] == "[":
                table = self._header()
                yield Statement(path=table, depth=len(table), start=start, end=self.at, value=None)
            else:
                path = (*table, *self._key())
                value = self._assigned()
                yield Statement(path=path, depth=len(table), start=start, end=self.at, value=value)

    def items(self, *, keyed: bool) -> Iterator[Item]:
        while self.text[self._skip(_BLANK)] not in "]}":
            start = self.at
            key = self._key() if keyed else ()
            value = self._assigned() if keyed else self._value()
            comma = self.at if self.text[self._skip(_BLANK)] == "," else None
            yield Item(key=key, start=start, value=value, comma=comma)
            self.at += comma is not None

    def _skip(self, pattern: re.Pattern[str]) -> int:
        if match := pattern.match(self.text, self.at):
            self.at = match.end()
        return self.at

    def _header(self) -> Path:
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        *parents, last = self._key()
        self.at += brackets
        path: Path = ()
        for part in parents:
            path = (*path, part)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        path = (*path, last)
        if brackets == 1:
            return path
        self._arrays[path] = self._arrays.get(path, -1) + 1
        return (*path, self._arrays[path])

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            start = self.at
            is_quoted = self.text[start] in "\"'"
            self._skip(_QUOTED if is_quoted else _BARE_KEY)
            word = self.text[start : self.at]
            parts.append(tomllib.loads(f"k = {word}")["k"] if is_quoted else word)
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _assigned(self) -> Span:
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        return self._value()

    def _value(self) -> Span:
        start = self.at
        if self.text[start] in "\"'":
            self._skip(_QUOTED)
        elif self.text[start] in "[{":
            self.at = self._closed(start)
        else:
            self._skip(_SCALAR)
        return Span(start=start, end=self.at)

    def _closed(self, start: int) -> int:
        """Return where the bracket at `start` is closed again; without recursion, however deep it goes."""
        depth = 0
        for mark in _MARK.finditer(self.text, start):
            depth += (mark.lastgroup == "opening") - (mark.lastgroup == "closing")
            if not depth and mark.lastgroup == "closing":
                return mark.end()
        return len(self.text)
