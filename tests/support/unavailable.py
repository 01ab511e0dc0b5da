"""What to do where a real part cannot be had: skip on a person's machine, fail in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from hatchlock.engines.process import check_isolation


def unavailable(reason: str) -> NoReturn:
    """Skip with one line; in CI (`CI` is set) these tests must run, so fail."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def need_isolation() -> None:
    """Leave a test that starts servers as processes where there is no sandbox for them."""
    if problem := check_isolation():
        unavailable(problem)
