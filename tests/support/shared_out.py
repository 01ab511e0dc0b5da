"""Several runs of pytest at once that share the files of tests out among each other, as each has time for one more."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import pytest

__all__ = ["CLAIMS", "pytest_runtestloop"]

CLAIMS = "HATCHLOCK_TEST_CLAIMS"
"""The variable that names a directory of all the runs; each file that one of them has taken is an entry of it."""


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests of every file that no other run has taken; without the variable leave it to pytest."""
    claims = os.environ.get(CLAIMS)
    if not claims or session.testsfailed or session.config.option.collectonly:
        return None
    taken = _taken(session.items, Path(claims))
    item = next(taken, None)
    while item is not None:
        following = next(taken, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def _taken(items: Iterable[pytest.Item], claims: Path) -> Iterator[pytest.Item]:
    for path, of_file in groupby(items, lambda item: item.path):
        try:
            (claims / "-".join(path.parts[-2:])).mkdir()
        except FileExistsError:
            continue
        yield from of_file
