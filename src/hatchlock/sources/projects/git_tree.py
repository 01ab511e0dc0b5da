"""Git's objects as they are stored: checked by their ids, and written as files without anything in between.

Git's own checkout would ask the repository's `.gitattributes` which of the user's programs to run over a file (LFS, line
endings, `export-subst`). Here a file has the bytes of its blob.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = [
    "GitFile",
    "Unsound",
    "algorithm_of",
    "is_lfs_pointer",
    "object_id",
    "parse_tree",
    "submodule_urls",
    "tree_of",
    "write_files",
]

_ALGORITHMS = {40: "sha1", 64: "sha256"}
_DOT_GIT = frozenset({".git", "git~1"})
# What HFS+ ignores in a name: ".g\u200cit" is ".git" there.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_AT_MOST = 1024


class Unsound(ValueError):
    """An object that is not well-formed, or would lead out of its directory; says which and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GitFile:
    """What a tree names.

    Attributes:
        path: Relative, with `/`; bytes that are no UTF-8 as surrogates.
        kind: "directory", "file", "program" (an executable file), "symlink", or "repository" (a submodule's commit).
        id: Of the object, or the commit.
    """

    path: str
    kind: Literal["directory", "file", "program", "symlink", "repository"]
    id: str


def algorithm_of(like: str) -> str:
    """Return the hash that a repository with such ids uses: "sha1" for 40 hex digits, "sha256" for 64."""
    return _ALGORITHMS[len(like)]


def object_id(kind: str, data: bytes, like: str) -> str:
    """Return the id of an object, by the hash of the id `like`.

    Args:
        kind: "blob", "tree", "commit" or "tag".
        data: Its content.
        like: An id of the same repository, 40 (SHA-1) or 64 (SHA-256) hex digits.
    """
    digest = hashlib.new(algorithm_of(like), usedforsecurity=False)
    digest.update(b"%s %d\0" % (kind.encode(), len(data)))
    digest.update(data)
    return digest.hexdigest()


def tree_of(commit: bytes) -> str:
    """Return the id of a commit's tree.

    Raises:
        Unsound: It is no commit.
    """
    match = re.match(rb"tree ([0-9a-f]{40}(?:[0-9a-f]{24})?)\n", commit)
    if match is None:
        raise Unsound("a commit names no tree")
    return match[1].decode()


def parse_tree(data: bytes, parent: str, like: str) -> Iterator[GitFile]:
    """Yield what a tree object lists.

    Args:
        data: Its content.
        parent: The path of its directory, "" for the root.
        like: Its id, for the length of the others.

    Raises:
        Unsound: It is cut off, or a name could lead out of its directory or be taken for git's own.
    """
    width = len(like) // 2
    place, names = 0, set()
    while place < len(data):
        space = data.find(b" ", place)
        end = data.find(b"\0", space)
        if space < 0 or end < 0 or end + width >= len(data):
            raise Unsound(f"the tree of {parent or 'its root'} is cut off")
        name = data[space + 1 : end].decode(errors="surrogateescape")
        path = f"{parent}/{name}" if parent else name
        if name in {"", ".", ".."} or "/" in name or _IGNORED.sub("", name).lower().rstrip(". ") in _DOT_GIT:
            raise Unsound(f"it has the path {path!r}, which could lead to other files")
        if name in names:
            raise Unsound(f"it has the path {path!r} twice")
        names.add(name)
        yield GitFile(path=path, kind=_kind(data[place:space], path), id=data[end + 1 : end + 1 + width].hex())
        place = end + 1 + width


def _kind(mode: bytes, path: str) -> Literal["directory", "file", "program", "symlink", "repository"]:
    match mode.lstrip(b"0")[:-3]:
        case b"40":
            return "directory"
        case b"100":
            return "program" if int(mode, 8) & 0o100 else "file"
        case b"120":
            return "symlink"
        case b"160":
            return "repository"
    raise Unsound(f"its path {path!r} is neither file nor directory")


def write_files(files: tuple[GitFile, ...], into: Path, contents: Iterator[tuple[GitFile, bytes]]) -> None:
    """Write directories and files; symlinks and repositories are left to the caller, who makes symlinks last.

    Args:
        files: From the top downwards.
        into: An empty directory.
        contents: The bytes of the files among them.

    Raises:
        FileExistsError: Two paths are one on this file system.
        OSError: The disk is full, or the like.
    """
    for file in files:
        if file.kind in {"directory", "repository"}:
            (into / file.path).mkdir(mode=0o755)
    for file, data in contents:
        mode = 0o755 if file.kind == "program" else 0o644
        # never through a link, never over another file
        handle = os.open(into / file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), mode)


def is_lfs_pointer(data: bytes) -> bool:
    """Return whether a file's bytes only point to it, by the Git LFS specification."""
    return len(data) <= _LFS_AT_MOST and data.startswith(_LFS)


def submodule_urls(settings: bytes) -> Mapping[str, str]:
    """Return path -> URL of what `.gitmodules` declares.

    Args:
        settings: As `git config --list -z` prints them.
    """
    values = dict(item.partition("\n")[::2] for item in settings.decode(errors="surrogateescape").split("\0") if item)
    paths = {key.removesuffix(".path"): value for key, value in values.items() if key.endswith(".path")}
    return {path: values[f"{name}.url"] for name, path in paths.items() if f"{name}.url" in values}
