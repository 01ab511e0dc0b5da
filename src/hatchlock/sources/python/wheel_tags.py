"""Which of several wheels is the best one for a target (PEP 425, PEP 427)."""

from __future__ import annotations

from collections.abc import Iterable

from hatchlock.lock.model import File
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["best_rank", "build_order", "choose_wheel"]

_PARTS_WITH_BUILD = 6
"""Name, version, build, Python, ABI, platform."""


def best_rank(wheel: str, target: PythonTarget) -> int | None:
    """Return the place of a wheel's best tag among the target's (0 is the best), or None if it does not run there.

    Args:
        wheel: Its file name.
        target: Where it is to run.
    """
    pythons, abis, platforms = wheel[:-4].split("-")[-3:]
    ranks = [
        rank
        for python in pythons.split(".")
        for abi in abis.split(".")
        for platform in platforms.split(".")
        if (rank := target.ranks.get(f"{python}-{abi}-{platform}")) is not None
    ]
    return min(ranks, default=None)


def build_order(wheel: str) -> tuple[int, ...]:
    """Return a key that sorts wheels which differ only in their build tag: the highest build first, none last (PEP 427)."""
    parts = wheel[:-4].split("-")
    if len(parts) != _PARTS_WITH_BUILD:
        return (1,)
    number = parts[2][: len(parts[2]) - len(parts[2].lstrip("0123456789"))]
    # "2b" comes before "2a", and that before "2"
    return (-int(number or "0"), *(-ord(character) for character in parts[2][len(number) :]), 1)


def choose_wheel(files: Iterable[File], target: PythonTarget) -> File | None:
    """Return the file of a locked package that is installed on a target, or None if none runs there.

    A lock holds the best wheel of each declared platform, and the best of all for this target is among them.
    """
    ranked = [
        (rank, build_order(file.name), file.name, file)
        for file in files
        if file.name.endswith(".whl") and (rank := best_rank(file.name, target)) is not None
    ]
    return min(ranked, key=lambda item: item[:3])[3] if ranked else None
