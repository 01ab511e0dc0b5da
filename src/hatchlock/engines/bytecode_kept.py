"""Layers of bytecode that were made before, kept in the store's cache: files that may be deleted at any time."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hatchlock.digest import digest_file, hex_of
from hatchlock.engines.bytecode_run import BYTECODE_FILE
from hatchlock.files import private_directory
from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.layer import write_layer
from hatchlock.realise.tree import Entry

__all__ = ["KeptLayers"]

_SUFFIX = ".tar"


class KeptLayers:
    """The layers below one directory, each a plain tar file that is named by its key and by the digest of its bytes.

    Safe for threads and processes at once, as long as one at a time makes the layer of a key.

    Args:
        root: The directory; it is made, if needed, and only its owner can use it.

    Raises:
        PermissionProblem: Others could write to it.
    """

    def __init__(self, root: Path) -> None:
        self._root = private_directory(root)

    def find(self, key: str) -> ArchiveLayer | None:
        """Return the layer of a key, or None; a file that is no longer itself, or has anything but bytecode, is deleted."""
        for path in sorted(self._root.glob(f"{key}.*{_SUFFIX}")):
            digest = path.name.removeprefix(f"{key}.").removesuffix(_SUFFIX)
            with contextlib.suppress(FileNotFoundError):  # another one deleted it, or the cache was cleared just now
                if digest_file(path) == digest and _has_only_bytecode(path):
                    os.utime(path)  # `cache gc` leaves it alone for a while
                    return ArchiveLayer(diff_id=f"sha256:{digest}", path=path)
            path.unlink(missing_ok=True)
        return None

    def keep(self, key: str, entries: Iterable[Entry], *, scratch: Path) -> ArchiveLayer:
        """Write the layer of a key, and return it.

        Args:
            key: Its key (hex digits).
            entries: What is in it.
            scratch: Where it is while it is being written; see `scratch`.

        Raises:
            OSError: The disk is full.
        """
        part = scratch / key
        with part.open("wb") as file:
            diff_id = write_layer(entries, file)
        path = self._root / f"{key}.{hex_of(diff_id)}{_SUFFIX}"
        part.chmod(0o600)
        part.replace(path)
        return ArchiveLayer(diff_id=diff_id, path=path)

    @contextlib.contextmanager
    def scratch(self, keys: Sequence[str]) -> Iterator[Path]:
        """Yield an empty directory for whoever makes the layers of these keys; at least one.

        Its name follows from the first one, and those of all are removed first: what a killed maker left is cleared away by
        the next one that makes the same.
        """
        places = [self._root / f".{key}" for key in keys]
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
        directory = places[0]
        directory.mkdir(mode=0o700)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _has_only_bytecode(path: Path) -> bool:
    try:
        with tarfile.open(path, mode="r:") as archive:
            return all(
                member.isdir() or (member.type == tarfile.REGTYPE and bool(BYTECODE_FILE.fullmatch(member.name)))
                for member in archive
            )
    except tarfile.TarError:
        return False
