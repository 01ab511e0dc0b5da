"""Where a resolution's packages come from, in tests that need Python only."""

from __future__ import annotations

from pathlib import Path

from hatchlock.lock.model import Package
from hatchlock.resolve.direct import Direct
from hatchlock.resolve.environments import Indexes
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.python.pypi import PypiSource

__all__ = ["python_only"]


def python_only(python: PypiSource) -> Indexes:
    """Return indexes without anything but Python packages: whoever asks for something else fails the test."""

    def no_npm() -> NpmSource:
        raise AssertionError("npm was asked for")

    def no_load(text: str, _: Package | None) -> Direct:
        raise AssertionError(text)

    def no_scratch() -> Path:
        raise AssertionError("a directory was asked for")

    return Indexes(python=python, npm=no_npm, load=no_load, scratch=no_scratch)
