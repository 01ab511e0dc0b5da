"""Which versions several packages want of one thing, and whether any can be had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from hatchlock.errors import HatchlockError

__all__ = ["HatchConflict", "Wish", "conflicts", "exclude_each_other", "way_text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What somebody wants of a thing.

    Attributes:
        thing: What: `hatch:core`, `pypi:numpy`.
        specifier: Which versions will do; of a directory exactly its version.
        way: Who, from the package that is looked at to the one that wants it, then the requirement.
    """

    thing: str
    specifier: SpecifierSet
    way: tuple[str, ...]


@dataclass(kw_only=True, eq=False)
class HatchConflict(HatchlockError):
    """Two packages want versions of one thing that exclude each other."""

    code: ClassVar[str] = "hatch-conflict"

    thing: str
    ways: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        ways = "".join(f"\n  {way_text(way)}" for way in self.ways)
        return f"no version of {self.thing} is all that is wanted:{ways}"

    def _hint(self) -> str:
        return "change one of these constraints, or choose another version of what needs it"


def way_text(way: Iterable[str]) -> str:
    """Return a way as people read it: `app → liba → hatch:core>=2`."""
    return " → ".join(way)


def conflicts(wishes: Iterable[Wish]) -> list[HatchConflict]:
    """Return what cannot be had, by the name of the thing: two wishes that exclude each other, or all that do together."""
    by_thing: dict[str, list[Wish]] = {}
    for wish in wishes:
        by_thing.setdefault(wish.thing, []).append(wish)
    return [
        HatchConflict(thing=thing, ways=tuple(wish.way for wish in fighting))
        for thing, found in sorted(by_thing.items())
        if (fighting := _fighting(found))
    ]


def _fighting(found: list[Wish]) -> tuple[Wish, ...]:
    for pair in combinations(found, 2):
        if exclude_each_other(wish.specifier for wish in pair):
            return pair
    return tuple(found) if exclude_each_other(wish.specifier for wish in found) else ()


def exclude_each_other(specifiers: Iterable[SpecifierSet]) -> bool:
    """Return whether there can be no version, of all that there might ever be, that several specifiers allow."""
    together = SpecifierSet(",".join(str(item) for item in specifiers if str(item)))
    named = [Version(item.version.removesuffix(".*")) for item in together if item.operator != "==="]
    # Whatever is allowed begins at a version that is named, right behind one, or before all of them.
    near = [Version(f"{'.'.join(map(str, (*item.release, 0, 0, 0, 1)))}") for item in named]
    lowest = Version("0.dev0")
    return bool(together) and not any(together.contains(item, prereleases=True) for item in (lowest, *named, *near))
