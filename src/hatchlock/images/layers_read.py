"""The layers of a base, read and merged as the OCI image specification says.

`.wh.NAME` takes NAME away from the layers below, `.wh..wh..opq` everything that they have in its directory.
"""

from __future__ import annotations

import contextlib
import errno
import posixpath
import re
import tarfile
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.realise.archives import CANNOT_READ, LONGEST_NAME, CannotRead, streamed_tar

__all__ = ["BadLayer", "Kept", "Node", "base_files", "merged", "resolved"]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINKS_AT_MOST = 40
# A base is a stranger's: far more than any real one has, and less than the memory of a machine.
_LAYER_AT_MOST = 64 << 30
_PATHS_AT_MOST = 1_000_000
_FILE_AT_MOST = 256 << 20

_Pieces = Callable[[], Iterator[bytes]]

Kept = Sequence[tuple[re.Pattern[str], Callable[[bytes], bytes]]]
"""Which files' content is kept, by the whole path, and what of it; the first pattern that matches counts."""


@dataclass(kw_only=True, eq=False)
class BadLayer(HatchlockError):
    """A layer that cannot be read as a tar archive, plain or compressed with gzip or zstd."""

    code: ClassVar[str] = "bad-layer"

    layer: str
    why: str

    def __str__(self) -> str:
        return f"layer {self.layer} cannot be read: {self.why}"

    def _hint(self) -> str:
        return "use an image whose layers are plain tars or compressed with gzip or zstd"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """What a base has under a path.

    Attributes:
        kind: As tarfile names it; every regular file, hard links too, is `REGTYPE`.
        target: Where a symlink points.
        content: What is kept of a file.
    """

    kind: bytes
    target: str = ""
    content: bytes = b""


def base_files(layers: Sequence[Path], paths: Iterable[str]) -> dict[str, bytes]:
    """Return the content of regular files of a base, reading no more of it than is needed.

    Args:
        layers: Files with the layers' bytes, lowest first.
        paths: Relative to the root, `etc/passwd`.

    Returns:
        Path -> content, for those that exist.

    Raises:
        BadLayer: A layer is damaged, or compressed in a way that is not known.
        OSError: A layer cannot be read.
    """
    wanted = set(paths)
    found: dict[str, bytes] = {}
    for layer in reversed(layers):
        if not wanted:
            break
        with _reading(layer):
            here, hidden = _search(layer, wanted)
        found |= here
        wanted -= here.keys() | hidden
    return found


def _search(layer: Path, wanted: set[str]) -> tuple[dict[str, bytes], set[str]]:
    """Return those of the wanted files that a layer has, and those that it hides in the layers below."""
    found: dict[str, bytes] = {}
    hidden: set[str] = set()
    for path, member, pieces in _members(layer):
        hidden |= {item for item in wanted if _hides(path, item)}
        if path in wanted and member.isreg():
            found[path] = _read(member, pieces)
        if wanted <= found.keys():
            break
    return found, hidden


def _hides(path: str, wanted: str) -> bool:
    directory, name = posixpath.split(path)
    if name == _OPAQUE:
        return wanted.startswith(f"{directory}/" if directory else "")
    gone = posixpath.join(directory, name.removeprefix(_WHITEOUT))
    return name.startswith(_WHITEOUT) and (wanted == gone or wanted.startswith(f"{gone}/"))


def _members(layer: Path) -> Iterator[tuple[str, tarfile.TarInfo, _Pieces]]:
    with layer.open("rb") as raw:
        for member, pieces in streamed_tar(raw, limit=_LAYER_AT_MOST):
            path = posixpath.normpath(f"/{member.name}").lstrip("/")
            if max(len(path), len(member.linkname)) > LONGEST_NAME:
                raise CannotRead(f"it has a name of more than {LONGEST_NAME} characters")
            if path:
                yield path, member, pieces


@contextlib.contextmanager
def _reading(layer: Path) -> Iterator[None]:
    try:
        yield
    except CANNOT_READ as error:
        raise BadLayer(layer=layer.name, why=str(error) or type(error).__name__) from error
    except OSError as error:
        # a decompressor's complaint has no number
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise BadLayer(layer=layer.name, why=str(error)) from error


def _read(member: tarfile.TarInfo, pieces: _Pieces) -> bytes:
    if not 0 <= member.size <= _FILE_AT_MOST or member.issparse():
        raise CannotRead(f"its file {member.name} is sparse, or has more than {_FILE_AT_MOST >> 20} MiB")
    return b"".join(pieces())


