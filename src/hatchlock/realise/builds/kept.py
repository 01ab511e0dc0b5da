"""What a store keeps of builds: one document each, `builds/KEY.json`, and what further builds said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from hatchlock.digest import canonical_json
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = ["KEY", "Rebuilt", "after_another", "keep", "kept", "kept_keys"]

Rebuilt = Literal["", "equal", "differs"]
"""Of a result: "" if it was built once; "equal" if each further build gave the same, else "differs"."""

KEY = re.compile(r"[0-9a-f]{64}")
"""What a build, or a blob, is named by."""

_FORMAT = 1


def after_another(known: Rebuilt, *, is_same: bool) -> Rebuilt:
    """Return what is to be said of a result after one more build."""
    return "equal" if is_same and known != "differs" else "differs"


def kept(root: Path, key: str) -> dict[str, Any] | None:
    """Return what is kept under a key; None if there is nothing, or nothing that can be read."""
    data = read_optional(_path(root, key))
    if data is None:
        return None
    try:
        values = json.loads(data)
        return dict(values) if values.pop("format") == _FORMAT else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(root: Path, key: str, values: Mapping[str, Any]) -> None:
    """Keep JSON values under a key; what was there is replaced.

    Raises:
        OSError: The disk is full, or the like.
    """
    path = _path(root, key)
    private_directory(root)
    atomic_write(path, canonical_json({"format": _FORMAT, **values}), mode=0o600)


def kept_keys(root: Path) -> Iterator[str]:
    """Yield every key that something is kept under, sorted."""
    return (path.stem for path in sorted(root.glob("*.json")) if KEY.fullmatch(path.stem))


def _path(root: Path, key: str) -> Path:
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of a build")
    return root / f"{key}.json"
