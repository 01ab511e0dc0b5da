"""Documents of the state: JSON of one version each, written whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.digest import canonical_json
from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = ["STATE_FORMAT", "BadState", "document_bytes", "read_document", "write_document"]

STATE_FORMAT = 1


@dataclass(kw_only=True, eq=False)
class BadState(HatchlockError):
    """A state file is not what we wrote."""

    code: ClassVar[str] = "bad-state"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.why}"

    def _hint(self) -> str:
        return "delete it; the next `hatchlock apply` makes it again from what it finds"


def read_document(path: Path) -> Mapping[str, Any] | None:
    """Return a document, or None when there is no such file.

    Raises:
        BadState: It is not of this version's format.
    """
    data = read_optional(path)
    if data is None:
        return None
    try:
        document = json.loads(data)
    except ValueError as error:
        raise BadState(path=str(path), why=str(error)) from error
    if not isinstance(document, dict) or document.get("format_version") != STATE_FORMAT:
        raise BadState(path=str(path), why="it is not of this version's format")
    return document


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document, with its `format_version`, in place of the one that is there."""
    private_directory(path.parent)
    atomic_write(path, document_bytes(document))


def document_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a document, with its `format_version`."""
    return canonical_json({"format_version": STATE_FORMAT, **document})
