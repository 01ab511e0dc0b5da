"""Which of several indexes of one kind a name is taken from: exactly one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError

__all__ = ["Claimant", "ClaimedTwice", "entitled"]


class Claimant(Protocol):
    """An index that may be the only one for some names."""

    @property
    def name(self) -> str:
        """As the manifest and the lock have it."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Patterns of the names that it alone serves; empty: it serves what no other one claims."""

    def claims(self, name: str) -> bool:
        """Return whether a name is one of those that it alone serves."""


_Index = TypeVar("_Index", bound=Claimant)


@dataclass(kw_only=True, eq=False)
class ClaimedTwice(HatchlockError):
    """Two indexes both are the only one for a package; Python's say so in words of their own (`python.indexes`)."""

    code: ClassVar[str] = "claimed-twice"

    kind: Kind
    name: str
    indexes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name} would come from more than one index: {', '.join(self.indexes)}"

    def _hint(self) -> str:
        return "give each index `packages = [...]` so that one of them, and no other, has the name"


def entitled(name: str, indexes: Sequence[_Index], *, kind: Kind) -> _Index | None:
    """Return the index that a name is taken from: the one that claims it, else the one without `packages`; None: neither.

    Raises:
        ClaimedTwice: Several claim it, or nobody does and several are without `packages`.
    """
    found = [index for index in indexes if index.claims(name)] or [index for index in indexes if not index.packages]
    if len(found) > 1:
        raise ClaimedTwice(kind=kind, name=name, indexes=tuple(sorted(index.name for index in found)))
    return found[0] if found else None
