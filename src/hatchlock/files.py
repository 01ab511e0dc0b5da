"""Files of our own: private, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hatchlock.errors import FULL, PermissionProblem

__all__ = [
    "alone_in",
    "atomic_write",
    "begin_file",
    "check_private",
    "clear_unfinished",
    "flush_tree",
    "fsync_directory",
    "memory_file",
    "naming_full",
    "owner_name",
    "private_directory",
    "read_optional",
    "refuse_special",
    "remove_tree",
    "replacing",
    "reporting_permission",
]

_DENIALS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
}
_READ_ONLY = "mount it so that it can be written to; for the store, HATCHLOCK_HOME may name another directory"
_ATTEMPTS = 20
_PAUSE = 0.02
_UNFINISHED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.(?:tmp|part)")


def owner_name(uid: int) -> str:
    """Return what a user is called, or the number where nobody knows."""
    import pwd  # noqa: PLC0415  not on every system, and only needed to explain a failure

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextlib.contextmanager
def reporting_permission(path: Path, *, advice: str = "") -> Iterator[None]:
    """Turn a `PermissionError` or read-only file system inside the block into one that names path, owner and mode.

    Args:
        path: What the block uses.
        advice: What can be done about it, where that is not the usual.

    Raises:
        PermissionProblem: The block was denied access.
    """
    try:
        yield
    except OSError as error:
        problem = _DENIALS.get(error.errno or 0)
        if problem is None:
            raise
        denied = _nearest(Path(error.filename or path))
        wanted = f" for {path.relative_to(denied)}" if denied in path.parents else ""
        if error.errno == errno.EROFS:  # then it does not matter whose it is
            raise PermissionProblem(path=str(denied), problem=problem + wanted, advice=advice or _READ_ONLY) from error
        raise _permission_problem(denied, problem + wanted, advice=advice) from error


@contextlib.contextmanager
def naming_full(path: Path) -> Iterator[None]:
    """Have the error of a full disk inside the block name a path: of a file that is open the system says no name."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


def _nearest(path: Path) -> Path:
    """The path itself, or that of its parents which exists: what cannot be made is not the one that denies it."""
    while not _exists(path) and path != path.parent:
        path = path.parent
    return path


def _permission_problem(path: Path, problem: str, *, advice: str = "") -> PermissionProblem:
    facts = path.stat()
    owner, mode = owner_name(facts.st_uid), stat.S_IMODE(facts.st_mode)
    return PermissionProblem(path=str(path), problem=problem, owner=owner, mode=mode, advice=advice)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def private_directory(path: Path) -> Path:
    """Make `path` (and its parents) if needed, as directories that only their owner can use, and return it.

    Raises:
        PermissionProblem: It cannot be made, or it belongs to somebody else, or others could write to it.
    """
    with reporting_permission(path):
        for parent in reversed(path.parents):
            if not parent.exists():
                parent.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would make them by the umask
        path.mkdir(mode=0o700, exist_ok=True)
    check_private(path)
    return path


def check_private(path: Path) -> None:
    """Refuse a directory that another user owns or could write to; what is in it could be theirs.

    Raises:
        PermissionProblem: It is one. A directory that does not exist is none.
    """
    with reporting_permission(path):
        try:
            facts = path.stat()
        except FileNotFoundError:
            return
    if facts.st_uid != os.geteuid():
        raise _permission_problem(path, "it belongs to another user")
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _permission_problem(path, "others could write to it")


def refuse_special(path: Path) -> None:
    """Refuse to put a file where a device, a socket or a pipe is: root's rename would take `/dev/null` from everyone.

    Raises:
        PermissionProblem: One is there. A file, a symlink, a directory or nothing passes.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
        raise PermissionProblem(path=str(path), problem="it is no file that can be replaced", advice="name a file")


def atomic_write(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` by a file with these bytes: readers see the old file or the new one, never a part.

    Args:
        path: The file; its directory exists. A symlink is replaced, not followed.
        data: The whole content.
        mode: The permission bits of the new file.
        durable: Survive a power cut (fsync of file and directory); caches do without.

    Raises:
        PermissionProblem: The directory cannot be written to, or `path` is a device or the like.
        OSError: The disk is full, or the like; `path` is as it was.
    """
    with replacing(path, mode=mode, durable=durable) as stream:
        stream.write(data)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o600, durable: bool = True) -> Iterator[BinaryIO]:
    """Have a stream for what replaces `path` when the block ends well; the rest as `atomic_write`."""
    refuse_special(path)
    with reporting_permission(path):
        handle, temporary = begin_file(path)
    try:
        with naming_full(path), os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if durable:
                os.fsync(stream.fileno())
            temporary.replace(path)  # before it is closed: until then nobody takes it for what a killed writer left
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        fsync_directory(path.parent)


def begin_file(path: Path, *, ending: str = "tmp", mode: int = 0o600) -> tuple[int, Path]:
    """Open a new file beside `path` that is to be renamed to it, and return its descriptor and where it is.

    As long as the descriptor is open, `clear_unfinished` leaves it alone; what a killed process leaves has no such owner.

    Args:
        path: The file that it becomes; its directory exists.
        ending: Of its name: "tmp" or "part".
        mode: Its permission bits, before the umask.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}.{ending}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody clears it away either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, temporary
        os.close(handle)  # somebody cleared it away before it was locked


def clear_unfinished(directory: Path, name: str = "") -> None:
    """Delete what writers that were killed have left in a directory, and nothing that is being written.

    Args:
        directory: Where; it may be missing.
        name: The file that they wrote; "" for every one. In a directory that is not ours there has to be one.
    """
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        found = [
            Path(entry.path)
            for entry in entries
            if (match := _UNFINISHED.fullmatch(entry.name)) and name in {"", match["name"]}
        ]
        for path in found:
            with contextlib.suppress(OSError):  # it is at work, or gone
                _delete_if_left(path)


def _delete_if_left(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(handle)


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Be the only one who reads, changes and writes back something in a directory, for that instant; a kill ends it too.

    Raises:
        OSError: It cannot be opened, or its file system has no locks.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # one that was forked meanwhile has the descriptor, too
        os.close(handle)


def remove_tree(path: Path) -> None:
    """Delete a directory with all that is in it, also while somebody who is about to end deletes or writes something there.

    Raises:
        OSError: Something cannot be deleted, or appears there again and again.
    """
    import shutil  # noqa: PLC0415  few commands delete anything

    for _ in range(_ATTEMPTS):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:  # something in it has gone by itself, or all of it
            if not path.exists():
                return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            time.sleep(_PAUSE)
        else:
            return
    shutil.rmtree(path)


def flush_tree(path: Path) -> None:
    """Make everything durable that was written below a directory, by whomever.

    Costs one call for the whole file system (Linux) or machine: a flush of each file costs minutes for thousands of them.
    """
    if sys.platform != "linux":
        os.sync()
        return
    import ctypes  # noqa: PLC0415  Python has no name for it, and only what builds a tree needs it

    handle = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(handle)


def fsync_directory(path: Path) -> None:
    """Make renames inside a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_optional(path: Path) -> bytes | None:
    """Return a file's bytes, or None when there is no such file.

    Raises:
        PermissionProblem: It exists and cannot be read.
    """
    with reporting_permission(path):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def memory_file(content: bytes) -> int:
    """Return the descriptor of a new file that is in memory only, to be read from its beginning by a program that inherits it.

    Raises:
        NotImplementedError: This is not Linux.
    """
    if sys.platform != "linux":
        raise NotImplementedError("files in memory exist on Linux only")
    descriptor = os.memfd_create("hatchlock", 0)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
