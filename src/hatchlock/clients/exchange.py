"""Two files change places in one instant: so whoever replaces a file sees what exactly it has replaced."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

__all__ = ["exchange"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux's renameat2
_RENAME_SWAP = 2  # macOS' renamex_np
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})


def exchange(one: Path, other: Path) -> bool:
    """Let two files of one directory change places, and return whether this system and file system can do that.

    Raises:
        FileNotFoundError: One of them is not there.
        OSError: It is not permitted, or the like; nothing has changed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    here, there = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        failed = library.renamex_np(here, there, ctypes.c_uint(_RENAME_SWAP))
    elif hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, here, _AT_FDCWD, there, ctypes.c_uint(_RENAME_EXCHANGE))
    else:
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))
