"""What ordinary users of this machine can read: neither this repository nor pytest's own directory need be."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hatchlock

__all__ = ["copy_ourselves", "everybodys_directory"]


@contextlib.contextmanager
def everybodys_directory() -> Iterator[Path]:
    """Have a directory that every user can read: pytest's own is closed again by each pytest that begins beside this one."""
    with tempfile.TemporaryDirectory(prefix="hatchlock-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def copy_ourselves(to: Path) -> None:
    """Copy our own package into a directory, which need not be there yet."""
    # a process beside this one may just be writing bytecode: to another name, which is gone in an instant
    unfinished = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(Path(hatchlock.__file__).parent, to / "hatchlock", ignore=unfinished)
