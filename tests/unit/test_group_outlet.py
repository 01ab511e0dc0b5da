"""What waits for a server of a group that does not read, and when it is given up."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from hatchlock.serve.group import members
from hatchlock.serve.group.members import Outlet
from support.runs import wait_for

LINE = b"x" * (1 << 20)


@pytest.fixture
def pipe() -> Iterator[tuple[Outlet, int]]:
    reading, writing = os.pipe()
    outlet = Outlet(writing, lambda: None)
    yield outlet, reading
    os.close(reading)
    outlet.finish()


def test_many_megabytes_at_once_are_no_reason_to_give_up_who_reads(pipe: tuple[Outlet, int]) -> None:
    outlet, reading = pipe
    for _ in range(20):
        outlet.put(LINE)
        assert not outlet.is_stuck
    assert outlet.is_full
    left = 20 * len(LINE)
    while left:
        left -= len(os.read(reading, 1 << 20))
    assert wait_for(lambda: not outlet.is_full)


def test_who_takes_nothing_for_long_is_given_up(pipe: tuple[Outlet, int], monkeypatch: pytest.MonkeyPatch) -> None:
    outlet, _ = pipe
    monkeypatch.setattr(members, "_STUCK_SECONDS", 0.0)
    outlet.put(LINE)
    assert not outlet.is_stuck
    for _ in range(9):
        outlet.put(LINE)
    assert wait_for(lambda: outlet.is_stuck)


def test_who_is_sent_more_than_can_be_kept_is_given_up(
    pipe: tuple[Outlet, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet, _ = pipe
    monkeypatch.setattr(members, "_MOST", 1 << 22)
    for _ in range(6):
        outlet.put(LINE)
    assert outlet.is_stuck
