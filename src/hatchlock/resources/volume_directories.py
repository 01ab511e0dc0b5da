"""What processes keep: directories below `volumes/PROJECT/SERVER/PATH` of the store.

They are data, and no state: who deletes `projects/` loses none of it. Launch records name them by way of a link in the
project's state, `projects/PROJECT/volumes`, where they were before: so no record changed when they moved, and the next apply
makes the link again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from hatchlock.files import flush_tree, fsync_directory, private_directory
from hatchlock.store.strangers import delete_tree, entries_below

if TYPE_CHECKING:
    from hatchlock.paths import Home

__all__ = [
    "KeptDirectory",
    "copy_directory",
    "directory_place",
    "directory_size",
    "give_directory",
    "is_at_work",
    "kept_directories",
    "make_directory",
    "move_directory",
    "remove_directory",
    "settle_directories",
]

_PART = ".part-"
_ABOVE = threading.Lock()
"""Held while what is above the directories is made or taken away: the steps of one plan do that at once, each for its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptDirectory:
    """A directory that a process keeps.

    Attributes:
        server: Whose.
        path: Where the server has it.
        place: How launch records name it.
        directory: Where it is.
        uid: Whose it is.
        gid: Its group.
    """

    server: str
    path: str
    place: str
    directory: Path
    uid: int
    gid: int

    @property
    def is_linked(self) -> bool:
        """Whether it is where launch records look for it."""
        return Path(self.place).is_dir()


def directory_place(home: Home, project: str, server: str, path: str) -> str:
    """Return how launch records name the directory of a `writable` path: the same for ever."""
    return str(_link(home, project) / server / quote(path.lstrip("/"), safe=""))


def kept_directories(home: Home, project: str, servers: Collection[str] | None = None) -> Iterator[KeptDirectory]:
    """Yield what the processes of a project keep, also when its state is lost, by server and path.

    What is no directory was put there by somebody else: it is nothing that a server keeps.

    Args:
        home: The store.
        project: The project's name.
        servers: Those of these servers alone; None for all.
    """
    link = _link(home, project)
    root = link if link.is_dir() else _data(home, project)
    if not root.is_dir():
        return
    for server in sorted(root.iterdir() if servers is None else (root / name for name in servers)):
        if server.name.startswith(".") or not server.is_dir():
            continue
        for directory, facts in _directories_in(server):
            yield KeptDirectory(
                server=server.name,
                path=f"/{unquote(directory.name)}",
                place=str(link / server.name / directory.name),
                directory=directory,
                uid=facts.st_uid,
                gid=facts.st_gid,
            )


