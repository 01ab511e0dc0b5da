"""Where what our edits put aside in applications' files is kept: STORE/originals/KEY.json, KEY by the file's real path.

A file may be moved behind a link of its old name, and an application that replaces its file replaces a link. So what is kept is
found by the file's own name as well, and KEY.link, KEY by the name of a link, says where it is that was put aside behind it.

What is in it is `clients.originals`' affair. It belongs to the file and not to a project: of two projects that write into
one file, the last one that goes gives back what the first one found. Where a document is damaged, what stood in the file
before is not known any more; entries of ours are taken out of it as if nothing had been there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hatchlock.digest import sha256_bytes
from hatchlock.state.documents import ASIDE, BadState, read_document, write_document

__all__ = [
    "ORIGINALS",
    "damaged_originals",
    "forget_original",
    "original_path",
    "put_original_aside",
    "read_original",
    "remember_link",
    "write_original",
]

ORIGINALS = "originals"
"""The directory, in the store."""
_DIGITS = 20
_LINK = ".link"


def original_path(store: Path, file: Path) -> Path:
    """Return where what was put aside in a file is kept, or would be; one place however the file is named.

    Args:
        store: The store's root.
        file: The application's file.
    """
    directory = store / ORIGINALS
    usual = directory / f"{_key(os.path.realpath(file))}.json"
    if usual.exists():
        return usual
    moved = directory / f"{_key(_named(file))}.json"  # it was no link then
    link = moved.with_suffix(_LINK)
    behind = directory / link.readlink() if link.is_symlink() else moved  # it is no link any more
    return next((path for path in (moved, behind) if path.exists()), usual)


def remember_link(path: Path, file: Path) -> None:
    """Keep under which other name of its own a file is known, if that is a link: its application may replace it.

    Args:
        path: `original_path` of the file.
        file: The application's file.
    """
    link = path.with_name(f"{_key(_named(file))}{_LINK}")
    if file.is_symlink() and path.exists() and link.stem != path.stem:
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)


def _named(file: Path) -> str:
    return os.path.join(os.path.realpath(file.parent), file.name)  # noqa: PTH118  as os.path.realpath writes it


def _key(path: str) -> str:
    return sha256_bytes(path.encode(errors="surrogateescape"))[:_DIGITS]


def read_original(path: Path) -> Mapping[str, Any] | None:
    """Return a document, or None when there is none.

    Raises:
        BadState: It is damaged.
        NewerState: A newer version wrote it.
    """
    return read_document(path)


def write_original(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document, durably, in place of the one that is there."""
    write_document(path, document)


def forget_original(path: Path) -> None:
    """Delete a document, if there is one, and the links to it."""
    path.unlink(missing_ok=True)
    for link in path.parent.glob(f"*{_LINK}"):
        if link.is_symlink() and link.readlink() == Path(path.name):
            link.unlink(missing_ok=True)


def put_original_aside(path: Path) -> None:
    """Rename a damaged document, `KEY.json.damaged`."""
    path.rename(path.with_name(path.name + ASIDE))


def damaged_originals(store: Path, files: Iterable[Path]) -> tuple[BadState, ...]:
    """Return what is wrong with the documents of some files.

    Raises:
        NewerState: A newer version wrote one of them.
    """
    found = []
    for path in sorted({original_path(store, file) for file in files}):
        try:
            read_document(path)
        except BadState as error:
            found.append(error)
    return tuple(found)
