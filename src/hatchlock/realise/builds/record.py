"""What builds gave, by what went into them: `builds/INPUT.json` in the store, the wheel among its blobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hatchlock.digest import key_of
from hatchlock.realise.builds.kept import KEY, Rebuilt, after_another, keep, kept, kept_keys

__all__ = ["BuildRecord", "BuildRecords", "build_key", "project_key", "scripts_key"]

_RULE = "build:1"
_SCRIPTS_RULE = "scripts:1"
_PROJECT_RULE = "project:1"
_NAME = re.compile(r"\w[\w.!+-]*\.(whl|tar)", re.ASCII)


def build_key(*, package: str, archive: str, wheels: Iterable[str], platform: str, python: str, base: str) -> str:
    """Return the name of everything that goes into a build (64 hex digits), which no machine has a part in.

    Args:
        package: Its id.
        archive: Digest of its source distribution.
        wheels: Digests of the wheels of its build environment, in any order.
        platform: `linux/amd64`.
        python: Full version of the interpreter.
        base: `sha256:…` of the base that it is built in; "" for a process.
    """
    return key_of(_RULE, [package, archive, platform, python, base, *sorted(wheels)])


def scripts_key(*, package: str, path: str, tree: Iterable[str], platform: str, node: str, base: str) -> str:
    """Return the name of everything that install scripts can see (64 hex digits), likewise.

    Args:
        package: Its id.
        path: Where it is.
        tree: A line for each package of the tree, in any order.
        platform: `linux/amd64`.
        node: Full version of Node.
        base: `sha256:…` of the base; "" for a process.
    """
    return key_of(_SCRIPTS_RULE, [package, path, platform, node, base, *sorted(tree)])


def project_key(*, package: str, archive: str, inputs: Iterable[str], platform: str, node: str, base: str) -> str:
    """Return the name of everything that goes into the build of a Node project (64 hex digits), likewise.

    Args:
        package: Its id.
        archive: Digest of its snapshot.
        inputs: A line for each package and project that its build needs, in any order.
        platform: `linux/amd64`.
        node: Full version of Node.
        base: `sha256:…` of the base; "" for a process.
    """
    return key_of(_PROJECT_RULE, [package, archive, platform, node, base, *sorted(inputs)])


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRecord:
    """What a build gave.

    Attributes:
        package: Its id.
        archive: Digest of its source distribution, or tarball: whoever needs that needs the result.
        file: Name of the wheel, or of what install scripts changed.
        sha256: Its digest, after it was normalised.
        size: Its bytes.
        rebuilt: What further builds said of it.
        elsewhere: Whether another machine built it.
    """

    package: str
    archive: str
    file: str
    sha256: str
    size: int
    rebuilt: Rebuilt = ""
    elsewhere: bool = False

    @classmethod
    def read(cls, values: Mapping[str, Any] | None) -> BuildRecord | None:
        """Return the record that JSON values are; None if they are none."""
        try:
            found = cls(**(values or {}))
        except TypeError:
            return None
        texts = (found.package, found.archive, found.file, found.sha256)
        if not all(isinstance(text, str) for text in texts) or not isinstance(found.size, int):
            return None
        return found if KEY.fullmatch(found.sha256) and _NAME.fullmatch(found.file) else None

    @property
    def blobs(self) -> Mapping[str, int]:
        """Digest -> bytes of what it is about."""
        return {self.sha256: self.size}

    @property
    def is_reproducible(self) -> bool:
        """Whether no further build gave something else."""
        return self.rebuilt != "differs"


class BuildRecords:
    """The records of a store, each replaced as a whole. Whoever builds holds the lease of that build."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, key: str) -> BuildRecord | None:
        """Return what a build gave; None if it was never made, or its record is none."""
        return BuildRecord.read(kept(self._root, key))

    def each(self) -> Iterator[BuildRecord]:
        """Yield every record."""
        return (found for key in kept_keys(self._root) if (found := self.find(key)))

    def note(self, key: str, record: BuildRecord) -> BuildRecord:
        """Keep what a build gave, compare it with what the same gave before, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        if before is not None:
            record = replace(record, rebuilt=after_another(before.rebuilt, is_same=_is_same(before, record)))
        keep(self._root, key, asdict(record))
        return record

    def compare(self, key: str, made: BuildRecord) -> BuildRecord:
        """Compare what a further build gave with what is known, which stays, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        assert before is not None  # noqa: S101  the caller looked
        record = replace(before, rebuilt=after_another(before.rebuilt, is_same=_is_same(before, made)))
        keep(self._root, key, asdict(record))
        return record

    def take(self, key: str, theirs: BuildRecord, has: Callable[[str], bool]) -> None:
        """Take over what another machine built, unless there is a result already: then that stays, and is compared.

        Args:
            key: Of everything that went in.
            theirs: What that machine says of it.
            has: Whether the store has a blob.

        Raises:
            OSError: The disk is full, or the like.
        """
        ours = self.find(key)
        differs = theirs.rebuilt == "differs" or (ours is not None and not _is_same(ours, theirs))
        record = ours if ours and has(ours.sha256) else replace(theirs, elsewhere=True)
        record = replace(record, rebuilt="differs" if differs else record.rebuilt)
        if record != ours:
            keep(self._root, key, asdict(record))


def _is_same(one: BuildRecord, other: BuildRecord) -> bool:
    return (one.file, one.sha256) == (other.file, other.sha256)
