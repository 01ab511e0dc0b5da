"""What is in a finished tree, file for file: written down when it was built, and compared later.

The list lies in the tree, beside the receipt. It finds what was changed by hand or by a program that took the tree for its own; it
is no seal: whoever may write into the tree may write it anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hatchlock.digest import canonical_json, digest_file
from hatchlock.files import atomic_write, read_optional
from hatchlock.store.receipts import RECEIPT_NAME

__all__ = ["CONTENTS_NAME", "Compared", "compare_contents", "record_contents"]

CONTENTS_NAME = ".hatchlock-contents.json"
_OURS = frozenset({RECEIPT_NAME, CONTENTS_NAME})
_LINK = "-> "


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What comparing a tree gave.

    Attributes:
        files: How many files and links it should have.
        altered: Those that are others or gone, as paths below it, sorted.
        added: Those that it did not have, sorted.
    """

    files: int
    altered: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


def record_contents(tree: Path) -> None:
    """Write down what is in a tree, before its receipt is written: the SHA-256 of each file, and where each link leads.

    Raises:
        OSError: Something of it cannot be read, the disk is full, or the like.
    """
    found = {path: _content(tree / path) for path in _paths(tree)}
    atomic_write(tree / CONTENTS_NAME, canonical_json(found), mode=0o644)


def compare_contents(tree: Path) -> Compared | None:
    """Compare a tree with what was written down of it; None if nothing was: it was built by an earlier version.

    Every file is read. A list that is damaged counts as a file that is another one.

    Raises:
        OSError: The list is there and cannot be read.
    """
    data = read_optional(tree / CONTENTS_NAME)
    if data is None:
        return None
    try:
        recorded = json.loads(data)
    except (ValueError, RecursionError):
        recorded = None
    if not isinstance(recorded, dict):
        return Compared(files=0, altered=(CONTENTS_NAME,))
    altered = [path for path, content in recorded.items() if _content_now(tree / path) != content]
    added = [path for path in _paths(tree) if path not in recorded]
    return Compared(files=len(recorded), altered=tuple(sorted(altered)), added=tuple(sorted(added)))


def _paths(tree: Path) -> Iterator[str]:
    """Files and links; a link to a directory is one, and is not followed."""
    for directory, directories, names in os.walk(tree):
        links = [name for name in directories if Path(directory, name).is_symlink()]
        for name in (*names, *links):
            path = os.path.relpath(f"{directory}/{name}", tree)
            if path not in _OURS:
                yield path


def _content(path: Path) -> str:
    return f"{_LINK}{path.readlink()}" if path.is_symlink() else digest_file(path)


def _content_now(path: Path) -> str:
    try:
        return _content(path)
    except OSError:
        return ""
