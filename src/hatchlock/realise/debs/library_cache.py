"""`/etc/ld.so.cache`: the form of glibc 2.2 and newer (`glibc-ld.so.cache1.1`), read and written; little-endian."""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["BadCache", "CachedLibrary", "read_cache", "version_key", "written_cache"]

_OLD = b"ld.so-1.7.0\0"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_OLD_ENTRY = 12
_LITTLE_ENDIAN = 2
_EXTENSIONS = 0xEAA42174
_EXTENSION_HEAD = struct.Struct("<II")
_SECTION = struct.Struct("<IIII")
_GENERATOR, _SUBDIRECTORIES = 0, 1
_IS_SUBDIRECTORY = 1 << 62
_INDEX = (1 << 32) - 1
# Entries may share their texts: a small file could stand for any number of long ones.
_LIBRARIES_AT_MOST = 1 << 16
_SUBDIRECTORIES_AT_MOST = 64
_LONGEST_TEXT = 1024
_RUN = re.compile(r"\d+|\D", re.DOTALL)


class BadCache(ValueError):
    """What is no such cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedLibrary:
    """Where the dynamic linker finds a library.

    Attributes:
        name: What programs ask for: `libz.so.1`.
        path: Absolute.
        flags: Its kind and processor, as glibc numbers them: 0x303 for x86-64.
        level: What else it demands of the processor, as glibc writes it; 0 for nothing.
        subdirectory: Below `glibc-hwcaps`, where it is for some processors of a kind: `x86-64-v3`; "" if it is for all.
    """

    name: str
    path: str
    flags: int
    level: int = 0
    subdirectory: str = ""


def read_cache(data: bytes) -> tuple[CachedLibrary, ...]:
    """Return the libraries of a cache in its own order.

    Raises:
        BadCache: It has another form, or is damaged.
    """
    try:
        start = _start(data)
        magic, count, _, _, extension = _HEADER.unpack_from(data, start)
        if magic != _MAGIC:
            raise BadCache("it is none of glibc's")
        if count > _LIBRARIES_AT_MOST:
            raise BadCache(f"it has {count} libraries")
        names = _subdirectories(data, start, extension)
        rows = [_ENTRY.unpack_from(data, start + _HEADER.size + number * _ENTRY.size) for number in range(count)]
        return tuple(_read(data, start, row, names) for row in rows)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise BadCache(str(error)) from error


def written_cache(libraries: Iterable[CachedLibrary]) -> bytes:
    """Return a cache.

    Args:
        libraries: For each name and kind of processor, those that count more come first.
    """
    found = sorted(libraries, key=_order)
    subdirectories = sorted({item.subdirectory for item in found if item.subdirectory})
    texts = _Texts(_HEADER.size + _ENTRY.size * len(found))
    rows = b"".join(
        _ENTRY.pack(item.flags, texts.add(item.name), texts.add(item.path), 0, _demands(item, subdirectories))
        for item in found
    )
    places = [texts.add(item) for item in subdirectories]
    generator = b"hatchlock"
    body = rows + bytes(texts.data)
    extension = (_HEADER.size + len(body) + 3) // 4 * 4
    head = _HEADER.pack(_MAGIC, len(found), len(texts.data), _LITTLE_ENDIAN, extension)
    return (head + body).ljust(extension, b"\0") + _extensions(extension, generator, places)


def version_key(name: str) -> list[tuple[int, int]]:
    """Return what names of libraries are compared by: numbers as numbers, and above everything else."""
    return [(1, int(run)) if run.isdecimal() else (0, ord(run)) for run in _RUN.findall(name)]


def _order(item: CachedLibrary) -> tuple[object, ...]:
    """The linker searches from high names to low ones and, of equal names, takes the first that fits."""
    return (_Descending(version_key(item.name)), -item.flags, not item.subdirectory, item.subdirectory)


@functools.total_ordering
class _Descending:
    def __init__(self, key: list[tuple[int, int]]) -> None:
        self._key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self._key == other._key

    def __lt__(self, other: _Descending) -> bool:
        return self._key > other._key

    def __hash__(self) -> int:
        return hash(tuple(self._key))


class _Texts:
    """Texts one after another, each once."""

    def __init__(self, start: int) -> None:
        self.data = bytearray()
        self._start = start
        self._places: dict[str, int] = {}

    def add(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = self._start + len(self.data)
            self.data += text.encode() + b"\0"
        return self._places[text]


def _demands(item: CachedLibrary, subdirectories: Sequence[str]) -> int:
    if not item.subdirectory:
        return item.level
    return _IS_SUBDIRECTORY | item.level | subdirectories.index(item.subdirectory)


def _extensions(start: int, generator: bytes, places: Sequence[int]) -> bytes:
    """Return the directory of extensions and these: who made the cache, and the names of subdirectories."""
    count = 2 if places else 1
    at = start + _EXTENSION_HEAD.size + count * _SECTION.size
    names = struct.pack(f"<{len(places)}I", *places)
    sections = [_SECTION.pack(_SUBDIRECTORIES, 0, at, len(names))] if places else []
    sections.insert(0, _SECTION.pack(_GENERATOR, 0, at + len(names), len(generator)))
    return _EXTENSION_HEAD.pack(_EXTENSIONS, count) + b"".join(sections) + names + generator


def _start(data: bytes) -> int:
    """The older form may stand in front, for programs of the last century."""
    if not data.startswith(_OLD[:11]):
        return 0
    count = int.from_bytes(data[len(_OLD) : len(_OLD) + 4], "little")
    end = len(_OLD) + 4 + count * _OLD_ENTRY
    return (end + 7) // 8 * 8


def _subdirectories(data: bytes, start: int, extension: int) -> list[str]:
    if not extension:
        return []
    magic, count = _EXTENSION_HEAD.unpack_from(data, start + extension)
    if magic != _EXTENSIONS:
        return []
    for number in range(count):
        at = start + extension + _EXTENSION_HEAD.size + number * _SECTION.size
        tag, _, offset, size = _SECTION.unpack_from(data, at)
        if tag == _SUBDIRECTORIES:
            if size // 4 > _SUBDIRECTORIES_AT_MOST:
                raise BadCache(f"it has {size // 4} subdirectories")
            places = struct.unpack_from(f"<{size // 4}I", data, start + offset)
            return [_text(data, start + place) for place in places]
    return []


def _read(data: bytes, start: int, row: tuple[int, ...], names: Sequence[str]) -> CachedLibrary:
    flags, name, path, _, demands = row
    is_below = bool(demands & _IS_SUBDIRECTORY)
    return CachedLibrary(
        name=_text(data, start + name),
        path=_text(data, start + path),
        flags=flags,
        level=demands & ~_IS_SUBDIRECTORY & ~_INDEX if is_below else demands,
        subdirectory=names[demands & _INDEX] if is_below else "",
    )


def _text(data: bytes, at: int) -> str:
    end = data.find(b"\0", at, at + _LONGEST_TEXT)
    if end < 0:
        raise BadCache("it has a name that is too long, or ends too early")
    return data[at:end].decode()
