"""A machine-local memory of what was worked out from manifest and lock, so that the next `plan` need not do it again.

It is a cache: deleting it, or damaging it, costs time and nothing else. An entry is used only when its key, a digest of
everything that it was worked out from, and its witnesses, the state of files outside the project, are the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hatchlock.digest import canonical_json
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = ["recall", "remember"]


def recall(path: Path, key: str) -> Mapping[str, Any] | None:
    """Return what was remembered under a key, or None."""
    try:
        document = json.loads(read_optional(path) or b"null")
        if document is None or document["key"] != key:
            return None
        if any(_witness(file) != seen for file, seen in document["witnesses"].items()):
            return None
        value: Mapping[str, Any] = document["value"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return value


def remember(path: Path, key: str, value: Mapping[str, Any], *, witnesses: Iterable[str]) -> None:
    """Remember a JSON value.

    Args:
        path: The entry's file.
        key: The digest of what it was worked out from.
        value: What was worked out.
        witnesses: Files whose replacement makes it void.
    """
    seen = {file: _witness(file) for file in witnesses}
    private_directory(path.parent)
    atomic_write(path, canonical_json({"key": key, "witnesses": seen, "value": value}), durable=False)


def _witness(file: str) -> list[int] | None:
    try:
        facts = os.stat(file)  # noqa: PTH116  a path object costs more than the call
    except OSError:
        return None
    return [facts.st_mtime_ns, facts.st_size, facts.st_ino]
