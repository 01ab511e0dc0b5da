"""Which of several Python indexes a name is taken from: exactly one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import ClassVar

from packaging.utils import canonicalize_name

from hatchlock.errors import HatchlockError
from hatchlock.lock.model import Package
from hatchlock.net.credentials import Credentials

__all__ = ["DEFAULT_TTL", "ClaimedTwice", "Indexes", "NoIndex", "PythonIndex"]

DEFAULT_TTL = 600.0
"""Seconds; the public index asks its clients for as much."""


@dataclass(kw_only=True, eq=False)
class ClaimedTwice(HatchlockError):
    """Two indexes are declared to be the one that serves a name."""

    code: ClassVar[str] = "claimed-twice"

    name: str
    indexes: tuple[str, ...]

    def __str__(self) -> str:
        return f"the package {self.name} is claimed by the indexes {' and '.join(self.indexes)}"

    def _hint(self) -> str:
        return "a name is taken from one index only: narrow the `packages` of one of them"


@dataclass(kw_only=True, eq=False)
class NoIndex(HatchlockError):
    """A name, or a package of the lock, belongs to an index that is not declared."""

    code: ClassVar[str] = "no-index"

    name: str
    index: str = ""

    def __str__(self) -> str:
        if self.index:
            return f"the lock took {self.name} from the index {self.index}, which the manifest does not name for it"
        return f"no index is declared that may serve the package {self.name}"

    def _hint(self) -> str:
        return "declare it below [indexes], or run `hatchlock lock` to take the package from another one"


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonIndex:
    """A simple index (PEP 503, PEP 691).

    Attributes:
        name: What the lock records; the kind's default index is called "pypi".
        url: Its address, which ends before the package's name.
        mirrors: Further addresses of the same index, asked in order when the one before cannot be reached.
        ttl: Seconds for which a page is not asked for again; None for the usual ten minutes.
        packages: Names that it alone serves, with `*` and `?`; empty: those that no other index claims.
    """

    name: str
    url: str
    mirrors: tuple[str, ...] = ()
    ttl: float | None = None
    packages: tuple[str, ...] = ()

    @property
    def bases(self) -> tuple[str, ...]:
        """Its addresses in the order to ask them."""
        return (self.url, *self.mirrors)

    def keeps(self, age: float) -> bool:
        """Return whether a page of that age, in seconds, need not be asked for again."""
        return age < (DEFAULT_TTL if self.ttl is None else self.ttl)

    def claims(self, name: str) -> bool:
        """Return whether a normalised name is declared to be its own."""
        return any(fnmatchcase(name, _normalised(pattern)) for pattern in self.packages)


class Indexes:
    """The declared indexes.

    Args:
        indexes: At most one without `packages`: the default one. Names are unique.
        credentials: Learn the user names and passwords in their addresses, which are kept without them.
    """

    def __init__(self, indexes: Iterable[PythonIndex], credentials: Credentials) -> None:
        def address(url: str) -> str:
            return f"{credentials.learn(url).rstrip('/')}/"

        self._all: Sequence[PythonIndex] = tuple(
            replace(index, url=address(index.url), mirrors=tuple(map(address, index.mirrors))) for index in indexes
        )

    def serving(self, name: str) -> PythonIndex:
        """Return the one index that a name is taken from: the one that claims it, else the default one.

        Raises:
            ClaimedTwice: Several claim it, or there are several default ones.
            NoIndex: Nobody claims it, and there is no default one.
        """
        normal = str(canonicalize_name(name))
        found = [index for index in self._all if index.claims(normal)]
        found = found or [index for index in self._all if not index.packages]
        if not found:
            raise NoIndex(name=normal)
        if len(found) > 1:
            raise ClaimedTwice(name=normal, indexes=tuple(index.name for index in found))
        return found[0]

    def locked(self, package: Package) -> PythonIndex:
        """Return the index that a package of the lock came from.

        Raises:
            NoIndex: It is not declared, or the name belongs to another one now.
            ClaimedTwice: See `serving`.
        """
        index = self.serving(package.name)
        if package.index and package.index != index.name:
            raise NoIndex(name=package.name, index=package.index)
        return index


def _normalised(pattern: str) -> str:
    # as PEP 503 does it with names; `*` and `?` stay
    return pattern.lower().replace("_", "-").replace(".", "-")
