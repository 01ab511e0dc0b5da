"""What a store keeps of builds: one record each, `builds/KEY.json`, and what further builds said of it."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

from hatchlock.digest import canonical_json
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = ["KEY", "Rebuilt", "Record", "Records"]

Rebuilt = Literal["", "equal", "differs"]
"""Of a result: "" if it was built once; "equal" if each further build gave the same, else "differs"."""

KEY = re.compile(r"[0-9a-f]{64}")
"""What a build, or a blob, is named by."""

_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a build gave, of whatever kind.

    Attributes:
        rebuilt: What further builds said of it.
        elsewhere: Whether another machine built it.
    """

    rebuilt: Rebuilt = ""
    elsewhere: bool = False

    @property
    def is_reproducible(self) -> bool:
        """Whether no further build gave something else."""
        return self.rebuilt != "differs"

    @abstractmethod
    def is_same(self, other: Self) -> bool:
        """Whether another build gave the same."""

    @abstractmethod
    def is_kept(self, has: Callable[[str], bool]) -> bool:
        """Whether what the build gave is among a store's blobs."""

    def after_another(self, made: Self) -> Self:
        """Return what is to be said of this result after one more build."""
        same = made.is_same(self) and self.is_reproducible
        return replace(self, rebuilt="equal" if same else "differs")


_R = TypeVar("_R", bound=Record)


class Records(Generic[_R]):
    """The records of one kind in a store, each replaced as a whole. Whoever builds holds a lease for it.

    Args:
        root: Their directory, `builds`, which has those of other kinds as well.
        read: Returns the record that JSON values are; None if they are none.
    """

    def __init__(self, root: Path, read: Callable[[Mapping[str, Any] | None], _R | None]) -> None:
        self._root = root
        self._read = read

    def find(self, key: str) -> _R | None:
        """Return what a build gave; None if it was never made, or its record is none."""
        return self._read(_values(self._path(key)))

    def each(self) -> Iterator[_R]:
        """Yield every record, sorted by key."""
        keys = (path.stem for path in sorted(self._root.glob("*.json")) if KEY.fullmatch(path.stem))
        return (found for key in keys if (found := self.find(key)))

    def write(self, key: str, record: _R) -> None:
        """Keep a record; what was there is replaced.

        Raises:
            OSError: The disk is full, or the like.
        """
        path = self._path(key)
        private_directory(self._root)
        atomic_write(path, canonical_json({"format": _FORMAT, **asdict(record)}), mode=0o600)

    def note(self, key: str, record: _R) -> _R:
        """Keep what a build gave, compare it with what the same gave before, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        if before is not None:
            record = replace(record, rebuilt=before.after_another(record).rebuilt)
        self.write(key, record)
        return record

    def compare(self, key: str, made: _R) -> _R:
        """Compare what a further build gave with what is known, which stays, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        assert before is not None  # noqa: S101  the caller looked
        record = before.after_another(made)
        self.write(key, record)
        return record

    def take(self, key: str, theirs: _R, has: Callable[[str], bool]) -> None:
        """Take over what another machine built, unless the store has a result already: then that stays, and is compared.

        Args:
            key: Of everything that went in.
            theirs: What that machine says of it.
            has: Whether the store has a blob.

        Raises:
            OSError: The disk is full, or the like.
        """
        ours = self.find(key)
        differs = not theirs.is_reproducible or (ours is not None and not ours.is_same(theirs))
        record = ours if ours and ours.is_kept(has) else replace(theirs, elsewhere=True)
        record = replace(record, rebuilt="differs" if differs else record.rebuilt)
        if record != ours:
            self.write(key, record)

    def _path(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a build")
        return self._root / f"{key}.json"


def _values(path: Path) -> dict[str, Any] | None:
    """Return the values of a document of ours; None if there is none, or none that can be read."""
    data = read_optional(path)
    if data is None:
        return None
    try:
        values = json.loads(data)
        return dict(values) if values.pop("format") == _FORMAT else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
