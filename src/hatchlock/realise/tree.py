"""A tree of files as values: what a layer is written from."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Self

__all__ = [
    "ROOT",
    "Contents",
    "Entry",
    "FileOnDisk",
    "ZipMember",
    "chunks",
    "complete",
    "entries_below",
    "size_of",
    "through_symlinks",
]

ROOT = "/opt/hatchlock"
"""Where the virtual environment is in every image."""

_CHUNK = 1 << 20
_LINKS_AT_MOST = 16
_OPEN_AT_MOST = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ZipMember:
    """The bytes of one member of a zip file, read when they are written: all of an image's would fill the memory.

    Attributes:
        archive: The zip file; it is immutable (a blob of the store).
        name: The member.
        size: Its uncompressed bytes.
    """

    archive: Path
    name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FileOnDisk:
    """The bytes of a file, or of a part of one, that was unpacked; it stays until the entry is written.

    Attributes:
        path: The file.
        size: How many bytes.
        offset: Where in the file they begin.
    """

    path: Path
    size: int
    offset: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file, directory or symlink, owned by root, or that something below is to go away.

    Attributes:
        path: Relative to the image's root, normalised, without a leading slash: `opt/hatchlock/bin/python`.
        kind: What it is. A whiteout (OCI image specification) takes away what lower layers have under its path.
        mode: Permission bits.
        content: A file's bytes.
        target: Where a symlink points.
    """

    path: str
    kind: Literal["file", "directory", "symlink", "whiteout"] = "file"
    mode: int = 0o644
    content: bytes | ZipMember | FileOnDisk = b""
    target: str = ""


def size_of(entry: Entry) -> int:
    """Return the number of bytes of an entry's content."""
    return len(entry.content) if isinstance(entry.content, bytes) else entry.content.size


class Contents:
    """Reads entries one after the other; archives that were read last stay open for the next. A context manager."""

    def __init__(self) -> None:
        self._archives: dict[Path, zipfile.ZipFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield an entry's content in pieces.

        Raises:
            OSError: The file or archive that holds it cannot be read.
            zipfile.BadZipFile: The archive is damaged.
        """
        if isinstance(entry.content, bytes):
            yield from _pieces(io.BytesIO(entry.content))
        elif isinstance(entry.content, FileOnDisk):
            with entry.content.path.open("rb") as stream:
                stream.seek(entry.content.offset)
                yield from _pieces(stream, entry.content.size)
        else:
            with self._archive(entry.content.archive).open(entry.content.name) as member:
                yield from _pieces(member)

    def _archive(self, path: Path) -> zipfile.ZipFile:
        """Reading an archive's list again for each of its files would take longer than the files."""
        found = self._archives.pop(path, None) or zipfile.ZipFile(path)
        self._archives[path] = found  # the last one read is the last one
        if len(self._archives) > _OPEN_AT_MOST:
            self._archives.pop(next(iter(self._archives))).close()
        return found


def chunks(entry: Entry) -> Iterator[bytes]:
    """Yield one entry's content in pieces; see `Contents.chunks`."""
    with Contents() as contents:
        yield from contents.chunks(entry)


def _pieces(stream: IO[bytes], size: int | None = None) -> Iterator[bytes]:
    left = size
    while piece := stream.read(_CHUNK if left is None else min(left, _CHUNK)):
        yield piece
        left = None if left is None else left - len(piece)


def complete(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries sorted by path, with every parent directory that is missing (mode 0755).

    Of two entries with one path the later one counts. Parents have to be there: an engine makes those that a layer leaves
    out with a mode of its own.
    """
    by_path = {entry.path: entry for entry in entries}
    for path in list(by_path):
        parent = posixpath.dirname(path)
        while parent and parent not in by_path:
            by_path[parent] = Entry(path=parent, kind="directory", mode=0o755)
            parent = posixpath.dirname(parent)
    return tuple(by_path[path] for path in sorted(by_path, key=lambda path: path.split("/")))


def entries_below(directory: Path, *, at: str) -> tuple[Entry, ...]:
    """Return what is in a directory as entries, sorted; contents stay on disk.

    What somebody may execute has mode 0755, everything else 0644, whatever the umask was. Links stay links.

    Args:
        directory: The directory.
        at: Where it is in the image, as in `Entry.path`; "" for the root.

    Raises:
        OSError: It cannot be read.
    """
    return tuple(sorted(_below(directory, at), key=lambda entry: entry.path.split("/")))


def _below(directory: Path, at: str) -> Iterator[Entry]:
    with os.scandir(directory) as found:
        for item in found:
            path = f"{at}/{item.name}" if at else item.name
            if item.is_symlink():
                yield Entry(path=path, kind="symlink", mode=0o777, target=os.readlink(item.path))  # noqa: PTH115
            elif item.is_dir():
                yield Entry(path=path, kind="directory", mode=0o755)
                yield from _below(Path(item.path), path)
            else:
                state = item.stat()
                mode = 0o755 if stat.S_IMODE(state.st_mode) & 0o111 else 0o644
                yield Entry(path=path, mode=mode, content=FileOnDisk(path=Path(item.path), size=state.st_size))


def through_symlinks(path: str, symlinks: Mapping[str, str]) -> str:
    """Return a path relative to the root after the base's top-level symlinks: `bin/sh` -> `usr/bin/sh`.

    A layer that names `bin/` where the base has a symlink would put a directory in its place, and the image would not
    start any more.

    Raises:
        ValueError: The symlinks lead in a circle.
    """
    for _ in range(_LINKS_AT_MOST):
        head, _, rest = path.partition("/")
        if head not in symlinks:
            return path
        path = posixpath.normpath(posixpath.join("/", symlinks[head], rest)).lstrip("/")
    raise ValueError(f"the symlink {path} leads in a circle")
