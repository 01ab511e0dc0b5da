"""What is in an archive: its members as values, in its own order and unchecked; `unpack` judges them."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Protocol

from hatchlock.realise.xz import XZ_HEAD, open_xz
from hatchlock.realise.zstd import is_zstd, open_zstd

__all__ = [
    "CANNOT_READ",
    "LONGEST_NAME",
    "CannotRead",
    "Member",
    "open_archive",
    "reason_of",
    "streamed_tar",
    "tar_members",
]

LONGEST_NAME = 4096
"""Bytes of a path that a system takes."""
_CHUNK = 1 << 20
_IN_MEMORY = 32 << 20
_LONGEST_HEADER = 1 << 20
_HEADERS_AT_MOST = 4 << 20
_ENCRYPTED = 0x1
_MAGIC = 6


class CannotRead(Exception):
    """An archive that is not used, and why, as the end of a sentence."""


CANNOT_READ = (
    *(CannotRead, tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error),
    *(NotImplementedError, ValueError, OverflowError, struct.error),
)
"""What reading a damaged archive raises, beside `OSError` without an `errno` or with `EINVAL`."""


def reason_of(error: Exception) -> str:
    """Return why an archive cannot be read, as the end of a sentence, when reading it raised one of `CANNOT_READ`."""
    if isinstance(error, CannotRead):
        return str(error)
    return f"it is damaged or of an unknown format ({str(error) or type(error).__name__})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """An entry of an archive, as its list has it.

    Attributes:
        name: As it stands there, unchecked.
        kind: What it is.
        executable: Whether anybody may execute it.
        mode: A tar's permission bits, as they stand there; 0 in a zip.
        target: Where a symlink points; the name of a hard link's file.
        size: A file's bytes.
        offset: Where these begin in a tar that is not compressed.
        pieces: Reads a file's bytes, as long as the archive is open.
    """

    name: str
    kind: Literal["file", "directory", "symlink", "hardlink"]
    executable: bool = False
    mode: int = 0
    target: str = ""
    size: int = 0
    offset: int = 0
    pieces: Callable[[], Iterator[bytes]] = field(default=lambda: iter(()))


@contextlib.contextmanager
def open_archive(archive: Path, *, scratch: Path, limit: int) -> Iterator[Iterator[Member]]:
    """Yield the members of a tar (plain, gzip, bzip2, xz, zstd) or zip archive; its content says which it is.

    The members are to be read to the end, then their `pieces`, in any order.

    Args:
        archive: The file.
        scratch: A directory where a large tar may lie unpacked meanwhile, without a name.
        limit: The bytes that a tar may have when it is decompressed.

    Raises:
        CannotRead: It has an encrypted or a special file, is larger than the limit, or cut off.
        CANNOT_READ: One of these: it is damaged.
        OSError: Likewise, without an `errno` or with `EINVAL`; or it cannot be read, or the disk is full.
    """
    with archive.open("rb") as raw:
        magic = raw.read(_MAGIC)
        raw.seek(0)
        if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            with zipfile.ZipFile(raw) as opened:
                yield _zip_members(opened)
            return
        # Where it will be, not in /tmp, which may be memory.
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(scratch)) as plain:
            yield tar_members(raw, plain=plain, limit=limit)


def tar_members(raw: IO[bytes], *, plain: IO[bytes], limit: int) -> Iterator[Member]:
    """Yield the members of a tar (plain, gzip, bzip2, xz, zstd) that begins where a stream stands and ends with it.

    Args:
        raw: The tar.
        plain: An empty file that the tar is decompressed into; it holds the members' bytes.
        limit: The bytes that it may have then.

    Raises:
        CANNOT_READ, OSError: As in `open_archive`.
    """
    magic = raw.read(_MAGIC)
    raw.seek(-len(magic), os.SEEK_CUR)
    _copy(_decompressed(raw, magic), plain, limit)
    return _tar_members(plain)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _decompressed(raw: IO[bytes], magic: bytes) -> _Readable:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if magic.startswith(XZ_HEAD):
        return open_xz(raw)
    if is_zstd(magic):
        return open_zstd(raw)
    return raw


def _copy(source: _Readable, sink: IO[bytes], limit: int) -> None:
    size = 0
    while piece := source.read(_CHUNK):
        size += len(piece)
        if size > limit:
            raise CannotRead(f"it is larger than {limit} bytes when it is unpacked")
        sink.write(piece)
    sink.seek(0)


def streamed_tar(raw: IO[bytes], *, limit: int) -> Iterator[tuple[tarfile.TarInfo, Callable[[], Iterator[bytes]]]]:
    """Yield what a tar (plain, gzip, bzip2, xz, zstd) lists, each with what reads its bytes, going through it once.

    Args:
        raw: A file that begins with the tar.
        limit: The bytes that it may have when it is decompressed.

    Yields:
        A member, and a function that gives a file's bytes in pieces, as long as no further member was asked for.

    Raises:
        CANNOT_READ, OSError: As in `open_archive`.
    """
    magic = raw.read(_MAGIC)
    raw.seek(0)
    stream = _Forward(_decompressed(raw, magic), limit)
    headers = _Headers(stream)
    with tarfile.TarFile(fileobj=headers, mode="r", encoding="utf-8", errors="surrogateescape") as opened:
        while info := opened.next():
            opened.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
            headers.begin()
            yield info, functools.partial(_slices, stream, info.name, info.offset_data, info.size)


class _Forward(io.BufferedIOBase):
    """A stream that is read from its beginning to its end, and skipped in by reading."""

    def __init__(self, source: _Readable, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._source.read(-1 if size is None else size)
        self._at += len(data)
        if self._at > self._limit:
            raise CannotRead(f"it is larger than {self._limit} bytes when it is unpacked")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence != os.SEEK_SET or offset < self._at:
            raise CannotRead("it has a header that points backwards")
        while self._at < offset and self.read(min(offset - self._at, _CHUNK)):
            pass
        return self._at

    def tell(self) -> int:
        return self._at


class _Headers(io.BufferedIOBase):
    """What `tarfile` reads: headers only, and none that is as long as memory, nor so many for one member."""

    def __init__(self, stream: IO[bytes] | _Forward) -> None:
        self._stream = stream
        self._size = 0

    def begin(self) -> None:
        """Say that another member's headers follow."""
        self._size = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_HEADER:
            raise CannotRead(f"it has a header of {size} bytes")
        self._size += size
        if self._size > _HEADERS_AT_MOST:
            raise CannotRead(f"it has headers of more than {_HEADERS_AT_MOST} bytes for one file")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if offset < 0:
            raise CannotRead("it has a header that points before its beginning")
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _tar_members(stream: IO[bytes]) -> Iterator[Member]:
    headers = _Headers(stream)
    with tarfile.TarFile(fileobj=headers, mode="r", encoding="utf-8", errors="surrogateescape") as opened:
        for info in opened:
            headers.begin()
            yield _tar_member(info, stream)
        # A header that cannot be read ends `tarfile`'s list as its proper end does.
        stream.seek(opened.offset)
        if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise CannotRead(f"it is damaged at byte {opened.offset}")


