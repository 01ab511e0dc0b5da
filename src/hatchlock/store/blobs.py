"""Bytes, named by their SHA-256 or SHA-512 and checked on the way in."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from hatchlock.digest import algorithm_of, digest_file
from hatchlock.errors import HatchlockError
from hatchlock.files import (
    begin_file,
    clear_unfinished,
    fsync_directory,
    naming_full,
    private_directory,
    reporting_permission,
)

__all__ = ["BlobWriter", "Blobs", "TooLong", "WrongHash"]

_ALGORITHMS = ("sha256", "sha512")


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
        return f"{self.what}{origin} has {algorithm_of(self.expected)} {self.actual}, the lock wants {self.expected}"

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

    def __init__(
        self,
        stream: BinaryIO,
        *,
        expected: str,
        limit: int | None,
        what: str,
        where: str,
        count: Callable[[int], object],
    ) -> None:
        self._stream = stream
        self._count = count
        self._expected = expected
        self._limit = limit
        self._what = what or expected
        self._where = where
        self._digest = hashlib.new(algorithm_of(expected))
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
                what=self._what, expected=self._expected, actual=self.digest, where=self._where, limit=self._limit
            )
        self._stream.write(data)
        self._count(len(data))

    @property
    def digest(self) -> str:
        """The digest of what was written so far."""
        return self._digest.hexdigest()

    def check(self) -> None:
        """Compare what was written with what was wanted.

        Raises:
            WrongHash: It is something else.
        """
        if self.digest != self._expected or (self._limit and self.size != self._limit):
            raise WrongHash(what=self._what, expected=self._expected, actual=self.digest, where=self._where)


class Blobs:
    """The blobs below one directory, `ALGORITHM/ab/abcdef…`; digests are SHA-256 or SHA-512, in hex digits.

    Safe to use from threads and processes at once.

    Args:
        root: The directory.
        count: Told, from any thread, how many bytes of some blob were just written.
    """

    def __init__(self, root: Path, count: Callable[[int], object] = lambda _: None) -> None:
        self.root = root
        self._count = count

    def path(self, digest: str) -> Path:
        """Return where a blob is, or would be.

        Raises:
            ValueError: It is no digest, and could lead anywhere.
        """
        return self.root / algorithm_of(digest) / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Return whether the blob is there. It was checked when it came in; `verify` checks again."""
        return self.path(digest).is_file()

    @contextlib.contextmanager
    def add(self, digest: str, size: int | None = None, *, what: str = "", where: str = "") -> Iterator[BlobWriter]:
        """Write one blob inside the block; it appears, whole and checked, when the block ends without an error.

        Args:
            digest: What it must have.
            size: The bytes it must have; None or 0 when that is not known.
            what: A name for messages.
            where: Where it comes from, for messages.

        What an earlier writer of the same blob left that was killed is cleared away.

        Raises:
            WrongHash: The bytes are others, or (`TooLong`) more of them. Nothing is left behind.
        """
        target = self.path(digest)
        for directory in (self.root, target.parent):
            private_directory(directory)
        clear_unfinished(target.parent, digest)
        with reporting_permission(target):
            handle, temporary = begin_file(target, ending="part")
        try:
            with naming_full(target), os.fdopen(handle, "wb") as stream:
                writer = BlobWriter(stream, expected=digest, limit=size, what=what, where=where, count=self._count)
                yield writer
                writer.check()
                stream.flush()
                os.fsync(stream.fileno())
                temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_directory(target.parent)

    def each(self) -> Iterator[str]:
        """Yield the digest of every blob that is there, sorted. Other files are passed over."""
        for algorithm in _ALGORITHMS:
            for path in sorted((self.root / algorithm).glob("??/*")):
                with contextlib.suppress(ValueError):
                    if self.path(path.name) == path:
                        yield path.name

    def leftovers(self) -> Iterator[Path]:
        """Yield what writers that were killed have left, and those that still write."""
        yield from self.root.glob("*/??/.*.part")

    def use(self, digest: str) -> None:
        """Note that a blob is needed now: `cache gc` leaves it alone for a while.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        os.utime(self.path(digest))

    def remove(self, digest: str) -> None:
        """Delete a blob, if it is there."""
        self.path(digest).unlink(missing_ok=True)

    def verify(self, digest: str) -> None:
        """Read a blob again and check it; a blob that is no longer itself is deleted.

        Raises:
            WrongHash: It was not itself. It is gone now, so that the next fetch gets it anew.
            FileNotFoundError: There is no such blob.
        """
        actual = digest_file(self.path(digest), algorithm_of(digest))
        if actual != digest:
            self.path(digest).unlink()
            raise WrongHash(what="a blob of the store", expected=digest, actual=actual, where=str(self.path(digest)))
