"""Bytes, named by their SHA-256 and checked on the way in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from hatchlock.digest import sha256_file
from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory, reporting_permission

__all__ = ["BlobWriter", "Blobs", "TooLong", "WrongHash"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(kw_only=True, eq=False)
class WrongHash(HatchlockError):
    """Bytes are not those that the lock names. Nothing was kept of them."""

    code: ClassVar[str] = "wrong-hash"

    what: str
    expected: str
    actual: str
    where: str = ""

    def __str__(self) -> str:
        origin = f" from {self.where}" if self.where else ""
        return f"{self.what}{origin} has sha256 {self.actual}, the lock wants {self.expected}"

    def _hint(self) -> str:
        return "the file was changed after it was locked; do not use it. If the change is right, run `hatchlock lock --upgrade`"


@dataclass(kw_only=True, eq=False)
class TooLong(WrongHash):
    """Bytes are more than the lock names; the rest was not even read.

    Attributes:
        limit: The bytes that there should be.
    """

    limit: int

    def __str__(self) -> str:
        origin = f" from {self.where}" if self.where else ""
        return f"{self.what}{origin} is longer than the {self.limit} bytes that the lock names"


class BlobWriter:
    """Takes the pieces of one blob; see `Blobs.add`."""

    def __init__(self, stream: BinaryIO, *, expected: str, limit: int | None, what: str, where: str) -> None:
        self._stream = stream
        self._expected = expected
        self._limit = limit
        self._what = what or expected
        self._where = where
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append a piece.

        Raises:
            TooLong: There are more bytes than there should be.
            OSError: The disk is full, or the like.
        """
        self.size += len(data)
        self._digest.update(data)
        if self._limit and self.size > self._limit:
            raise TooLong(
                what=self._what, expected=self._expected, actual=self.sha256, where=self._where, limit=self._limit
            )
        self._stream.write(data)

    @property
    def sha256(self) -> str:
        """The digest of what was written so far."""
        return self._digest.hexdigest()

    def check(self) -> None:
        """Compare what was written with what was wanted.

        Raises:
            WrongHash: It is something else.
        """
        if self.sha256 != self._expected or (self._limit and self.size != self._limit):
            raise WrongHash(what=self._what, expected=self._expected, actual=self.sha256, where=self._where)


class Blobs:
    """The blobs below one directory, `sha256/ab/abcdef…`. Safe to use from threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Return where a blob is, or would be.

        Raises:
            ValueError: It is no digest, and could lead anywhere.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"{sha256!r} is no sha256")
        return self.root / "sha256" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Return whether the blob is there. It was checked when it came in; `verify` checks again."""
        return self.path(sha256).is_file()

    @contextlib.contextmanager
    def add(self, sha256: str, size: int | None = None, *, what: str = "", where: str = "") -> Iterator[BlobWriter]:
        """Write one blob inside the block; it appears, whole and checked, when the block ends without an error.

        Args:
            sha256: The digest it must have.
            size: The bytes it must have; None or 0 when that is not known.
            what: A name for messages.
            where: Where it comes from, for messages.

        Raises:
            WrongHash: The bytes are others, or (`TooLong`) more of them. Nothing is left behind.
        """
        target = self.path(sha256)
        for directory in (self.root, target.parent):
            private_directory(directory)
        temporary = target.with_name(f".{os.urandom(8).hex()}.part")
        with reporting_permission(target):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                writer = BlobWriter(stream, expected=sha256, limit=size, what=what, where=where)
                yield writer
                writer.check()
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def verify(self, sha256: str) -> None:
        """Read a blob again and check it; a blob that is no longer itself is deleted.

        Raises:
            WrongHash: It was not itself. It is gone now, so that the next fetch gets it anew.
            FileNotFoundError: There is no such blob.
        """
        actual = sha256_file(self.path(sha256))
        if actual != sha256:
            self.path(sha256).unlink()
            raise WrongHash(what="a blob of the store", expected=sha256, actual=actual, where=str(self.path(sha256)))
