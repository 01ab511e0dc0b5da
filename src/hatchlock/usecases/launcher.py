"""The launcher: what the entries of applications start, whichever hatchlock there is."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys

from hatchlock.files import atomic_write, clear_unfinished, private_directory, read_optional
from hatchlock.paths import Home

__all__ = ["launcher_problem", "write_launcher"]

_LAUNCHER = re.compile(r"#!/bin/sh\nexec (?P<python>'[^']+'|[^\s']+) -I -m hatchlock \"\$@\"\n")
_MODE = 0o755


def launcher_problem(home: Home) -> str:
    """Return what is wrong with the launcher, as a clause, or "" for nothing; the next apply writes it anew."""
    path = home.bin / "hatchlock"
    data = read_optional(path)
    if data is None:
        return f"{path} is gone"
    match = _LAUNCHER.fullmatch(data.decode(errors="replace"))
    if match is None:
        return f"{path} is not what apply writes"
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode != _MODE:
        return f"{path} has the mode {mode:o}, not {_MODE:o}"
    (python,) = shlex.split(match["python"])
    return "" if os.access(python, os.X_OK) else f"{path} starts {python}, which is gone"


def write_launcher(home: Home) -> None:
    """Keep `STORE/bin/hatchlock`, which client files name, pointing at the hatchlock that runs now.

    Raises:
        PermissionProblem: The store cannot be written to.
    """
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m hatchlock "$@"\n'.encode()
    path = private_directory(home.bin) / "hatchlock"
    clear_unfinished(path.parent)
    if read_optional(path) != text:
        atomic_write(path, text, mode=_MODE)
