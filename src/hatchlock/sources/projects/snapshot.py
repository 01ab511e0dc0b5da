"""A project's files as one archive whose bytes depend on the files alone."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatchlock.digest import key_of
from hatchlock.files import reporting_permission
from hatchlock.images.layer import tar_chunks, tar_header
from hatchlock.sources.projects.ignore import Found, walk
from hatchlock.sources.projects.model import Snapshot, TreeFile
from hatchlock.sources.projects.problems import BadEntry, ChangedWhileRead, LeadsOut, MissingProject, TooLarge

__all__ = ["LARGEST_SNAPSHOT", "Pick", "list_files", "signature", "snapshot"]

LARGEST_SNAPSHOT = 512 << 20
"""The bytes that all files of a project may have together."""

Pick = Callable[[Path, Iterable[Found]], Iterable[Found]]
"""Chooses among what belongs to a directory, which is given without symlinks in its path."""

_CHUNK = 1 << 20
_END = bytes(1024)
_LINKS_AT_MOST = 40
_NAMED = 5
_KINDS = {
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFIFO: "it is a named pipe",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    file: TreeFile
    found: Found

    @property
    def size(self) -> int:
        return 0 if self.file.target else self.found.status.st_size


def list_files(root: Path, *, committed: bool = False) -> tuple[TreeFile, ...]:
    """Return what belongs to the project in `root`, sorted by path: files, and symlinks that stay inside.

    Empty directories are not kept, as in git. See `ignore.walk` for what belongs to a project, and for `committed`.

    Raises:
        MissingProject: `root` is no directory.
        LeadsOut: A symlink points out of it, or is absolute.
        BadEntry: There is a socket, a device, a named pipe, or a name that is no UTF-8.
        PermissionProblem: Something cannot be read.
    """
    return tuple(member.file for member in _members(_real(root), committed=committed))


def snapshot(
    root: Path,
    sink: Callable[[bytes], object] | None = None,
    *,
    committed: bool = False,
    without: Path | None = None,
    limit: int = LARGEST_SNAPSHOT,
    pick: Pick | None = None,
) -> Snapshot:
    """Hash a project's content, and hand the archive to `sink` piece by piece.

    The archive is a tar (POSIX.1-2001) of `list_files` in that order, without directories: owner 0, no names, time 0,
    mode 0644, or 0755 for what its owner may execute. The same files give the same bytes on every machine.

    Args:
        root: The project's directory.
        sink: Takes the bytes in order. When an error is raised it has got some of them: they are worth nothing.
        committed: See `ignore.walk`.
        without: See `ignore.walk`.
        limit: The bytes that all files may have together.
        pick: Chooses among what would be in it; None takes all.

    Raises:
        ChangedWhileRead: A file changed, came or went meanwhile.
        TooLarge: The files have more than `limit` bytes; found before any is read.
        MissingProject, LeadsOut, BadEntry, PermissionProblem: As for `list_files`.
    """
    root = _real(root)
    members = _members(root, committed=committed, without=without, pick=pick)
    _check_size(root, members, limit)
    digest = hashlib.sha256()
    size = 0
    for piece in _archive(root, members):
        digest.update(piece)
        size += len(piece)
        if sink is not None:
            sink(piece)
    _check_unchanged(members, _members(root, committed=committed, without=without, pick=pick))
    return Snapshot(sha256=digest.hexdigest(), size=size, files=tuple(member.file for member in members))


def signature(root: Path, *, committed: bool = False, without: Path | None = None, pick: Pick | None = None) -> str:
    """Return a string that changes when a file of the project is changed in the usual ways, without reading any.

    For memos only: it is made of paths, modes, sizes and times (also that of the last change of any kind, which no program
    sets back), so it is another one on every machine.

    Raises:
        MissingProject, LeadsOut, BadEntry, PermissionProblem: As for `list_files`.
    """
    members = _members(_real(root), committed=committed, without=without, pick=pick)
    return key_of(
        "project-signature:2", (repr((*_facts(member), member.found.status.st_ctime_ns)) for member in members)
    )


def _real(root: Path) -> Path:
    with reporting_permission(root):
        real = root.resolve()
        if not real.is_dir():
            raise MissingProject(root=str(root), is_file=real.exists())
    return real


def _members(root: Path, *, committed: bool, without: Path | None = None, pick: Pick | None = None) -> list[_Member]:
    try:
        everything = walk(root, committed=committed, without=without)
        found = list(pick(root, everything) if pick else everything)
    except FileNotFoundError as error:
        raise ChangedWhileRead(path=str(error.filename)) from error
    members = [_Member(file=_tree_file(root, item), found=item) for item in found]
    return sorted(members, key=lambda member: member.file.path)


def _tree_file(root: Path, found: Found) -> TreeFile:
    mode = found.status.st_mode
    _check_utf8(found.path, found.path, "its name is not UTF-8")
    if stat.S_ISLNK(mode):
        return TreeFile(path=found.path, mode=0o777, target=_checked_target(root, found.path))
    if not stat.S_ISREG(mode):
        raise BadEntry(path=found.path, why=_KINDS.get(stat.S_IFMT(mode), "it is no file"))
    return TreeFile(path=found.path, mode=0o755 if mode & stat.S_IXUSR else 0o644)


def _checked_target(root: Path, path: str) -> str:
    target = str((root / path).readlink())
    _check_utf8(target, path, "the symlink points to a name that is not UTF-8")
    if not _stays_inside(root, path):
        raise LeadsOut(path=path, target=target)
    return target


def _check_utf8(text: str, path: str, why: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadEntry(path=os.fsencode(path).decode(errors="backslashreplace"), why=why) from error


def _stays_inside(root: Path, path: str) -> bool:
    """Follow a symlink step by step: each step, not only its end, must be below `root`."""
    place: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            if not place:
                return False
            place.pop()
            continue
        here = root.joinpath(*place, part)
        if not here.is_symlink():
            place.append(part)
            continue
        target = str(here.readlink())
        links += 1
        if target.startswith("/"):
            return False
        if links > _LINKS_AT_MOST:  # a circle leads nowhere
            return True
        todo += target.split("/")[::-1]
    return True


def _check_size(root: Path, members: Sequence[_Member], limit: int) -> None:
    total = sum(member.size for member in members)
    if total <= limit:
        return
    sizes: Counter[str] = Counter()
    for member in members:
        top, slash, _ = member.file.path.partition("/")
        sizes[top + slash] += member.size
        if slash:
            sizes[member.file.path] += member.size
    raise TooLarge(root=str(root), size=total, limit=limit, largest=tuple(sizes.most_common(_NAMED)))


def _archive(root: Path, members: Sequence[_Member]) -> Iterator[bytes]:
    for member in members:
        file = member.file
        kind = b"2" if file.target else b"0"
        yield tar_header(file.path, kind=kind, mode=file.mode, size=member.size, target=file.target)
        if not file.target:
            try:
                yield from tar_chunks(_content(root, member), member.size)
            except ValueError as error:
                raise ChangedWhileRead(path=file.path) from error
    yield _END


def _content(root: Path, member: _Member) -> Iterator[bytes]:
    path = root / member.file.path
    with reporting_permission(path):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ChangedWhileRead(path=member.file.path) from error
        except OSError as error:
            if path.is_symlink():
                raise ChangedWhileRead(path=member.file.path) from error
            raise
    with os.fdopen(handle, "rb") as stream:
        if _identity(os.fstat(stream.fileno())) != _identity(member.found.status):
            raise ChangedWhileRead(path=member.file.path)
        while piece := stream.read(_CHUNK):
            yield piece


def _check_unchanged(before: Sequence[_Member], after: Sequence[_Member]) -> None:
    differing = {_facts(member) for member in before} ^ {_facts(member) for member in after}
    if differing:
        raise ChangedWhileRead(path=min(differing)[0])


def _facts(member: _Member) -> tuple[str, int, str, int, int]:
    return (
        member.file.path,
        member.file.mode,
        member.file.target,
        member.size,
        0 if member.file.target else member.found.status.st_mtime_ns,
    )


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)
