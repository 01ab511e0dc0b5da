"""Shared libraries as small as they can be: ELF headers and a soname, without code."""

from __future__ import annotations

import struct

__all__ = ["AARCH64", "X86_64", "make_library"]

X86_64, AARCH64 = 62, 183
_LOAD, _DYNAMIC = 1, 2
_HEAD, _SEGMENT = 64, 56
_ADDRESS = 0x1000


def make_library(soname: str, machine: int = X86_64) -> bytes:
    """Return a shared library of 64 bits; without a soname if that is ""."""
    strings = b"\0" + soname.encode() + b"\0"
    start = _HEAD + 2 * _SEGMENT
    tags = [(5, _ADDRESS + start + 64), *([(14, 1)] if soname else []), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags).ljust(64, b"\0")
    body = dynamic + strings
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, _HEAD, 0, 0, _HEAD, _SEGMENT, 2, 0, 0, 0),
    )
    size = start + len(body)
    load = struct.pack("<IIQQQQQQ", _LOAD, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x1000)
    table = struct.pack("<IIQQQQQQ", _DYNAMIC, 6, start, _ADDRESS + start, 0, len(dynamic), len(dynamic), 8)
    return head + load + table + body
