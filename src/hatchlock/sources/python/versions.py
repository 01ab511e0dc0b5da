"""A project's versions, newest first, parsed when somebody looks at them: mostly that is the newest few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from packaging.version import Version

__all__ = ["Versions"]


class Versions(Sequence[Version]):
    """A sequence of versions.

    Args:
        spellings: Normalised (PEP 440), each version once.
    """

    def __init__(self, spellings: Iterable[str]) -> None:
        self._spellings = tuple(spellings)
        self._known = frozenset(self._spellings)
        self._parsed: list[Version | None] = [None] * len(self._spellings)

    def __len__(self) -> int:
        return len(self._spellings)

    @overload
    def __getitem__(self, index: int) -> Version: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Version]: ...
    def __getitem__(self, index: int | slice) -> Version | Sequence[Version]:
        if isinstance(index, slice):
            return tuple(self._parse(place) for place in range(*index.indices(len(self))))
        return self._parse(range(len(self))[index])

    def __iter__(self) -> Iterator[Version]:
        return map(self._parse, range(len(self)))

    def __contains__(self, version: object) -> bool:
        return isinstance(version, Version) and bool(self.spelling(version))

    def spelling(self, version: Version) -> str:
        """Return how the sequence spells a version ("1.0" for 1.0.0, say), or "" if it does not have it."""
        text = str(version)
        if text in self._known:
            return text
        same = (place for place, other in enumerate(self) if other == version)
        return next((self._spellings[place] for place in same), "")

    def _parse(self, place: int) -> Version:
        # threads may parse one twice; they are equal
        known = self._parsed[place]
        if known is None:
            known = self._parsed[place] = Version(self._spellings[place])
        return known
