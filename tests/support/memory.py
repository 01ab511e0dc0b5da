"""A user's runtime directory of a test's own: what is below /dev/shm itself belongs to every test that runs meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.files import remove_tree
from support.unavailable import unavailable

__all__ = ["memory"]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A user's runtime directory, which is memory, as a login makes it."""
    if not Path("/dev/shm").is_dir():
        unavailable("there is no /dev/shm")
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        yield directory
    finally:
        remove_tree(directory)  # a watchdog may still be at it
