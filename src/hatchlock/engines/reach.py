"""Which directories of this machine a sandbox may show for the sake of one program in them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from hatchlock.paths import Home

__all__ = ["outermost", "shows_too_much"]

_OF_A_HOME = (".local", ".config", ".ssh", ".gnupg")


def shows_too_much(directory: Path, environ: Mapping[str, str]) -> bool:
    """Return whether a program's prefix holds what is none of a server's business.

    That is a directory with somebody's home or the store in it, a home itself, and `~/.local`, where applications keep
    their data.

    Args:
        directory: Absolute and real.
        environ: Names the home and the store.
    """
    home = Path(os.path.realpath(environ.get("HOME") or Path.home()))
    if any(path.is_relative_to(directory) for path in (home, Home.locate(explicit=None, environ=environ).root)):
        return True
    return directory.name == ".local" or any(os.path.lexists(directory / name) for name in _OF_A_HOME)


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that are below none of the others, sorted."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{outer}/") for outer in kept):
            kept.append(path)
    return tuple(kept)