def merged(layers: Sequence[Path], kept: Kept) -> dict[str, Node]:
    """Return what a base has, path -> node, as its file system would show it.

    Paths are relative to the root, without a leading slash. A directory that no layer lists by itself may be missing.

    Args:
        layers: Files with the layers' bytes, lowest first.
        kept: Whose content is kept.

    Raises:
        BadLayer: A layer is damaged, or compressed in a way that is not known.
        OSError: A layer cannot be read.
    """
    tree: dict[str, Node] = {}
    for layer in layers:
        with _reading(layer):
            tree = _merge(tree, layer, kept)
    return tree


def _merge(lower: Mapping[str, Node], layer: Path, kept: Kept) -> dict[str, Node]:
    upper: dict[str, Node] = {}
    known = ChainMap(upper, dict(lower))
    removed: set[str] = set()
    emptied: set[str] = set()
    unread: dict[str, str] = {}
    kept_bytes = sum(len(node.content) for node in lower.values())
    for path, member, pieces in _members(layer):
        directory, name = posixpath.split(path)
        if name == _OPAQUE:
            emptied.add(directory)
        elif name.startswith(_WHITEOUT):
            removed.add(posixpath.join(directory, name.removeprefix(_WHITEOUT)))
        elif member.islnk():
            original = posixpath.normpath(f"/{member.linkname}").lstrip("/")
            upper[path] = known.get(original) or Node(kind=tarfile.REGTYPE)
            if upper[path].kind == tarfile.REGTYPE and _extract(path, kept) and not _extract(original, kept):
                unread[path] = original
        else:
            upper[path] = _node(path, member, pieces, kept)
            kept_bytes += len(upper[path].content)
        if kept_bytes > _FILE_AT_MOST or len(upper) + len(lower) > _PATHS_AT_MOST:
            raise CannotRead(f"it has more than {_PATHS_AT_MOST} paths, or large files in the place of small ones")
    upper |= _linked(layer, unread, kept) if unread else {}
    upper |= {path: Node(kind=tarfile.DIRTYPE) for path in _implied(upper) if path in lower and path not in upper}
    files = {path for path, node in upper.items() if node.kind != tarfile.DIRTYPE}
    left = {path: node for path, node in lower.items() if not _covered(path, removed, emptied | files)}
    return {**left, **upper}


def _linked(layer: Path, unread: Mapping[str, str], kept: Kept) -> dict[str, Node]:
    """Return the nodes of hard links whose file went by under a name that nobody asked for, path -> node."""
    found, _ = _search(layer, set(unread.values()))
    return {
        path: Node(kind=tarfile.REGTYPE, content=extract(found[original]))
        for path, original in unread.items()
        if original in found and (extract := _extract(path, kept))
    }


def _implied(paths: Iterable[str]) -> set[str]:
    """Return the directories that must be there for some paths, listed or not."""
    found: set[str] = set()
    for path in paths:
        parent = posixpath.dirname(path)
        while parent and parent not in found:
            found.add(parent)
            parent = posixpath.dirname(parent)
    return found


def _covered(path: str, removed: set[str], emptied: set[str]) -> bool:
    if path in removed:
        return True
    parent = posixpath.dirname(path)
    while parent != path:
        if parent in removed or parent in emptied:
            return True
        path, parent = parent, posixpath.dirname(parent)
    return False


def _node(path: str, member: tarfile.TarInfo, pieces: _Pieces, kept: Kept) -> Node:
    if member.issym():
        return Node(kind=tarfile.SYMTYPE, target=member.linkname)
    if not member.isreg():
        return Node(kind=member.type)
    extract = _extract(path, kept)
    return Node(kind=tarfile.REGTYPE, content=extract(_read(member, pieces)) if extract else b"")


def _extract(path: str, kept: Kept) -> Callable[[bytes], bytes] | None:
    return next((extract for pattern, extract in kept if pattern.fullmatch(path)), None)


def resolved(tree: Mapping[str, Node], path: str) -> str:
    """Return a path after all symlinks in it, "" when it leads nowhere."""
    done: list[str] = []
    left = path.split("/")
    links = 0
    while left:
        part = left.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            done = done[:-1]
            continue
        node = tree.get("/".join([*done, part]))  # None: a directory that no layer lists, or nothing
        if node is None or node.kind != tarfile.SYMTYPE:
            done.append(part)
            continue
        links += 1
        if links > _LINKS_AT_MOST:
            return ""
        if node.target.startswith("/"):
            done = []
        left = [*node.target.split("/"), *left]
    found = "/".join(done)
    return found if found in tree else ""
