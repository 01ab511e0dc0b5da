"""What the dynamic linker wants to know of a shared library, read from its ELF headers."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from hatchlock.realise.tree import FileOnDisk

__all__ = ["Library", "library"]

_MAGIC = b"\x7fELF"
_CLASS_64 = 2
_HEAD = 64
_SHARED = 3
_LOAD = 1
_DYNAMIC = 2
_NULL = 0
_STRINGS = 5
_SONAME = 14
_LONGEST_TABLE = 1 << 20
_LONGEST_NAME = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A shared library.

    Attributes:
        machine: The number of its processor: `e_machine`.
        is_64: Whether its addresses have 64 bits.
        soname: The name that programs ask for; "" if it has none.
    """

    machine: int
    is_64: bool
    soname: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def library(content: FileOnDisk) -> Library | None:
    """Return what a file is as a shared library, little-endian; None if it is something else or damaged.

    Raises:
        OSError: It cannot be read.
    """
    with content.path.open("rb") as stream:
        try:
            return _library(_Part(stream, content))
        except (struct.error, ValueError, OverflowError):
            return None


class _Part:
    """The bytes of a file that may lie within another one."""

    def __init__(self, stream: IO[bytes], content: FileOnDisk) -> None:
        self._stream = stream
        self._content = content

    def read(self, at: int, size: int) -> bytes:
        """Return bytes, as many of them as there are."""
        if at >= self._content.size:  # further than a file can be, maybe
            return b""
        self._stream.seek(self._content.offset + at)
        return self._stream.read(min(size, self._content.size - at))


def _library(part: _Part) -> Library | None:
    head = part.read(0, _HEAD)
    if head[:4] != _MAGIC or head[5:6] != b"\x01" or head[4:5] not in {b"\x01", b"\x02"}:
        return None
    is_64 = head[4] == _CLASS_64
    kind, machine = struct.unpack_from("<HH", head, 16)
    if kind != _SHARED:
        return None
    segments = list(_segments(part, head, is_64=is_64))
    dynamic = next((item for item in segments if item.kind == _DYNAMIC), None)
    if dynamic is None:
        return None
    tags = dict(_tags(part, dynamic, is_64=is_64))
    soname = ""
    if _SONAME in tags and _STRINGS in tags:
        soname = _text(part, _offset(tags[_STRINGS], segments) + tags[_SONAME])
    return Library(machine=machine, is_64=is_64, soname=soname)


def _segments(part: _Part, head: bytes, *, is_64: bool) -> Iterator[_Segment]:
    start = struct.unpack_from("<Q", head, 32)[0] if is_64 else struct.unpack_from("<I", head, 28)[0]
    each, count = struct.unpack_from("<HH", head, 54 if is_64 else 42)
    table = part.read(start, min(each * count, _LONGEST_TABLE))
    for number in range(count):
        if is_64:
            kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", table, number * each)
        else:
            kind, offset, address, _, size = struct.unpack_from("<IIIII", table, number * each)
        yield _Segment(kind=kind, offset=offset, address=address, size=size)


def _tags(part: _Part, dynamic: _Segment, *, is_64: bool) -> Iterator[tuple[int, int]]:
    table = part.read(dynamic.offset, min(dynamic.size, _LONGEST_TABLE))
    form = "<qQ" if is_64 else "<iI"
    for tag, value in struct.iter_unpack(form, table[: len(table) - len(table) % struct.calcsize(form)]):
        if tag == _NULL:
            return
        yield tag, value


def _offset(address: int, segments: list[_Segment]) -> int:
    for item in segments:
        if item.kind == _LOAD and item.address <= address < item.address + item.size:
            return address - item.address + item.offset
    raise ValueError("an address is in no segment")


def _text(part: _Part, offset: int) -> str:
    return part.read(offset, _LONGEST_NAME).partition(b"\0")[0].decode("ascii")
