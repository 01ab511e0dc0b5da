"""What a Debian package consists of: its data on disk, under names of ours, and its control information."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hatchlock.realise.archives import LONGEST_NAME, CannotRead, Member
from hatchlock.realise.debs.package_file import Control, opened_deb
from hatchlock.realise.tree import Entry, FileOnDisk, chunks
from hatchlock.realise.unpack import Limits

__all__ = ["DebFile", "DebPath", "UnpackedDeb", "unpacked_deb"]

# Without setuid and setgid: containers are started with no-new-privileges, which makes them useless, so all that is
# left of them is risk.
_KEPT_BITS = 0o1777
_WHITEOUT = ".wh."
_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, slots=True)
class DebFile:
    """A Debian package as a verified file.

    Attributes:
        name: The package's name, as the lock has it.
        version: Its version, likewise.
        file_name: Its name in the archive, for messages.
        path: The file: a blob of the store.
    """

    name: str
    version: str
    file_name: str
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class DebPath:
    """One thing that a package puts into a system.

    Attributes:
        path: As the package has it, relative to the root, normalised: no symlink was followed.
        kind: What it is. A hard link is a file.
        mode: Permission bits, without setuid and setgid.
        target: Where a symlink points.
        content: A file's bytes.
    """

    path: str
    kind: Literal["file", "directory", "symlink"]
    mode: int = 0o755
    target: str = ""
    content: FileOnDisk | None = None

    def same_as(self, other: DebPath) -> bool:
        """Return whether two are alike, but for their places and modes.

        Raises:
            OSError: A file cannot be read.
        """
        if (self.kind, self.target) != (other.kind, other.target):
            return False
        if self.content is None or other.content is None:
            return self.content is other.content
        return self.content.size == other.content.size and self.md5() == other.md5()

    def md5(self) -> str:
        """Return a file's MD5 in hex digits: the sum that dpkg keeps. It protects nothing.

        Raises:
            OSError: The file cannot be read.
        """
        found = hashlib.md5(usedforsecurity=False)
        for piece in chunks(Entry(path=self.path, content=self.content or b"")):
            found.update(piece)
        return found.hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpackedDeb:
    """A package whose data are on disk.

    Attributes:
        file: The package.
        control: What it says of itself.
        paths: What it consists of, in its own order, each path once.
    """

    file: DebFile
    control: Control
    paths: tuple[DebPath, ...]

    @property
    def name(self) -> str:
        """The package's name."""
        return self.control.field("Package")

    @property
    def architecture(self) -> str:
        """Debian's word for the processor, or "all"."""
        return self.control.field("Architecture")

    @property
    def conffiles(self) -> tuple[str, ...]:
        """The paths of its configuration files, without a leading slash, in its own order."""
        lines = self.control.members.get("conffiles", b"").decode(errors="replace").splitlines()
        # a line with a flag in front (`remove-on-upgrade`) is of a file that the package does not have
        return tuple(line.strip().lstrip("/") for line in lines if line.startswith("/"))


def unpacked_deb(deb: DebFile, into: Path, *, limits: Limits = _LIMITS) -> UnpackedDeb:
    """Unpack a package.

    Args:
        deb: The package.
        into: A file to be, which holds the bytes of all its files then: so nothing in the package can lead out of anywhere.
        limits: What it may become.

    Raises:
        BadArchive: It is damaged, too large, another package than it is locked as, or has something else than files,
            directories and links below the root.
        OSError: The disk is full, or the like.
    """
    with (
        into.open("x+b") as plain,
        opened_deb(deb.path, name=deb.file_name, plain=plain, limit=limits.size) as (control, members),
    ):
        found = control.field("Package"), control.field("Version")
        if found != (deb.name, deb.version):
            raise CannotRead(f"it is {' '.join(found)}, and not {deb.name} {deb.version}")
        paths = tuple(_path_of(path, member, into) for path, member in _plan(members, limits).items())
    return UnpackedDeb(file=deb, control=control, paths=paths)


def _plan(members: Iterable[Member], limits: Limits) -> dict[str, Member]:
    """Return path -> member, for what may be used as a whole."""
    found: dict[str, Member] = {}
    for member in members:
        path = _path(member.name)
        if len(found) >= limits.entries:
            raise CannotRead(f"it has more than {limits.entries} entries")
        if path:
            found[path] = _linked(member, found) if member.kind == "hardlink" else member
    if sum(member.size for member in found.values()) > limits.size:
        raise CannotRead(f"its files are larger than {limits.size} bytes together")
    return found


def _path(name: str) -> str:
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if len(name) > LONGEST_NAME:
        raise CannotRead(f"it has a name of {len(name)} characters")
    if ".." in parts or any(ord(sign) < ord(" ") for sign in name):
        raise CannotRead(f"{name!r} leads out of its directory, or cannot stand in dpkg's lists")
    if not _is_unicode(name) or any(part.startswith(_WHITEOUT) for part in parts):
        raise CannotRead(f"{name!r} cannot be a name in an image")
    return "/".join(parts)


def _is_unicode(text: str) -> bool:
    """Whether its bytes were UTF-8, as they are in a layer."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _linked(link: Member, found: dict[str, Member]) -> Member:
    original = found.get(_path(link.target))
    if original is None or original.kind != "file":
        raise CannotRead(f"{link.name} is a hard link to {link.target!r}, which is no file before it in the archive")
    return original


def _path_of(path: str, member: Member, plain: Path) -> DebPath:
    mode = member.mode & _KEPT_BITS
    match member.kind:
        case "directory":
            return DebPath(path=path, kind="directory", mode=mode)
        case "symlink":
            if not member.target or "\0" in member.target or not _is_unicode(member.target):
                raise CannotRead(f"{path} is a link to {member.target!r}")
            return DebPath(path=path, kind="symlink", mode=0o777, target=member.target)
        case _:
            content = FileOnDisk(path=plain, size=member.size, offset=member.offset)
            return DebPath(path=path, kind="file", mode=mode, content=content)