def _tar_member(info: tarfile.TarInfo, stream: IO[bytes]) -> Member:
    if info.issparse() or info.size < 0:
        raise CannotRead(f"{info.name} is a sparse file")
    if info.isreg():
        pieces = functools.partial(_slices, stream, info.name, info.offset_data, info.size)
        executable = bool(info.mode & 0o111)
        return Member(
            name=info.name,
            kind="file",
            executable=executable,
            mode=info.mode,
            size=info.size,
            offset=info.offset_data,
            pieces=pieces,
        )
    if info.isdir():
        return Member(name=info.name, kind="directory", mode=info.mode)
    if info.issym():
        return Member(name=info.name, kind="symlink", target=info.linkname)
    if info.islnk():
        return Member(name=info.name, kind="hardlink", target=info.linkname)
    raise CannotRead(f"{info.name} is neither a file nor a directory nor a link")


def _slices(stream: IO[bytes] | _Forward, name: str, offset: int, size: int) -> Iterator[bytes]:
    stream.seek(offset)
    while size:
        piece = stream.read(min(size, _CHUNK))
        if not piece:
            raise CannotRead(f"it is cut off inside {name}")
        size -= len(piece)
        yield piece


def _zip_members(opened: zipfile.ZipFile) -> Iterator[Member]:
    for info in opened.infolist():
        mode = info.external_attr >> 16
        kind = stat.S_IFMT(mode)
        if not info.filename:
            raise CannotRead("it has a file without a name")
        if info.flag_bits & _ENCRYPTED:
            raise CannotRead(f"{info.filename} is encrypted")
        if info.is_dir():
            yield Member(name=info.filename, kind="directory")
        elif kind == stat.S_IFLNK:
            if info.file_size > LONGEST_NAME:
                raise CannotRead(f"{info.filename} is a link to a name of {info.file_size} bytes")
            yield Member(name=info.filename, kind="symlink", target=os.fsdecode(opened.read(info)))
        elif kind in {0, stat.S_IFREG}:
            pieces = functools.partial(_zip_pieces, opened, info)
            executable = bool(mode & 0o111)
            yield Member(name=info.filename, kind="file", executable=executable, size=info.file_size, pieces=pieces)
        else:
            raise CannotRead(f"{info.filename} is neither a file nor a directory nor a link")


def _zip_pieces(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with opened.open(info) as stream:
        while piece := stream.read(_CHUNK):
            yield piece
