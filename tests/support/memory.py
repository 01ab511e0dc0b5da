"""A user's runtime directory of a test's own: what is below /dev/shm itself belongs to every test that runs meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.unavailable import unavailable

__all__ = ["memory"]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A user's runtime directory, which is memory, as a login makes it."""
    if not Path("/dev/shm").is_dir():
        unavailable("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)
