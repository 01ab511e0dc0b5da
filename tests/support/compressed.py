"""Compressed streams, made by the libraries that read them."""

from __future__ import annotations

import lzma
import struct
import sys
import zlib

if sys.version_info >= (3, 14):
    from compression import zstd as library
else:
    from backports import zstd as library

__all__ = ["SKIPPED", "is_zstd", "unzstd", "xz_of_4_gib", "zstd"]

SKIPPED = b"\x50\x2a\x4d\x18\x05\x00\x00\x00\x28\xb5\x2f\xfd."
"""A skippable frame, in which something stands that looks like a real one."""


def zstd(data: bytes, *, window_log: int = 0) -> bytes:
    """Return a frame that does not say how large it becomes; its reader must keep `2 ** window_log` bytes, if given."""
    options: dict[int, int] = {
        library.CompressionParameter.content_size_flag: 0,
        library.CompressionParameter.checksum_flag: 1,
    }
    if window_log:
        options[library.CompressionParameter.window_log] = window_log
    packer = library.ZstdCompressor(options=options)
    return packer.compress(data) + packer.flush()


def unzstd(data: bytes) -> bytes:
    """Return what is in a stream, skippable frames at its end too."""
    return library.decompress(data)


def is_zstd(data: bytes) -> bool:
    """Tell whether a stream's first frame is a real one."""
    return data.startswith(b"\x28\xb5\x2f\xfd")


def xz_of_4_gib(data: bytes) -> bytes:
    """Return a stream of xz that says, in its one block's head, that its reader must keep the last 4 GiB of what it reads."""
    made = bytearray(lzma.compress(data))
    size = (made[12] + 1) * 4
    head = made[12 : 12 + size - 4]
    head[head.index(b"\x21\x01") + 2] = 40
    made[12 : 12 + size] = head + struct.pack("<I", zlib.crc32(head))
    return bytes(made)
