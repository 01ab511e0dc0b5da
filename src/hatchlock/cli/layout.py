"""How texts, figures and tables look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["printable", "size", "table"]

_UNITS = ("bytes", "kB", "MB", "GB")
_ONE_STEP = 1000


def printable(text: str) -> str:
    """Return a stranger's text with control, bidirectional and invisible characters escaped, line ends among them."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def size(number: int) -> str:
    """Return a number of bytes in the unit that suits it: `862 bytes`, `42.4 MB`."""
    shown, unit = float(number), 0
    while shown >= _ONE_STEP and unit < len(_UNITS) - 1:
        shown, unit = shown / _ONE_STEP, unit + 1
    return f"{shown:.1f} {_UNITS[unit]}" if unit else f"{number} bytes"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows of equally many cells as lines whose columns begin below each other; there is at least one row."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
