"""Locks for which files were fetched and nothing was applied yet, `fetched/DIGEST.json`: they keep those files in the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from hatchlock.digest import sha256_bytes
from hatchlock.files import clear_unfinished, read_optional
from hatchlock.state.documents import write_document

__all__ = ["fetched_locks", "forget_fetched", "remember_fetched"]

_DIGITS = 20


def remember_fetched(store: Path, manifest: Path, lock: bytes) -> None:
    """Keep the lock of a manifest for which files were fetched, in place of the one before.

    Args:
        store: The store's root.
        manifest: Its path.
        lock: The lock's bytes.

    Raises:
        PermissionProblem: It cannot be written.
    """
    path = _place(store, manifest)
    clear_unfinished(path.parent, path.name)
    write_document(path, {"manifest": str(manifest), "lock": lock.decode(errors="replace")})


def forget_fetched(store: Path, manifest: Path) -> None:
    """Let go of it: an apply has left a generation, or the project is no more."""
    path = _place(store, manifest)
    clear_unfinished(path.parent, path.name)
    path.unlink(missing_ok=True)


def fetched_locks(store: Path) -> Iterator[tuple[Path, bytes, bool]]:
    """Yield the file of each, its bytes, and whether its manifest is still there: without it, nobody will apply it.

    A file that cannot be understood has a manifest: what it names stays.
    """
    for path in sorted((store / "fetched").glob("*.json")):
        if path.name.startswith("."):
            continue
        data = read_optional(path) or b""
        try:
            manifest = Path(json.loads(data)["manifest"])
        except (ValueError, KeyError, TypeError):
            yield path, data, True
        else:
            yield path, data, manifest.is_file()


def _place(store: Path, manifest: Path) -> Path:
    return store / "fetched" / f"{sha256_bytes(bytes(manifest))[:_DIGITS]}.json"
