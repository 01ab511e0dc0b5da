"""What builds gave, by what went into them: `builds/INPUT.json` in the store, the wheel among its blobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchlock.digest import key_of
from hatchlock.realise.builds.kept import KEY, Record, Records

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
class BuildRecord(Record):
    """What a build gave.

    Attributes:
        package: Its id.
        archive: Digest of its source distribution, or tarball: whoever needs that needs the result.
        file: Name of the wheel, or of what install scripts changed.
        sha256: Its digest, after it was normalised.
        size: Its bytes.
    """

    package: str
    archive: str
    file: str
    sha256: str
    size: int

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

    def is_same(self, other: BuildRecord) -> bool:
        """Whether another build gave the same."""
        return (self.file, self.sha256) == (other.file, other.sha256)

    def is_kept(self, has: Callable[[str], bool]) -> bool:
        """Whether the file is among a store's blobs."""
        return has(self.sha256)


class BuildRecords(Records[BuildRecord]):
    """The records of a store. Whoever builds holds the lease of that build."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, BuildRecord.read)
