"""Hatch packages that need each other in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.resolve.provider import Pin, Provider

__all__ = ["CyclicHatch", "check_cycles"]


@dataclass(kw_only=True, eq=False)
class CyclicHatch(HatchlockError):
    """Hatch packages need each other, which Hatch's format forbids.

    Attributes:
        way: The packages, the first of them again at the end.
    """

    code: ClassVar[str] = "cyclic-hatch"

    way: tuple[str, ...]

    def __str__(self) -> str:
        return f"Hatch packages need each other in a circle: {' → '.join(self.way)}"

    def _hint(self) -> str:
        return "take one of these dependencies out, or ask for versions that do not have it"


def check_cycles(pins: Iterable[Pin], provider: Provider) -> None:
    """Refuse a choice in which Hatch packages need each other.

    Raises:
        CyclicHatch: They do.
    """
    own = {pin.candidate.name: pin for pin in pins if pin.namespace is Kind.HATCH}
    needs = {
        name: sorted({ask.name for ask in provider.get_dependencies(pin) if ask.namespace is Kind.HATCH})
        for name, pin in own.items()
    }
    done: set[str] = set()
    for name in sorted(needs):
        if way := _circle(name, needs, (), done):
            raise CyclicHatch(way=tuple(f"{item} {own[item].candidate.version}" for item in way))


def _circle(
    name: str, needs: Mapping[str, Sequence[str]], way: tuple[str, ...], done: set[str]
) -> tuple[str, ...] | None:
    if name in way:
        return (*way[way.index(name) :], name)
    if name in done:
        return None
    for other in needs.get(name, ()):
        if found := _circle(other, needs, (*way, name), done):
            return found
    done.add(name)
    return None
