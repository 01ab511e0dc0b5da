"""Two versions of a stranger's text beside each other: nothing in them is invisible, moves the cursor or turns direction."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from hatchlock.cli.layout import printable

__all__ = ["side_by_side"]

_AROUND = 3
"""Lines that are shown before and after what differs."""
_NARROWEST, _WIDEST, _USUAL = 60, 200, 120
_BETWEEN = " | "


def side_by_side(before: str, after: str, *, indent: str = "    ") -> str:
    """Return lines that show how two texts differ, the older one on the left; of a text alone all its lines.

    What is the same far from anything that differs is left out. Nothing that differs is.
    """
    if not before or not after:
        mark = "+" if after else "-"
        return "\n".join(f"{indent}{mark} {printable(line)}".rstrip() for line in (after or before).split("\n"))
    width = min(max(shutil.get_terminal_size((_USUAL, 0)).columns, _NARROWEST), _WIDEST)
    column = (width - len(indent) - len(_BETWEEN)) // 2 - 2
    rows = _rows([printable(line) for line in before.split("\n")], [printable(line) for line in after.split("\n")])
    return "\n".join(f"{indent}{line}".rstrip() for row in rows for line in _lines(*row, column))


def _rows(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """Yield mark and text of both sides; a text of "…" stands for what is left out."""
    for number, group in enumerate(SequenceMatcher(None, left, right, autojunk=False).get_grouped_opcodes(_AROUND)):
        if number or group[0][1]:
            yield " ", "…", " ", "…"
        for kind, start, end, from_, to in group:
            marks = (" ", " ") if kind == "equal" else ("-", "+")
            for place in range(max(end - start, to - from_)):
                old, new = start + place, from_ + place
                yield (
                    *((marks[0], left[old]) if old < end else (" ", "")),
                    *((marks[1], right[new]) if new < to else (" ", "")),
                )


def _lines(mark: str, left: str, other: str, right: str, column: int) -> Iterator[str]:
    height = max(1, *(-(-len(text) // column) for text in (left, right)))
    for number in range(height):
        old, new = (text[number * column : (number + 1) * column] for text in (left, right))
        marks = [sign if text else " " for sign, text in ((mark, old), (other, new))]
        yield f"{marks[0]} {old.ljust(column)}{_BETWEEN}{marks[1]} {new}"