def _directories_in(directory: Path) -> list[tuple[Path, os.stat_result]]:
    """Another step may be deleting one of them, or the last of them, at the same time: what is gone is not there."""
    found: list[tuple[Path, os.stat_result]] = []
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(directory.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                if stat.S_ISDIR(facts.st_mode):
                    found.append((path, facts))
    return found


def settle_directories(home: Home, project: str) -> None:
    """Have the directories of a project, if there are any, outside of its state, and the link to them.

    What versions before have left in the state is moved, in one atomic change.

    Raises:
        PermissionProblem, OSError: The store cannot be written to.
    """
    link, data = _link(home, project), _data(home, project)
    if link.is_dir() and not link.is_symlink():
        if data.exists():
            return  # a version before has begun anew: both stay as they are, and that one is used
        private_directory(data.parent)
        link.rename(data)
        fsync_directory(data.parent)
    elif not link.is_symlink() and not data.is_dir():
        return
    _have_link(link, data)


def make_directory(home: Home, project: str, place: Path, user: str) -> None:
    """Make a directory, or give one that is there to a user. Whose it is, is settled last.

    Raises:
        PermissionProblem, OSError: The store cannot be written to.
    """
    with _ABOVE:
        _settled(home, project)
        private_directory(place)
    give_directory(place, user)


def move_directory(home: Home, project: str, old: Path, new: Path, user: str) -> None:
    """Give everything in a directory to a user, and move it, in one atomic change. A kill in between is no harm.

    Raises:
        PermissionProblem, OSError: The store cannot be written to.
    """
    with _ABOVE:
        _settled(home, project)  # the old one is named by way of the link
    _give_all(old, user)
    with _ABOVE:
        private_directory(new.parent)
        old.rename(new)
    fsync_directory(new.parent)
    _tidy(old.parent)


def copy_directory(home: Home, project: str, source: Path, new: Path, user: str) -> None:
    """Make a directory that begins with a copy of another, which stays as it is; half a copy is never taken for one.

    Raises:
        PermissionProblem, OSError: Something cannot be read, or the store cannot be written to.
    """
    with _ABOVE:
        _settled(home, project)
    part = new.parent.parent / f"{_PART}{new.parent.name}-{new.name}"
    if part.exists():
        delete_tree(part)
    try:
        shutil.copytree(source, part, symlinks=True)
    except shutil.Error as error:
        raise OSError(f"{source} cannot be copied: {error.args[0][0][2]}") from error
    part.chmod(0o700)
    _give_all(part, user)
    flush_tree(part)  # after a power cut too it is a whole copy, or none
    with _ABOVE:
        private_directory(new.parent)
        part.rename(new)
    fsync_directory(new.parent)


def remove_directory(place: Path) -> None:
    """Delete a directory with everything in it, if there is one.

    Raises:
        OSError: Something in it cannot be deleted.
    """
    if os.path.lexists(place):
        delete_tree(place)
    _tidy(place.parent)


def _tidy(server: Path) -> None:
    with _ABOVE, contextlib.suppress(OSError):  # the server keeps something else as well
        server.rmdir()


def directory_size(directory: Path) -> int | None:
    """Return the bytes of all files below a directory, 0 if it has gone meanwhile; None where not all can be looked at."""
    total = 0
    try:
        with contextlib.suppress(FileNotFoundError):
            os.scandir(directory).close()
        for _, entry in entries_below(directory):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # its server has deleted it meanwhile
                if entry.is_dir(follow_symlinks=False):
                    os.scandir(entry).close()
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    except OSError:  # its server has closed it to its own user, or the path is too long
        return None
    return total


def is_at_work(uid: int) -> bool:
    """Whether a process of a server's own user runs: it would lose what it keeps, or still write while it is given away."""
    if os.geteuid() != 0 or uid == 0:
        return False  # then servers have no users of their own, and nothing is given away
    return any(uid in _users(status) for status in Path("/proc").glob("[0-9]*/status"))


def _users(status: Path) -> set[int]:
    with contextlib.suppress(OSError):
        for line in status.read_text().splitlines():
            if line.startswith("Uid:"):
                return {int(word) for word in line.split()[1:]}
    return set()


def _link(home: Home, project: str) -> Path:
    return home.project(project) / "volumes"


def _data(home: Home, project: str) -> Path:
    return home.root / "volumes" / project


def _settled(home: Home, project: str) -> None:
    settle_directories(home, project)
    link, data = _link(home, project), _data(home, project)
    if not link.is_dir():
        _have_link(link, data)


def _have_link(link: Path, data: Path) -> None:
    private_directory(data)
    private_directory(link.parent)
    if not link.is_symlink():
        link.symlink_to(f"../../volumes/{data.name}")
        fsync_directory(link.parent)


def give_directory(path: Path, user: str) -> None:
    """Give a directory, and nothing that is in it, to `UID:GID`; who is not root cannot, and need not.

    Raises:
        OSError: It cannot be done.
    """
    uid, _, gid = user.partition(":")
    if os.geteuid() == 0:
        os.chown(path, int(uid), int(gid or uid))


def _give_all(root: Path, user: str) -> None:
    """The directory itself is last: until then it is seen that something is still to be done."""
    uid, _, gid = user.partition(":")
    if os.geteuid() != 0:
        return
    for path, _ in entries_below(root):
        with contextlib.suppress(FileNotFoundError):
            os.chown(root / path, int(uid), int(gid or uid), follow_symlinks=False)
    give_directory(root, user)
