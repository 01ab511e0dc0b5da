"""Where commands of tests have their temporary files: what sessions leave in /tmp, also those of tests beside these, is seen there."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["own_tmp"]


@functools.cache
def own_tmp() -> str:
    """Return a directory of this run of tests alone, with a short name, for paths of sockets are in it; it goes with the run."""
    directory = tempfile.mkdtemp(prefix="hl-", dir="/tmp")
    Path(directory).chmod(0o711)  # servers with users of their own have directories in it
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: str, pid: int) -> None:
    if os.getpid() == pid:  # not a fork of it
        shutil.rmtree(directory, ignore_errors=True)
