"""Directories in memory from which no program is started, since bubblewrap's own are not like that.

They are mounted by the child that becomes bubblewrap, in a mount name space of its own, which ends with it: nobody else ever
sees them. An ordinary user has to have a user name space for that, around the one that bubblewrap makes.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from hatchlock.security.bubblewrap import TEMPORARY_BASE

__all__ = ["mount_temporary"]

_NEW_MOUNTS, _NEW_USERS = 0x20000, 0x10000000
_NO_SETUID, _NO_DEVICES, _NO_PROGRAMS = 2, 4, 8
_WITH_ALL_BELOW, _PRIVATE = 0x4000, 1 << 18
_NEXT_TO_NOTHING = 4096


def mount_temporary(directories: Iterable[str], *, size: int) -> None:
    """Mount empty directories, writable for everybody, for this process and its children only.

    To be called between fork and exec.

    Args:
        directories: Below `TEMPORARY_BASE`, which is hidden by it.
        size: Bytes for each.

    Raises:
        OSError: This machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    _check(libc.unshare(_NEW_MOUNTS | (_NEW_USERS if uid else 0)))
    if uid:
        _write("/proc/self/setgroups", b"deny")
        _write("/proc/self/uid_map", b"%d %d 1" % (uid, uid))
        _write("/proc/self/gid_map", b"%d %d 1" % (gid, gid))
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_WITH_ALL_BELOW | _PRIVATE), None))
    _mount(libc, TEMPORARY_BASE, _NEXT_TO_NOTHING, 0o755)
    for directory in directories:
        os.mkdir(directory)  # noqa: PTH102  no more code than needed in a child like this
        _mount(libc, directory, size, 0o1777)


def _mount(libc: ctypes.CDLL, directory: str, size: int, mode: int) -> None:
    flags = ctypes.c_ulong(_NO_SETUID | _NO_DEVICES | _NO_PROGRAMS)
    options = f"size={size},mode={mode:o}".encode()
    _check(libc.mount(b"tmpfs", directory.encode(), b"tmpfs", flags, options))


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, content)
    os.close(descriptor)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
