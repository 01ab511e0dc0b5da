"""What builds gave, by what went into them: `builds/INPUT.json` in the store, the wheel among its blobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from hatchlock.digest import canonical_json, key_of
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = ["BuildRecord", "BuildRecords", "build_key", "scripts_key"]

_RULE = "build:1"
_SCRIPTS_RULE = "scripts:1"
_FORMAT = 1
_KEY = re.compile(r"[0-9a-f]{64}")
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


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRecord:
    """What a build gave.

    Attributes:
        package: Its id.
        archive: Digest of its source distribution, or tarball: whoever needs that needs the result.
        file: Name of the wheel, or of what install scripts changed.
        sha256: Its digest, after it was normalised.
        size: Its bytes.
        rebuilt: "" if it was built once; "equal" if each further build gave the same, else "differs".
    """

    package: str
    archive: str
    file: str
    sha256: str
    size: int
    rebuilt: Literal["", "equal", "differs"] = ""

    @property
    def is_reproducible(self) -> bool:
        """Whether no further build gave something else."""
        return self.rebuilt != "differs"


class BuildRecords:
    """The records of a store. Whoever writes holds the lease of that build."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, key: str) -> BuildRecord | None:
        """Return what a build gave; None if it was never made, or its record is none."""
        data = read_optional(self._path(key))
        if data is None:
            return None
        try:
            values = json.loads(data)
            if values.pop("format") != _FORMAT:
                return None
            found = BuildRecord(**values)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        right = _KEY.fullmatch(found.sha256) and _NAME.fullmatch(found.file) and isinstance(found.size, int)
        return found if right else None

    def each(self) -> Iterator[BuildRecord]:
        """Yield every record."""
        for path in sorted(self._root.glob("*.json")):
            if _KEY.fullmatch(path.stem) and (found := self.find(path.stem)):
                yield found

    def note(self, key: str, record: BuildRecord) -> BuildRecord:
        """Keep what a build gave, compare it with what the same gave before, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        if before is not None:
            is_same = (before.file, before.sha256) == (record.file, record.sha256)
            equal = is_same and before.rebuilt != "differs"
            record = replace(record, rebuilt="equal" if equal else "differs")
        private_directory(self._root)
        atomic_write(self._path(key), canonical_json({"format": _FORMAT, **asdict(record)}), mode=0o600)
        return record

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a build")
        return self._root / f"{key}.json"
