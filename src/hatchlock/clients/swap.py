"""A file of somebody else's, read and replaced as a whole: mode, owner, group, attributes and symlinks stay, and no change is lost.

A file is looked at right before it is replaced, and what was replaced is looked at once more: old and new file change places,
and if that is not the one that was looked at, or somebody writes into it just then, they change back. So a writer that comes in
the last instant loses nothing. (Where a file system cannot do that, what stays open is the instant between the
look and the rename.)
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError, PermissionProblem
from hatchlock.files import begin_file, clear_unfinished, fsync_directory, naming_full, owner_name, reporting_permission

__all__ = ["ABSENT", "Changed", "FileState", "Unusable", "observe", "swap", "unlink"]

ABSENT = "absent"

_ADVICE = "change its owner or mode with `chown` or `chmod`, and run the same command again"
_LAST_LOOKS, _BETWEEN_LOOKS = 10, 0.0002
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # opening a FIFO would block


@dataclass(kw_only=True, eq=False)
class Changed(HatchlockError):
    """A client's file is not as it was when the plan was made."""

    code: ClassVar[str] = "client-file-changed"

    path: str

    def __str__(self) -> str:
        return f"{self.path} changed since the plan was made"

    def _hint(self) -> str:
        return "run `hatchlock plan` again"


@dataclass(kw_only=True, eq=False)
class Unusable(HatchlockError):
    """What stands at a client's path is no file that can be read."""

    code: ClassVar[str] = "unusable-client-file"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be used: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """A client's file as it was at one moment.

    Attributes:
        path: As given.
        target: Where it really is, all symlinks followed.
        data: Its bytes; None when there is no file.
        fingerprint: SHA-256 of the bytes (64 hex digits), or `ABSENT`.
        mode: Its permission bits; None when there is no file.
        uid: Its owner; None when there is no file.
        gid: Its group; None when there is no file.
        changed: When it was written last, in seconds since 1970; 0 when there is no file.
        inode: The file itself, whatever is in it; 0 when there is none.
        names: How many names the file has; one that is replaced parts from all but this one.
    """

    path: Path
    target: Path
    data: bytes | None
    fingerprint: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    changed: float = 0.0
    inode: int = 0
    names: int = 0


def observe(path: Path) -> FileState:
    """Read a client's file, following symlinks. Nothing is created or changed.

    Raises:
        PermissionProblem: It may not be read.
        Unusable: It is a directory or the like, or symlinks run in a circle.
    """
    target = Path(os.path.realpath(path))
    with reporting_permission(target, advice=_ADVICE):
        try:
            with os.fdopen(os.open(target, _READ), "rb") as stream:
                facts = os.fstat(stream.fileno())
                if not stat.S_ISREG(facts.st_mode):
                    raise Unusable(path=str(path), why="it is no regular file")
                data = stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return FileState(path=path, target=target, data=None, fingerprint=ABSENT)
        except PermissionError:
            raise
        except OSError as error:
            raise Unusable(path=str(path), why=error.strerror or str(error)) from error
    return FileState(
        path=path,
        target=target,
        data=data,
        fingerprint=sha256_bytes(data),
        mode=stat.S_IMODE(facts.st_mode),
        uid=facts.st_uid,
        gid=facts.st_gid,
        changed=facts.st_mtime,
        inode=facts.st_ino,
        names=facts.st_nlink,
    )


def swap(state: FileState, new: bytes, new_mode: int) -> None:
    """Replace a file by other bytes, if it still is as it was observed. Its directories are made if there is no file yet.

    Args:
        state: The file as it was observed.
        new: The whole content.
        new_mode: The mode of a file that does not exist yet, before the umask.

    Raises:
        Changed: It is not as it was; nothing was written.
        PermissionProblem: It or its directory cannot be written to, or the owner could not be kept.
    """
    target = state.target
    with reporting_permission(target, advice=_ADVICE):
        _check_writable(state)
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_unfinished(target.parent, target.name)
        handle, temporary = begin_file(target, mode=new_mode if state.mode is None else 0o600)
        try:
            with naming_full(target), os.fdopen(handle, "wb") as stream:
                _keep_owner_and_mode(stream.fileno(), state)
                stream.write(new)
                stream.flush()
                os.fsync(stream.fileno())
                _put(temporary, state, os.fstat(stream.fileno()).st_ino, _check_unchanged(state))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_directory(target.parent)


