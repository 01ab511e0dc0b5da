"""A Python for what is too new for the one that runs the tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hatchlock.engines.process import InterpreterMissing, find_interpreter

__all__ = ["newer_python"]


def newer_python(environ: Mapping[str, str], ours: Path) -> str | None:
    """Return a Python from 3.12 on that answers, or None: one of PATH, else one that is installed beside ours.

    What PATH has may be a shim that knows of no such version; version managers keep those they have beside each other.

    Args:
        environ: Has PATH.
        ours: Where the Python is installed that runs the tests.
    """
    beside = sorted(map(str, ours.parent.glob("*/bin")))
    everywhere = {**environ, "PATH": os.pathsep.join((environ.get("PATH", ""), *beside))}
    for version in ("3.14", "3.13", "3.12"):
        with suppress(InterpreterMissing):
            return find_interpreter(version, everywhere).path
    return None
