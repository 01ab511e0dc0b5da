"""Two versions of a stranger's text beside each other: nothing in them is invisible, moves the cursor or turns direction."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from hatchlock.cli.layout import printable

__all__ = ["side_by_side"]

_AROUND = 3
"""Lines that are shown before and after what differs."""
_NARROWEST, _WIDEST, _USUAL = 60, 200, 120
_BETWEEN = " | "
_MOST = 1 << 19
"""Pairs of lines that are compared. The time grows with them or faster, and how many there are is the stranger's choice."""

_Opcode = tuple[str, int, int, int, int]


def side_by_side(before: str, after: str, *, indent: str = "    ") -> str:
    """Return lines that show how two texts differ, the older one on the left; of a text alone all its lines.

    What is the same far from anything that differs is left out. Nothing that differs is. In very long texts only what they
    begin and end with counts as the same.
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
    for number, group in enumerate(_groups(left, right)):
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


def _groups(left: Sequence[str], right: Sequence[str]) -> Iterable[Sequence[_Opcode]]:
    """Return what `SequenceMatcher.get_grouped_opcodes` does, in bounded time."""
    if len(left) * len(right) <= _MOST:
        return SequenceMatcher(None, left, right, autojunk=False).get_grouped_opcodes(_AROUND)
    shorter = min(len(left), len(right))
    start = next((place for place in range(shorter) if left[place] != right[place]), shorter)
    rest = range(1, shorter - start + 1)
    end = next((place - 1 for place in rest if left[-place] != right[-place]), shorter - start)
    old, new, before, after = len(left) - end, len(right) - end, min(start, _AROUND), min(end, _AROUND)
    return [
        [
            ("equal", start - before, start, start - before, start),
            ("replace", start, old, start, new),
            ("equal", old, old + after, new, new + after),
        ]
    ]


def _lines(mark: str, left: str, other: str, right: str, column: int) -> Iterator[str]:
    height = max(1, *(-(-len(text) // column) for text in (left, right)))
    for number in range(height):
        old, new = (text[number * column : (number + 1) * column] for text in (left, right))
        marks = [sign if text else " " for sign, text in ((mark, old), (other, new))]
        yield f"{marks[0]} {old.ljust(column)}{_BETWEEN}{marks[1]} {new}"
