"""Where in a file something stands."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

__all__ = ["Lines", "Place"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Place:
    """A line of a file.

    Attributes:
        file: The name to show a user, usually relative to the project.
        line: The line, counted from 1; 0 when only the file is known.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Lines:
    """The lines of a text; finding one takes no walk through it.

    Args:
        text: Only a line feed ends a line.
    """

    def __init__(self, text: str | bytes) -> None:
        found = re.finditer("\n", text) if isinstance(text, str) else re.finditer(b"\n", text)
        self._starts = [0, *(match.end() for match in found)]

    def at(self, offset: int) -> int:
        """Return the line, counted from 1, that an offset is in: in characters, or bytes, as the text is."""
        return bisect.bisect_right(self._starts, offset)
