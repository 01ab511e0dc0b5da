"""On which lines the values of a JSON document stand.

It relies on `json` having accepted the text before, so it never checks anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from hatchlock.manifest.problem import KeyPath
from hatchlock.place import Lines

__all__ = ["Places", "places"]

_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}\s]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where things stand in a document.

    Attributes:
        lines: Key path -> line, counted from 1, where its key, or the list's item, begins.
        repeated: Key paths that are there more than once, in the order of the text; the last value counts.
    """

    lines: dict[KeyPath, int] = field(default_factory=dict)
    repeated: list[KeyPath] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """Return the line of a key path, or of the closest one around it; 1 if there is none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def places(text: str) -> Places:
    """Return where the values of a JSON document stand."""
    found = Places()
    _Scanner(text, found).value(())
    return found


class _Scanner:
    def __init__(self, text: str, found: Places) -> None:
        self._text = text
        self._found = found
        self._at = 0
        self._lines = Lines(text)

    def value(self, path: KeyPath) -> None:
        opening = self._next()
        self._found.lines.setdefault(path, self._lines.at(self._at))
        if opening == "{":
            self._members(path)
        elif opening == "[":
            self._items(path)
        else:
            self._skip(_STRING if opening == '"' else _SCALAR)

    def _members(self, path: KeyPath) -> None:
        self._at += 1
        while self._next() != "}":
            line = self._lines.at(self._at)
            member = (*path, str(json.loads(self._skip(_STRING))))
            if member in self._found.lines:
                self._found.repeated.append(member)
            self._found.lines[member] = line
            self._next()
            self._at += 1  # the colon
            self.value(member)
            self._comma()
        self._at += 1

    def _items(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while self._next() != "]":
            self.value((*path, index))
            index += 1
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        if self._next() == ",":
            self._at += 1

    def _next(self) -> str:
        self._skip(_BLANK)
        return self._text[self._at]

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        skipped = match[0] if match else ""
        self._at += len(skipped)
        return skipped
