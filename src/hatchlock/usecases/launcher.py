"""The launcher: what the entries of applications start, whichever hatchlock there is."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from pathlib import Path

from hatchlock.files import atomic_write, clear_unfinished, private_directory, read_optional
from hatchlock.paths import Home

__all__ = ["launcher_problem", "own_command", "write_launcher"]

_CODE = "import sys; sys.path += {places!r}; from hatchlock.cli.launched import main; main()"
_LAUNCHER = re.compile(r"#!/bin/sh\nexec (?P<python>'[^']+'|[^\s']+) (-I -m hatchlock|-I -S -c .+) \"\$@\"\n")
"""The one of versions up to 0.1 as well: it does the same, and an upgrade is no change."""
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
    *options, code = own_command()
    text = f'#!/bin/sh\nexec {shlex.join(options)} {shlex.quote(code)} "$@"\n'.encode()
    path = private_directory(home.bin) / "hatchlock"
    clear_unfinished(path.parent)
    if read_optional(path) != text:
        atomic_write(path, text, mode=_MODE)


def own_command() -> tuple[str, ...]:
    """Return what starts the hatchlock that runs now, in exec form; its own words follow.

    It starts Python without `site`, which takes twice as long, and names what `site` would have found.
    """
    return (sys.executable, "-I", "-S", "-c", _CODE.format(places=_places()))


def _places() -> list[str]:
    """Return where this hatchlock is, and where what it needs is, whatever else our caller had on its path."""
    import sysconfig

    import hatchlock

    own = str(Path(hatchlock.__file__).parents[1])
    return list(dict.fromkeys([own, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]))
