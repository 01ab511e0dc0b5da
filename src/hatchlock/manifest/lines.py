"""On which lines the keys of a TOML document stand.

A reader of TOML 1.0 that keeps positions only. It relies on `tomllib` having accepted the text before, so it never
checks anything.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hatchlock.manifest.problem import KeyPath
from hatchlock.place import Lines

__all__ = ["Statement", "line_of", "lines", "statements"]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A table header or a key with its value at the top level of the text.

    Attributes:
        path: The full key path; of an array of tables with its index.
        first: The line where it begins, counted from 1.
        last: The line where it ends.
        header: Whether it is a table header.
    """

    path: KeyPath
    first: int
    last: int
    header: bool


@lru_cache(maxsize=8)
def lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every key path that the document has, its list items included."""
    scanner = _Scanner(text)
    for _ in scanner.statements():
        pass
    return scanner.found


def line_of(text: str, path: KeyPath) -> int:
    """Return the line of a key path, or of the closest table above it that is written down; 1 if there is none."""
    found = lines(text)
    while path and path not in found:
        path = path[:-1]
    return found.get(path, 1)


def statements(text: str) -> tuple[Statement, ...]:
    """Return the document's statements in the order of the text."""
    return tuple(_Scanner(text).statements())


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, int] = {}
        self._lines = Lines(text)
        self._arrays: dict[KeyPath, int] = {}

    def line(self, position: int) -> int:
        return self._lines.at(position)

    def statements(self) -> Iterator[Statement]:
        table: KeyPath = ()
        while self._skip(_BLANK) < len(self.text):
            start = self.at
            header = self.text[start] == "["
            if header:
                table = path = self._header()
            else:
                path = self._pair(table)
            yield Statement(path=path, first=self.line(start), last=self.line(self.at - 1), header=header)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return self.at

    def _header(self) -> KeyPath:
        line = self.line(self.at)
        double = self.text.startswith("[[", self.at)
        self.at += 1 + double
        parts = self._key()
        self.at += 1 + double
        path = self._inside_arrays(parts[:-1])
        path = (*path, parts[-1])
        if double:
            self.found.setdefault(path, line)
            index = self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, index)
        self._note_parents(path, line)
        self.found[path] = line
        return path

    def _inside_arrays(self, parts: KeyPath) -> KeyPath:
        path: KeyPath = ()
        for part in parts:
            path = (*path, part)
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path

    def _note_parents(self, path: KeyPath, line: int) -> None:
        for length in range(1, len(path)):
            self.found.setdefault(path[:length], line)

    def _pair(self, table: KeyPath) -> KeyPath:
        line = self.line(self.at)
        path = (*table, *self._key())
        self._note_parents(path, line)
        self.found[path] = line
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)
        return path

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            start = self.at
            quoted = self.text[start] in "\"'"
            self._skip(_STRING if quoted else _BARE_KEY)
            word = self.text[start : self.at]
            parts.append(tomllib.loads(f"k = {word}")["k"] if quoted else word)
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self.text[self._skip(_BLANK)] != "]":
            item = (*path, index)
            self.found[item] = self.line(self.at)
            self._value(item)
            index += 1
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self.text[self._skip(_BLANK)] != "}":
            self._pair(path)
            if self.text[self._skip(_BLANK)] == ",":
                self.at += 1
        self.at += 1
