"""Zstandard streams, RFC 8878, read within bounds. The library is loaded when the first one is opened."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import IO, BinaryIO, cast

__all__ = ["ZSTD_HEAD", "DamagedZstd", "is_zstd", "open_zstd"]

ZSTD_HEAD = 4
"""How many bytes `is_zstd` needs."""

_FRAME = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)
# 128 MiB of memory: what the format's own program takes without being asked, and makes at its highest level.
_WINDOW_LOG_AT_MOST = 27


class DamagedZstd(ValueError):
    """A stream that is damaged, or wants a larger window than it gets."""


def is_zstd(head: bytes) -> bool:
    """Tell whether a stream that begins like this is compressed with zstd; a skippable frame may come first."""
    return _FRAME.match(head) is not None


def open_zstd(raw: IO[bytes]) -> BinaryIO:
    """Return what a stream has when it is decompressed, all its frames one after the other.

    Whoever reads bounds how much; the memory that it takes is bounded here. Seeking backwards begins anew.

    Args:
        raw: The stream, at its beginning; stays open.

    Raises:
        DamagedZstd: While it is read: it is damaged, something else follows it, or its window has more than 128 MiB.
        EOFError: While it is read: it is cut off.
        OSError: While it is read: `raw` cannot be.
    """
    return cast("BinaryIO", _Reader(raw))


class _Reader(io.BufferedIOBase):
    def __init__(self, raw: IO[bytes]) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415  few streams are of this form
        else:
            from backports import zstd  # noqa: PLC0415
        self._error = zstd.ZstdError
        self._file = zstd.ZstdFile(raw, options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_AT_MOST})

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return self._file.read(size)
        except self._error as error:
            raise DamagedZstd(str(error)) from error

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return self._file.seek(offset, whence)
        except self._error as error:
            raise DamagedZstd(str(error)) from error

    def tell(self) -> int:
        return self._file.tell()
