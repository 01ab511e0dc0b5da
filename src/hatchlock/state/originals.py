"""Where what our edits put aside in applications' files is kept: STORE/originals/KEY.json, KEY by the file's real path.

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
    "write_original",
]

ORIGINALS = "originals"
"""The directory, in the store."""
_DIGITS = 20


def original_path(store: Path, file: Path) -> Path:
    """Return where what was put aside in a file is kept, or would be; one place however the file is named.

    Args:
        store: The store's root.
        file: The application's file.
    """
    name = sha256_bytes(os.path.realpath(file).encode(errors="surrogateescape"))[:_DIGITS]
    return store / ORIGINALS / f"{name}.json"


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
    """Delete a document, if there is one."""
    path.unlink(missing_ok=True)


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
