"""A tree of files as values: what a layer is written from."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

__all__ = ["ROOT", "Entry", "ZipMember", "chunks", "complete", "size_of", "through_symlinks"]

ROOT = "/opt/hatchlock"
"""Where the virtual environment is in every image."""

_CHUNK = 1 << 20
_LINKS_AT_MOST = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ZipMember:
    """The bytes of one member of a zip file, too many to be kept in memory.

    Attributes:
        archive: The zip file; it is immutable (a blob of the store).
        name: The member.
        size: Its uncompressed bytes.
    """

    archive: Path
    name: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file, directory or symlink, owned by root.

    Attributes:
        path: Relative to the image's root, normalised, without a leading slash: `opt/hatchlock/bin/python`.
        kind: What it is.
        mode: Permission bits.
        content: A file's bytes.
        target: Where a symlink points.
    """

    path: str
    kind: Literal["file", "directory", "symlink"] = "file"
    mode: int = 0o644
    content: bytes | ZipMember = b""
    target: str = ""


def size_of(entry: Entry) -> int:
    """Return the number of bytes of an entry's content."""
    return entry.content.size if isinstance(entry.content, ZipMember) else len(entry.content)


def chunks(entry: Entry) -> Iterator[bytes]:
    """Yield an entry's content in pieces.

    Raises:
        OSError: The archive that holds it cannot be read.
        zipfile.BadZipFile: The archive is damaged.
    """
    if isinstance(entry.content, bytes):
        yield from _pieces(io.BytesIO(entry.content))
        return
    with zipfile.ZipFile(entry.content.archive) as archive, archive.open(entry.content.name) as stream:
        yield from _pieces(stream)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_CHUNK):
        yield piece


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
