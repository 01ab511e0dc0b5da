"""Where in a file something stands."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Place"]


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
