"""The file of a Debian package, deb(5): an `ar` archive of two tars, `control` and `data`."""

from __future__ import annotations

import contextlib
import errno
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hatchlock.realise.archives import CANNOT_READ, CannotRead, Member, reason_of, tar_members
from hatchlock.realise.unpack import BadArchive

__all__ = ["Control", "Field", "control_of_head", "deb_fields", "head_size", "opened_deb"]

_MAGIC = b"!<arch>\n"
_HEADER = 60
_VERSION = re.compile(rb"2\.\d+\n")
_ENDINGS = ("", ".gz", ".bz2", ".xz", ".zst")
_CONTROL_AT_MOST = 64 << 20
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*")
_MEMBER = re.compile(r"(?!list$)[A-Za-z0-9_-][A-Za-z0-9._+-]*")
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")

Field = tuple[str, str]
"""A field of a control file as it is written: its name, and its value with the line breaks of folded lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """What a package says of itself.

    Attributes:
        fields: Of its control file, in its order.
        members: Its other files, name -> content: `conffiles`, `md5sums`, `postinst`, …
        modes: Their permission bits.
    """

    fields: tuple[Field, ...]
    members: Mapping[str, bytes]
    modes: Mapping[str, int]

    def field(self, name: str) -> str:
        """Return a field's value, or "" if it does not have it."""
        return next((value.strip() for key, value in self.fields if key.lower() == name.lower()), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    name: str
    offset: int
    size: int


@contextlib.contextmanager
def opened_deb(path: Path, *, name: str, plain: IO[bytes], limit: int) -> Iterator[tuple[Control, Iterator[Member]]]:
    """Yield what a package says of itself, and the members of its data as `archives.tar_members` gives them.

    Args:
        path: The verified file.
        name: What to call it in messages.
        plain: An empty file that the data are decompressed into.
        limit: The bytes that they may have then.

    Raises:
        BadArchive: It is no package of format 2, or damaged; also while the members are read.
        OSError: It cannot be read, or the disk is full.
    """
    with _reporting(name), path.open("rb") as stream:
        control, data = _parts(stream)
        stream.seek(control.offset)
        known = _control(stream.read(control.size))
        yield known, tar_members(io.BufferedReader(_Window(stream, data)), plain=plain, limit=limit)


def head_size(head: bytes) -> int:
    """Return how many bytes of a package's file reach to the end of what it says of itself.

    Args:
        head: At least the first 512 bytes of it, if it has as many.

    Raises:
        BadArchive: It is no package of format 2, or does not begin with its control information.
    """
    with _reporting("the package"):
        control = _control_part(io.BytesIO(head))
        return control.offset + control.size


def control_of_head(head: bytes) -> Control:
    """Return what a package says of itself, from the first `head_size` bytes of its file or more.

    Raises:
        BadArchive: It is no package of format 2, or what it says is damaged or cut off.
    """
    with _reporting("the package"):
        found = _control_part(io.BytesIO(head))
        return _control(head[found.offset : found.offset + found.size])


@contextlib.contextmanager
def _reporting(name: str) -> Iterator[None]:
    try:
        yield
    except CANNOT_READ as error:
        raise BadArchive(archive=name, why=reason_of(error)) from error
    except OSError as error:
        # a decompressor's complaint has no number
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise BadArchive(archive=name, why=reason_of(error)) from error


def _control_part(stream: IO[bytes]) -> _Part:
    control = next(_members(stream, wanted="control.tar"), None)
    if control is None:
        raise CannotRead("it has no control.tar")
    if control.size > _CONTROL_AT_MOST:
        raise CannotRead(f"its control information has {control.size} bytes")
    return control


def deb_fields(text: str) -> tuple[Field, ...]:
    """Return the fields of one paragraph, deb822, as they are written."""
    found: list[Field] = []
    for line in text.splitlines():
        match = _FIELD.fullmatch(line)
        if match:
            found.append((match[1], match[2]))
        # a line of blanks would end the paragraph for others who read it
        elif found and line[:1] in {" ", "\t"} and line.strip():
            name, value = found[-1]
            found[-1] = (name, f"{value}\n{line}")
    return tuple(found)


def _parts(stream: IO[bytes]) -> tuple[_Part, _Part]:
    control = _control_part(stream)
    data = next(_members(stream, wanted="data.tar"), None)
    if data is None:
        raise CannotRead("it has no data.tar")
    if data.offset + data.size > stream.seek(0, io.SEEK_END):
        raise CannotRead("it is cut off")
    return control, data


def _members(stream: IO[bytes], *, wanted: str) -> Iterator[_Part]:
    """Yield the members of that name in any compressed form, after a look at the format's version."""
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise CannotRead("it is no archive of ar")
    is_first = True
    while header := stream.read(_HEADER):
        part = _part(header, stream.tell())
        if part is None:
            return
        if is_first and (part.name != "debian-binary" or not _VERSION.fullmatch(stream.read(min(part.size, 16)))):
            raise CannotRead("it is no Debian package of format 2")
        is_first = False
        if part.name in {f"{wanted}{ending}" for ending in _ENDINGS}:
            yield part
        stream.seek(part.offset + part.size + part.size % 2)


def _part(header: bytes, offset: int) -> _Part | None:
    if len(header) < _HEADER:
        return None
    size = header[48:58].strip()
    if header[58:] != b"`\n" or not size.isdigit():
        raise CannotRead(f"it is damaged at byte {offset - _HEADER}")
    name = header[:16].decode("ascii", "replace").rstrip().removesuffix("/")
    return _Part(name=name, offset=offset, size=int(size))


def _control(data: bytes) -> Control:
    members: dict[str, bytes] = {}
    modes: dict[str, int] = {}
    found = tar_members(io.BytesIO(data), plain=io.BytesIO(), limit=_CONTROL_AT_MOST)
    for member in [member for member in found if member.kind == "file"]:
        path = member.name.removeprefix("./")
        # they stand in dpkg's directory as NAME.MEMBER, and the list there is ours
        if not _MEMBER.fullmatch(path):
            raise CannotRead(f"its control information has a file {member.name!r}")
        members[path] = b"".join(member.pieces())
        modes[path] = member.mode & 0o755
    fields = deb_fields(members.pop("control", b"").decode(errors="replace"))
    control = Control(fields=fields, members=members, modes=modes)
    for key in ("Package", "Version", "Architecture"):
        if not control.field(key):
            raise CannotRead(f"its control file has no {key}")
    if not _ARCHITECTURE.fullmatch(control.field("Architecture")):
        raise CannotRead(f"{control.field('Architecture')!r} is no architecture")
    return control


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, stream: IO[bytes], part: _Part) -> None:
        self._stream = stream
        self._part = part
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._part.size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._stream.seek(self._part.offset + self._at)
        data = self._stream.read(min(len(buffer), max(0, self._part.size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
