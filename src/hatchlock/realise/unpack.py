"""Archives to files in a directory of ours, with no way out of it.

An archive is read to the end of its list, decided upon as a whole, and only then written: files and directories first,
symlinks last, so that nothing is ever written through one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import naming_full
from hatchlock.realise.archives import CANNOT_READ, LONGEST_NAME, CannotRead, Member, open_archive, reason_of

__all__ = ["BadArchive", "Limits", "public_directory", "unpack"]

_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_PROGRAM_MODE = 0o755
_OF_THE_ARCHIVE = frozenset(
    {None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
)
"""What an operating system says to names and places that cannot be; a decompressor's complaint has no number."""


@dataclass(kw_only=True, eq=False)
class BadArchive(HatchlockError):
    """An archive that is damaged, too large, or would write outside of its directory."""

    code: ClassVar[str] = "bad-archive"

    archive: str
    why: str

    def __str__(self) -> str:
        return f"{self.archive} cannot be unpacked: {self.why}"

    def _hint(self) -> str:
        return "choose another version of it, and run `hatchlock lock`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What an archive may become at most.

    Attributes:
        entries: Files, directories and links.
        size: Bytes of all its files; of a tar file its own bytes too.
    """

    entries: int = 200_000
    size: int = 4 << 30


def unpack(
    archive: Path,
    into: Path,
    *,
    name: str = "",
    strip: int | None = 0,
    links: bool = True,
    place: Callable[[str], str] | None = None,
    limits: Limits = Limits(),
) -> tuple[str, ...]:
    """Write what is in a tar (plain, gzip, bzip2, xz, zstd) or zip archive below a directory.

    Files get mode 0755 if anybody may execute them and 0644 otherwise, directories 0755, whatever the umask; owners and
    times are not kept. Of two entries with one name the later one counts. A hard link becomes a file of its own.

    Args:
        archive: The verified file.
        into: Where to; made if it is missing. Nothing in it is a symlink or has the name of a file of the archive.
        name: What to call the archive in messages.
        strip: How many leading directories of each name to leave out; what has no more names than that is left out
            altogether. None: the directory that everything is in, if there is exactly one.
        links: Whether to make its links; if not, they are left out.
        place: Gets each file's stripped path in the archive's order, and returns its path to be, or "" for none.
        limits: What it may become.

    Returns:
        The paths of its executable files, sorted.

    Raises:
        BadArchive: It is damaged or too large, holds something else than files, directories and links, or something in it
            leads out of its directory. What was written of it is still there.
        OSError: The disk is full, or the like.
    """
    with _reporting(name or archive.name):
        public_directory(into)
        with open_archive(archive, scratch=into, limit=limits.size) as members:
            plan = _plan(members, strip=strip, links=links, place=place, limits=limits)
            _write(plan, into)
        return tuple(sorted(path for path, member in plan.files.items() if member.executable))


def public_directory(path: Path) -> None:
    """Make a directory and its missing parents, readable to all whatever the umask."""
    if path.is_dir():
        return
    public_directory(path.parent)
    with contextlib.suppress(FileExistsError):  # another thread wanted it, too
        path.mkdir()
        path.chmod(_DIRECTORY_MODE)


@contextlib.contextmanager
def _reporting(name: str) -> Iterator[None]:
    try:
        yield
    except CANNOT_READ as error:
        raise BadArchive(archive=name, why=reason_of(error)) from error
    except OSError as error:
        if error.errno not in _OF_THE_ARCHIVE:
            raise
        where = f"{os.path.basename(error.filename)}: " if isinstance(error.filename, str) else ""  # noqa: PTH119
        raise BadArchive(archive=name, why=where + (error.strerror or reason_of(error))) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    directories: tuple[str, ...]
    files: dict[str, Member]
    links: dict[str, str]


def _plan(
    members: Iterable[Member],
    *,
    strip: int | None,
    links: bool,
    place: Callable[[str], str] | None,
    limits: Limits,
) -> _Plan:
    found: list[tuple[tuple[str, ...], Member]] = []
    for member in members:
        found.append((_parts(member.name), member))
        _check_entries(len(found), limits)
    leading = _common(found) if strip is None else strip
    directories: set[str] = set()
    others: dict[str, Member] = {}
    for parts, member in found:
        path = "/".join(parts[leading:])
        if not path or (not links and member.kind in {"symlink", "hardlink"}):
            continue
        if member.kind == "directory":
            directories.add(path)
        elif member.kind == "hardlink":
            others[path] = _linked(member, others.get("/".join(_parts(member.target)[leading:])))
        elif member.kind == "symlink":
            others[path] = _inward(member)
        elif placed := place(path) if place else path:
            others[placed] = member
    return _consistent(directories, others, limits)


def _check_entries(count: int, limits: Limits) -> None:
    if count > limits.entries:
        raise CannotRead(f"it has more than {limits.entries} entries")


def _consistent(directories: set[str], others: dict[str, Member], limits: Limits) -> _Plan:
    for path in (*directories, *others):
        while path := path.rpartition("/")[0]:
            if path in directories:
                break
            directories.add(path)
            _check_entries(len(directories) + len(others), limits)
    if both := sorted(directories & others.keys()):
        raise CannotRead(f"{both[0]} is a directory and something else")
    if sum(member.size for member in others.values()) > limits.size:
        raise CannotRead(f"its files are larger than {limits.size} bytes together")
    return _Plan(
        directories=tuple(sorted(directories)),
        files={path: member for path, member in others.items() if member.kind == "file"},
        links={path: member.target for path, member in others.items() if member.kind == "symlink"},
    )


def _parts(name: str) -> tuple[str, ...]:
    if len(name) > LONGEST_NAME:
        raise CannotRead(f"it has a name of {len(name)} characters")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise CannotRead(f"{name!r} leads out of its directory")
    return parts


def _common(found: Iterable[tuple[tuple[str, ...], Member]]) -> int:
    """1 if everything is in one directory, else 0."""
    named = [(parts, member) for parts, member in found if parts]
    alone = all(len(parts) > 1 or member.kind == "directory" for parts, member in named)
    return int(alone and len({parts[0] for parts, _ in named}) == 1)


def _linked(link: Member, original: Member | None) -> Member:
    if original is None or original.kind != "file":
        raise CannotRead(f"{link.name} is a hard link to {link.target!r}, which is no file before it in the archive")
    return original


def _inward(link: Member) -> Member:
    if not link.target or link.target.startswith("/") or "\0" in link.target:
        raise CannotRead(f"{link.name} is a link to {link.target!r}, which leads out of its directory")
    return link


def _write(plan: _Plan, into: Path) -> None:
    for path in plan.directories:
        _make_directory(f"{into}/{path}")
    with naming_full(into):
        for path, member in plan.files.items():
            _write_file(f"{into}/{path}", member)
    for path, target in plan.links.items():
        os.symlink(target, f"{into}/{path}")  # noqa: PTH211
    _check_links(plan.links, into)


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path)  # noqa: PTH102  `Path` costs more than the call
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise
    else:
        os.chmod(path, _DIRECTORY_MODE)  # noqa: PTH101


def _write_file(path: str, member: Member) -> None:
    mode = _PROGRAM_MODE if member.executable else _FILE_MODE
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        for piece in member.pieces():
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(handle, rest) :]
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def _check_links(links: Iterable[str], into: Path) -> None:
    """Ask the file system itself, which knows what chains of links come to and which names it holds for equal."""
    root = os.path.realpath(into)
    for path in links:
        reached = os.path.realpath(f"{into}/{path}")
        if reached != root and not reached.startswith(f"{root}/"):
            for made in links:
                os.unlink(f"{into}/{made}")  # noqa: PTH108
            raise CannotRead(f"{path} is a link that leads out of its directory")
