"""Streams of xz, read within bounds: whoever writes one decides on the memory that reading it takes, up to 4 GiB."""

from __future__ import annotations

import io
import lzma
from typing import IO

__all__ = ["XZ_HEAD", "open_xz"]

XZ_HEAD = b"\xfd7zXZ\0"
"""What such a stream begins with."""

# The format's own program needs 65 MiB for what it makes at its highest level.
_MEMORY_AT_MOST = 256 << 20
_CHUNK = 1 << 16
_PADDING = 4


def open_xz(raw: IO[bytes]) -> io.BufferedReader:
    """Return what a stream has when it is decompressed, all its parts one after the other; it can be read once.

    Args:
        raw: The stream, at its beginning; stays open.

    Raises:
        lzma.LZMAError: While it is read: it is damaged, something else follows it, or it needs more than 256 MiB of memory.
        EOFError: While it is read: it is cut off.
        OSError: While it is read: `raw` cannot be.
    """
    return io.BufferedReader(_Reader(raw), _CHUNK)


class _Reader(io.RawIOBase):
    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._part = _part()
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while True:
            if self._part.eof and not self._next_part():
                return 0
            data = b""
            if self._part.needs_input:
                data = self._ahead or self._raw.read(_CHUNK)
                self._ahead = b""
                if not data:
                    raise EOFError("it is cut off")
            if piece := self._part.decompress(data, len(buffer)):
                buffer[: len(piece)] = piece
                return len(piece)

    def _next_part(self) -> bool:
        """Go on with what follows a whole part, behind zeros in fours."""
        rest = self._part.unused_data
        while not (found := rest.lstrip(b"\0")) and (more := self._raw.read(_CHUNK)):
            rest = rest[: len(rest) % _PADDING] + more
        if (len(rest) - len(found)) % _PADDING:
            raise lzma.LZMAError("something else follows it")
        if found:
            self._part, self._ahead = _part(), found
        return bool(found)


def _part() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY_AT_MOST)
