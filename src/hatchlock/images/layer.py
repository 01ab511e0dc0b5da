"""A tree as a layer: a tar archive (POSIX.1-2001) whose bytes depend on the tree alone.

The headers are written here, not by a library, because they decide digests: owner 0, no names, time 0, plain modes, an
extended header only where a path or a link does not fit the old fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.realise.tree import Contents, Entry, complete, size_of

__all__ = [
    "USER_HOME",
    "USER_ID",
    "USER_NAME",
    "UnfitPath",
    "tar_chunks",
    "tar_header",
    "user_entries",
    "write_layer",
]

USER_ID = 10001
USER_NAME = "hatchlock"
USER_HOME = "/home/hatchlock"

_BLOCK = 512
_NAME = 100
_PREFIX = 155
_LARGEST = 8**11 - 1
_TYPES = {"file": b"0", "directory": b"5", "symlink": b"2", "whiteout": b"0"}
_WHITEOUT = ".wh."
_PASSWD = f"{USER_NAME}:x:{USER_ID}:{USER_ID}:{USER_NAME}:{USER_HOME}:/usr/sbin/nologin\n".encode()
_GROUP = f"{USER_NAME}:x:{USER_ID}:\n".encode()


@dataclass(kw_only=True, eq=False)
class UnfitPath(HatchlockError, ValueError):
    """A file's name, or what a link points to, cannot be in a layer."""

    code: ClassVar[str] = "unfit-path"

    path: str

    def __str__(self) -> str:
        return f"{self.path!r} cannot be a path of a layer: it leads elsewhere, is no UTF-8, or marks what goes away (.wh.)"

    def _hint(self) -> str:
        return "do without the package that has it, or choose another version of it"


def user_entries(base_files: Mapping[str, bytes]) -> tuple[Entry, ...]:
    """Return the entries that make the numeric user of the sandbox known: Python and Node fail for a user without a name.

    Args:
        base_files: The base's own `etc/passwd` and `etc/group`, where it has them. A line for the same number is kept.
    """
    passwd = base_files.get("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    group = base_files.get("etc/group", b"root:x:0:\n")
    return (
        Entry(path="etc/passwd", content=_with_line(passwd, _PASSWD)),
        Entry(path="etc/group", content=_with_line(group, _GROUP)),
        Entry(path=USER_HOME.lstrip("/"), kind="directory", mode=0o755),
    )


def _with_line(text: bytes, line: bytes) -> bytes:
    number = str(USER_ID).encode()
    if any(row.split(b":")[2:3] == [number] for row in text.splitlines()):
        return text
    return text + (b"" if text.endswith(b"\n") or not text else b"\n") + line


def write_layer(entries: Iterable[Entry], out: BinaryIO) -> str:
    """Write a layer and return its diff id, `sha256:…` of the bytes written.

    The entries are completed and sorted first (`realise.tree.complete`).

    Raises:
        UnfitPath: A path is absolute, leads upwards, is a whiteout's, or no UTF-8.
        ValueError: A file does not have the size that it had.
        OSError: `out` cannot be written.
    """
    with Contents() as contents:
        return _write(complete(entries), contents, _Hashing(out=out))


def _write(entries: Iterable[Entry], contents: Contents, writer: _Hashing) -> str:
    for entry in entries:
        _check(entry)
        is_file = entry.kind == "file"
        writer.write(
            tar_header(
                _name(entry),
                kind=_TYPES[entry.kind],
                mode=0o644 if entry.kind == "whiteout" else entry.mode,
                size=size_of(entry) if is_file else 0,
                target=entry.target,
            )
        )
        if is_file:
            for chunk in tar_chunks(contents.chunks(entry), size_of(entry)):
                writer.write(chunk)
    writer.write(bytes(2 * _BLOCK))
    return f"sha256:{writer.digest.hexdigest()}"


@dataclass(kw_only=True, slots=True)
class _Hashing:
    out: BinaryIO
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.out.write(data)
        self.digest.update(data)


def _check(entry: Entry) -> None:
    parts = entry.path.split("/")
    if {"", ".", ".."} & {*parts} or any(part.startswith(_WHITEOUT) for part in parts):
        raise UnfitPath(path=entry.path)
    for text in (entry.path, entry.target):
        if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
            raise UnfitPath(path=text)


def _name(entry: Entry) -> str:
    if entry.kind == "whiteout":
        directory, _, name = entry.path.rpartition("/")
        return f"{directory}/{_WHITEOUT}{name}".lstrip("/")
    return entry.path + ("/" if entry.kind == "directory" else "")


def tar_chunks(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield a member's content, filled up to whole blocks.

    Raises:
        ValueError: The content does not have the size that its header says.
    """
    seen = 0
    for chunk in content:
        seen += len(chunk)
        yield chunk
    if seen != size:
        raise ValueError(f"{seen} bytes where {size} were announced")
    yield bytes(-size % _BLOCK)


def tar_header(path: str, *, kind: bytes = b"0", mode: int = 0o644, size: int = 0, target: str = "") -> bytes:
    """Return a member's header block, after an extended one where a field is too small for what it must hold.

    Args:
        path: With a slash at the end for a directory.
        kind: The type flag.
        mode: Permission bits.
        size: Bytes of content.
        target: Of a symlink.
    """
    name, link = path.encode(), target.encode()
    long = {
        "path": b"" if _split(name) else name,
        "linkpath": link if len(link) > _NAME or not link.isascii() else b"",
        "size": str(size).encode() if size > _LARGEST else b"",
    }
    records = b"".join(_record(key, value) for key, value in long.items() if value)
    extended = b""
    if records:
        extended = _block(b"PaxHeaders/x", kind=b"x", mode=0o644, size=len(records)) + records
        extended += bytes(-len(records) % _BLOCK)
    # Who reads the extended header ignores the short fields; for the others they are at least text.
    prefix, short = _split(name) or (b"", path.encode("ascii", "replace")[:_NAME])
    link = target.encode("ascii", "replace")[:_NAME]
    return extended + _block(short, prefix=prefix, kind=kind, mode=mode, size=0 if size > _LARGEST else size, link=link)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Return prefix and name as the old header holds them, or None when they do not fit."""
    if not name.isascii():
        return None
    if len(name) <= _NAME:
        return b"", name
    cut = name.find(b"/", len(name) - _NAME - 1, len(name) - 1)
    if cut < 1 or cut > _PREFIX:
        return None
    return name[:cut], name[cut + 1 :]


def _record(key: str, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return f"{length} {key}=".encode() + value + b"\n"


def _block(name: bytes, *, kind: bytes, mode: int, size: int, prefix: bytes = b"", link: bytes = b"") -> bytes:
    block = bytearray(_BLOCK)
    block[0 : len(name)] = name
    block[100:108] = b"%07o\0" % mode
    block[108:116] = block[116:124] = b"%07o\0" % 0
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"%011o\0" % 0
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    block[329:337] = block[337:345] = b"%07o\0" % 0
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
