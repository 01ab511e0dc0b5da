"""Which registry a package comes from: exactly one."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.sources.npm.npmrc import Npmrc

__all__ = ["Indexes", "NpmClaimedTwice", "NpmIndex"]

_DEFAULT_NAME = "npm"


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmIndex:
    """A registry.

    Attributes:
        name: As the lock records it.
        url: Its address; "" for the one that the user's npm is set up for.
        mirrors: Further addresses that serve the same, asked in order when the one before cannot be reached.
        ttl: Seconds for which an answer is not asked for again; None for the usual.
        packages: Patterns of the names that it alone serves (`@acme/*`); empty: it serves what no other one claims.
    """

    name: str = _DEFAULT_NAME
    url: str = ""
    mirrors: tuple[str, ...] = ()
    ttl: float | None = None
    packages: tuple[str, ...] = ()

    def claims(self, name: str) -> bool:
        """Return whether a package is one of those that it alone serves."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.packages)


@dataclass(kw_only=True, eq=False)
class NpmClaimedTwice(HatchlockError):
    """Two registries both are the only one for a package."""

    code: ClassVar[str] = "claimed-twice"

    name: str
    indexes: tuple[str, ...]

    def __str__(self) -> str:
        return f"npm:{self.name} would come from more than one index: {', '.join(self.indexes)}"

    def _hint(self) -> str:
        return "give each index `packages = [...]` so that one of them, and no other, has the name"


class Indexes:
    """Every registry, and the choice between them. Thread safe.

    What the manifest declares goes first: an index whose `packages` claim a name. Then come scopes of .npmrc, then the
    declared index without `packages`, then the registry of .npmrc, then npm's own.

    Args:
        declared: Those of the manifest.
        npmrc: The user's.
        default: Tells the registry that npm uses by itself; asked only if nobody else says.
    """

    def __init__(self, declared: Sequence[NpmIndex], npmrc: Npmrc, default: Callable[[], str]) -> None:
        self._declared = tuple(declared)
        self._npmrc = npmrc
        self._default = default
        self._lock = threading.Lock()
        self._own = ""

    def of(self, name: str) -> NpmIndex:
        """Return the one registry of a package, with its address.

        Raises:
            NpmClaimedTwice: Several claim it.
        """
        claiming = [index for index in self._declared if index.claims(name)]
        general = [index for index in self._declared if not index.packages]
        if len(claiming) > 1 or (not claiming and len(general) > 1):
            found = claiming or general
            raise NpmClaimedTwice(name=name, indexes=tuple(sorted(index.name for index in found)))
        if claiming:
            return self._addressed(claiming[0])
        scope = name.partition("/")[0]
        if scope in self._npmrc.scopes:
            return NpmIndex(url=self._npmrc.scopes[scope])
        return self._addressed(general[0] if general else NpmIndex())

    def _addressed(self, index: NpmIndex) -> NpmIndex:
        url = index.url or self._npmrc.registry or self._npms_own()
        return NpmIndex(
            name=index.name,
            url=f"{url.rstrip('/')}/",
            mirrors=tuple(f"{mirror.rstrip('/')}/" for mirror in index.mirrors),
            ttl=index.ttl,
            packages=index.packages,
        )

    def _npms_own(self) -> str:
        with self._lock:
            if not self._own:
                self._own = self._default()
            return self._own
