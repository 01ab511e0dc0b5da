"""What the texts of applications' files have in common, whatever language they are in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["BOM", "Unparsable", "decoded", "line_start", "newline_of"]

BOM = "\ufeff"
"""The byte order mark, which some editors put before a text, and which is no part of it."""


@dataclass(kw_only=True, eq=False)
class Unparsable(HatchlockError):
    """A client's file that we cannot read for sure, and therefore never write."""

    code: ClassVar[str] = "unparsable-client-file"

    path: str
    line: int
    column: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: the file is left as it is, because {self.why}"

    def _hint(self) -> str:
        return "mend the file by hand, or move it away, and try again"


def decoded(data: bytes, path: str) -> str:
    """Return a file's text.

    Raises:
        Unparsable: It is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise Unparsable(path=path, line=line, column=column, why="it is not UTF-8") from error


def newline_of(text: str) -> str:
    """Return the line end that a text uses."""
    return "\r\n" if "\r\n" in text else "\n"


def line_start(text: str, at: int) -> int:
    """Return the offset at which the line of an offset begins."""
    return max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
