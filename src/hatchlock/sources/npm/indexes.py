"""Which registry a package comes from: exactly one."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hatchlock.address import Kind
from hatchlock.sources.claims import entitled
from hatchlock.sources.npm.npmrc import Npmrc

__all__ = ["Indexes", "NpmIndex"]

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
            ClaimedTwice: See `claims.entitled`.
        """
        found = entitled(name, self._declared, kind=Kind.NPM)
        scope = name.partition("/")[0]
        if scope in self._npmrc.scopes and not (found and found.packages):
            return NpmIndex(url=self._npmrc.scopes[scope])
        return self._addressed(found or NpmIndex())

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
