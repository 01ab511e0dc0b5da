"""The names of programs and archives that a manifest gives by their addresses: each is what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hatchlock.address import Kind
from hatchlock.resolve.direct import Direct, DirectCandidate
from hatchlock.resolve.provider import Ask

__all__ = ["ANY", "DirectNames"]


class _Any:
    def contains(self, _: Any, /, *, prereleases: bool) -> bool:
        del prereleases
        return True

    def __str__(self) -> str:
        return ""


ANY = _Any()
"""Bounds that every version satisfies."""


class DirectNames:
    """See `provider.Names`: the names of a kind that has no index.

    Args:
        namespace: The kind.
        direct: Name -> what it is.
        ask: Turns a requirement of any kind and its requirer into asks.
    """

    def __init__(self, namespace: Kind, direct: Mapping[str, Direct], ask: Callable[[str, str], Iterator[Ask]]) -> None:
        self.namespace = namespace
        self._direct = {
            name: DirectCandidate(direct=item, version=item.package.version) for name, item in direct.items()
        }
        self._ask = ask

    def candidates(self, name: str, asks: Sequence[Ask]) -> Iterator[DirectCandidate]:
        """Yield the one that there is."""
        del asks
        yield self._direct[name]

    def allows(self, ask: Ask, candidate: DirectCandidate) -> bool:
        """Return whether it is the one."""
        return ask.name == candidate.name

    def pins(self, ask: Ask) -> bool:
        """Return True: there is only one."""
        return ask.name in self._direct

    def needs(self, candidate: DirectCandidate, extra: str) -> Iterator[Ask]:
        """Yield what it says that it needs."""
        for text in candidate.direct.needs(extra):
            yield from self._ask(text, str(candidate))

    def usable(self, name: str) -> Iterator[DirectCandidate]:
        """Yield the one that there is."""
        yield self._direct[name]

    def ruled_out(self, ask: Ask) -> Iterator[str]:
        """Yield nothing."""
        del ask
        return iter(())

    def refusal(self, ask: Ask) -> None:
        """Return None."""
        del ask

    def limit(self, name: str) -> str:
        """Return ""."""
        del name
        return ""
