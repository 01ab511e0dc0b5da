"""Where two texts differ, in ranges that have nothing of others in them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = ["Range", "apart", "around", "between", "differences", "trimmed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Where two texts differ: from `begin` to `end` in the first, and what stands at `at` in the second instead."""

    begin: int
    end: int
    at: int
    new: str


def differences(before: str, after: str) -> list[Range]:
    """Return where two texts differ: one range, or several that are lines apart."""
    from difflib import SequenceMatcher  # noqa: PLC0415  a plan needs none of it

    begin, end, stop = trimmed(before, after)
    if begin == end == stop:
        return []
    begin = before.rfind("\n", 0, begin) + 1  # whole lines are compared
    rest = before.find("\n", end) + 1 or len(before)
    end, stop = rest, stop + rest - end
    old, new = before[begin:end].splitlines(keepends=True), after[begin:stop].splitlines(keepends=True)
    found: list[Range] = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        at, where = begin + _length(old[:i]), begin + _length(new[:k])
        one, other = "".join(old[i:j]), "".join(new[k:m])
        head, tail, rest = trimmed(one, other)
        found.append(Range(begin=at + head, end=at + tail, at=where + head, new=other[head:rest]))
    return found


def between(before: str, after: str, places: list[tuple[tuple[int, int], tuple[int, int]]]) -> list[Range]:
    """Return where two texts differ between places that they have in common, at most one range between two of them.

    Args:
        before: The first text.
        after: The second.
        places: Where each of these is in the first and in the second, in the same order in both.
    """
    found: list[Range] = []
    old, new = 0, 0
    for (start, old_end), (at, new_end) in [*places, ((len(before), len(before)), (len(after), len(after)))]:
        one, other = before[old:start], after[new:at]
        head, tail, rest = trimmed(one, other)
        if head < max(tail, rest):
            found.append(Range(begin=old + head, end=old + tail, at=new + head, new=other[head:rest]))
        old, new = old_end, new_end
    return found


def apart(found: Range, before: str, others: list[tuple[int, int]]) -> Range | None:
    """Return a range that has nothing of others in it; None if there is none.

    What was taken out between two texts that begin, or end, alike can be said to have been taken out a little earlier or
    later as well.
    """
    for step in (-1, 1):
        moved: Range | None = found
        while moved and any(start < moved.end and moved.begin < stop for start, stop in others):
            moved = _moved(moved, before, step)
        if moved:
            return moved
    return None


def around(found: Range | None, before: str, places: list[tuple[int, int]]) -> Range | None:
    """Return a range that has all of each of these places of the first text of which it has a part."""
    for begin, end in places if found else ():
        if found and found.begin < end and begin < found.end:
            head, tail = before[min(begin, found.begin) : found.begin], before[found.end : max(end, found.end)]
            found = Range(
                begin=found.begin - len(head),
                end=found.end + len(tail),
                at=found.at - len(head),
                new=head + found.new + tail,
            )
    return found


def _moved(found: Range, before: str, step: int) -> Range | None:
    """Return a range that says the same one character earlier or later; None if there is none."""
    one, other = (found.begin - 1, found.end - 1) if step < 0 else (found.begin, found.end)
    if found.new or one < 0 or other >= len(before) or before[one] != before[other]:
        return None
    return replace(found, begin=found.begin + step, end=found.end + step, at=found.at + step)


def _length(lines: list[str]) -> int:
    return sum(map(len, lines))


def trimmed(one: str, other: str) -> tuple[int, int, int]:
    """Return how much two texts begin alike, and where what they end alike begins in each."""
    shorter = min(len(one), len(other))
    head = _alike(lambda size: one[:size] == other[:size], shorter)
    tail = _alike(lambda size: one[len(one) - size :] == other[len(other) - size :], shorter - head)
    return head, len(one) - tail, len(other) - tail


def _alike(is_alike: Callable[[int], bool], most: int) -> int:
    """Return the greatest size up to which two texts are alike; if they are at one size, they are at every smaller one."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_alike(middle) else (low, middle - 1)
    return low