def unlink(state: FileState, directories: tuple[str, ...] = ()) -> None:
    """Delete a file, if it still is as it was observed, and then those directories that are empty. A symlink to it stays.

    Args:
        state: The file as it was observed.
        directories: Those that were made for it, the outermost first.

    Raises:
        Changed: It is not as it was; nothing was deleted.
        PermissionProblem: It or its directory cannot be written to.
    """
    with reporting_permission(state.target, advice=_ADVICE):
        _check_writable(state)
        clear_unfinished(state.target.parent, state.target.name)
        _check_unchanged(state)
        _take_away(state)
        fsync_directory(state.target.parent)
    for directory in reversed(directories):
        try:
            Path(directory).rmdir()
        except OSError:  # somebody else uses it by now
            return


def _put(temporary: Path, state: FileState, ours: int, theirs: int) -> None:
    """Put a new file where the observed one is; both by their inodes."""
    if state.data is None:
        _put_anew(temporary, state)
    elif not _change_places(temporary, state):
        temporary.replace(state.target)
    elif temporary.stat().st_ino == theirs and _is_still(temporary, state):
        temporary.unlink()
    else:
        _change_back(temporary, state, ours)
        raise Changed(path=str(state.path))


def _is_still(replaced: Path, state: FileState) -> bool:
    """Whether what was replaced is what was looked at, and nobody who had it open writes into it now."""
    if replaced.read_bytes() != state.data:
        return False
    facts = replaced.stat()
    for _ in range(_LAST_LOOKS):
        time.sleep(_BETWEEN_LOOKS)
        now = replaced.stat()
        if (now.st_size, now.st_mtime_ns) != (facts.st_size, facts.st_mtime_ns):
            return False
    return True


def _put_anew(temporary: Path, state: FileState) -> None:
    try:
        state.target.hardlink_to(temporary)
    except FileExistsError as error:
        raise Changed(path=str(state.path)) from error
    except OSError:  # a file system without hard links
        temporary.replace(state.target)
    else:
        temporary.unlink()


def _change_back(temporary: Path, state: FileState, put: int) -> None:
    """Put back what was replaced by mistake: nothing, if somebody has replaced ours by then."""
    while True:
        found = temporary.stat().st_ino
        if not _change_places(temporary, state) or temporary.stat().st_ino == put:
            return
        put = found


def _change_places(temporary: Path, state: FileState) -> bool:
    from hatchlock.clients.exchange import exchange  # noqa: PLC0415  it loads ctypes, and reading needs none

    try:
        return exchange(temporary, state.target)
    except FileNotFoundError as error:
        raise Changed(path=str(state.path)) from error


def _take_away(state: FileState) -> None:
    target = state.target
    handle, aside = begin_file(target)
    try:
        target.rename(aside)
        if aside.read_bytes() != state.data:
            _put_back(aside, target)
            raise Changed(path=str(state.path))
    except FileNotFoundError:
        return
    finally:
        aside.unlink(missing_ok=True)
        os.close(handle)


def _put_back(aside: Path, target: Path) -> None:
    """Give a file its name again, unless there is a newer one of that name."""
    try:
        target.hardlink_to(aside)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        aside.rename(target)


def _check_writable(state: FileState) -> None:
    # A rename would get past a file that its owner has made read-only.
    if state.data is not None and not os.access(state.target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(state.target))


def _check_unchanged(state: FileState) -> int:
    """Return the inode of the file, which may be a new one with the same content."""
    now = observe(state.path)
    if (now.fingerprint, now.target) != (state.fingerprint, state.target):
        raise Changed(path=str(state.path))
    return now.inode


def _keep_owner_and_mode(handle: int, state: FileState) -> None:
    if state.mode is None or state.uid is None or state.gid is None:
        return
    facts = os.fstat(handle)
    if (facts.st_uid, facts.st_gid) != (state.uid, state.gid):
        _keep_owner(handle, state, state.uid, state.gid, is_ours=facts.st_uid == state.uid)
    os.fchmod(handle, state.mode)
    _keep_attributes(handle, state.target)


def _keep_owner(handle: int, state: FileState, uid: int, gid: int, *, is_ours: bool) -> None:
    try:
        os.fchown(handle, uid, gid)
    except PermissionError as error:
        kept = f"group {_group_name(gid)}" if is_ours else f"owner {owner_name(uid)}"
        advice = "give it a group of yours with `chgrp`, and run the same command again" if is_ours else _ADVICE
        raise PermissionProblem(path=str(state.target), problem=f"its {kept} cannot be kept", advice=advice) from error


def _group_name(gid: int) -> str:
    import grp  # noqa: PLC0415  only needed to explain a failure

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _keep_attributes(handle: int, target: Path) -> None:
    """Give a new file what else belongs to the old one: its access list above all, without which others could read it or no more."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):  # a file system without any
        for name in os.listxattr(target):
            with contextlib.suppress(OSError):  # some are the system's own to give
                os.setxattr(handle, name, os.getxattr(target, name))
