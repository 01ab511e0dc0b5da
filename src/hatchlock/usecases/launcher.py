"""The launcher: what the entries of applications start, whichever hatchlock there is."""

from __future__ import annotations

import shlex
import sys

from hatchlock.files import atomic_write, clear_unfinished, private_directory, read_optional
from hatchlock.paths import Home

__all__ = ["write_launcher"]


def write_launcher(home: Home) -> None:
    """Keep `STORE/bin/hatchlock`, which client files name, pointing at the hatchlock that runs now.

    Raises:
        PermissionProblem: The store cannot be written to.
    """
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m hatchlock "$@"\n'.encode()
    path = private_directory(home.bin) / "hatchlock"
    clear_unfinished(path.parent)
    if read_optional(path) != text:
        atomic_write(path, text, mode=0o755)
