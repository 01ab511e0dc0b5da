"""Where a resolution's packages come from, in tests that need Python only."""

from __future__ import annotations

from typing import Any

from hatchlock.resolve.environments import Indexes
from hatchlock.sources.python.pypi import PypiSource

__all__ = ["indexes_of", "python_only"]


def python_only(python: PypiSource) -> Indexes:
    """Return indexes without anything but Python packages: whoever asks for something else fails the test."""
    return indexes_of(python)


def indexes_of(python: PypiSource, **others: Any) -> Indexes:
    """Return indexes of Python packages and of `others`, as `Indexes` names them; any further one fails the test."""

    def nobody(*asked: object) -> Any:
        raise AssertionError(asked)

    names = ("npm", "load", "scratch", "hatch", "tags", "debian", "conda")
    return Indexes(python=python, **{name: others.get(name, nobody) for name in names})
