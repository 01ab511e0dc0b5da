"""Logs that are followed: nothing of them is missed or told twice, whatever becomes of their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.serve.talk import LogFile
from hatchlock.usecases.follow import Tail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "web.log"


def test_the_last_lines_come_first_and_then_what_is_written(path: Path) -> None:
    log = LogFile(path, 1 << 20)
    for number in range(5):
        log.write(f"{number}\n".encode())
    tail = Tail(path, 2)
    assert tail.lines() == ["3", "4"]
    assert tail.lines() == []
    log.write(b"5\n")
    assert tail.lines() == ["5"]
    tail.close()
    log.close()


def test_half_a_line_waits_for_its_end(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"one\ntw")
    tail = Tail(path, 10)
    assert tail.lines() == ["one"]
    with path.open("ab") as stream:
        stream.write(b"o\n")
    assert tail.lines() == ["two"]
    tail.close()


def test_nothing_is_missed_when_the_log_is_rotated(path: Path) -> None:
    """Also what was written to the old file last, between two looks."""
    log = LogFile(path, 64)
    tail = Tail(path, 0)
    seen = []
    for number in range(40):
        log.write(f"line {number}\n".encode())
        if number % 3 == 0:
            seen += tail.lines()
    seen += tail.lines()
    assert seen == [f"line {number}" for number in range(40)]
    assert path.with_name("web.log.1").exists()
    tail.close()
    log.close()


def test_a_log_that_comes_later_is_read_from_its_beginning(path: Path) -> None:
    tail = Tail(path, 10)
    assert tail.lines() == []
    path.parent.mkdir()
    path.write_bytes(b"one\n")
    assert tail.lines() == ["one"]
    tail.close()


def test_a_log_that_somebody_empties_goes_on(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"one\ntwo\n")
    tail = Tail(path, 10)
    assert tail.lines() == ["one", "two"]
    path.write_bytes(b"three\n")
    assert tail.lines() == ["three"]
    tail.close()
