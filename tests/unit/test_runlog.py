"""Logs of what was done to a project: kept as far as that is possible, and read with whatever is missing."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from hatchlock.events import FETCH_PROGRESS, Event, discard
from hatchlock.state.runlog import LineWriter, logging_run, read_run, runs


def events(root: Path, number: int) -> list[str]:
    found = read_run(root, number)
    assert found is not None
    return [event["event"] for event in found]


def test_each_run_is_a_file_for_its_owner_only_and_goes_on_to_others(tmp_path: Path) -> None:
    heard: list[str] = []
    for _ in range(2):
        with logging_run(tmp_path, lambda event: heard.append(event.name)) as told:
            told(Event(name="step.start", address="env:a", data={"action": "create"}, at=0.5))
            told(Event(name=FETCH_PROGRESS))
    assert heard == ["step.start", FETCH_PROGRESS] * 2
    assert runs(tmp_path) == (1, 2)
    assert read_run(tmp_path, 2) == (
        {
            "event": "step.start",
            "time": "1970-01-01T00:00:00.500Z",
            "address": "env:a",
            "message": "",
            "action": "create",
        },
    )
    assert (tmp_path / "applies" / "1.ndjson").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "applies").stat().st_mode & 0o777 == 0o700


def test_the_last_twenty_are_kept_and_no_number_is_used_twice(tmp_path: Path) -> None:
    for _ in range(23):
        with logging_run(tmp_path, discard):
            pass
    assert runs(tmp_path) == tuple(range(4, 24))
    assert read_run(tmp_path, 3) is None


def test_a_line_that_a_kill_has_cut_is_passed_over(tmp_path: Path) -> None:
    with logging_run(tmp_path, discard) as told:
        told(Event(name="a"))
    path = tmp_path / "applies" / "1.ndjson"
    path.write_bytes(path.read_bytes() + b'[1]\n\xff\n{"event": "b", "ti')
    assert events(tmp_path, 1) == ["a"]


def test_a_log_has_an_end(tmp_path: Path) -> None:
    with logging_run(tmp_path, discard) as told:
        for _ in range(40):
            told(Event(name="long", message="x" * 50_000))
        told(Event(name="plan.end"))
    assert (tmp_path / "applies" / "1.ndjson").stat().st_size <= 1 << 20
    assert events(tmp_path, 1)[-1] == "plan.end", "what is short still finds room"


def test_where_no_log_can_be_written_the_events_go_on(tmp_path: Path) -> None:
    (tmp_path / "applies").write_text("in the way")
    heard: list[str] = []
    with logging_run(tmp_path, lambda event: heard.append(event.name)) as told:
        told(Event(name="a"))
    assert heard == ["a"]


def test_a_full_disk_is_remembered_and_raises_nothing() -> None:
    writer = LineWriter(Path("/dev/full"))
    writer.write({"a": 1})
    assert writer.problem == "No space left on device"
    writer.write({"b": 2})
    writer.close()
    writer.write({"c": 3})


def test_lines_of_many_threads_and_of_two_writers_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "events"
    writers = [LineWriter(path), LineWriter(path)]

    def write(number: int) -> None:
        for line in range(50):
            writers[number % 2].write({"number": number, "line": line, "padding": "x" * 3000})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert sorted((item["number"], item["line"]) for item in lines) == [(n, i) for n in range(6) for i in range(50)]


@pytest.mark.parametrize(
    ("at", "shown"), [(1.9996, "1970-01-01T00:00:02.000Z"), (1795824000.25, "2026-11-28T00:00:00.250Z")]
)
def test_times_are_utc_to_the_millisecond(tmp_path: Path, at: float, shown: str) -> None:
    with logging_run(tmp_path, discard) as told:
        told(Event(name="a", at=at))
    [event] = read_run(tmp_path, 1) or ()
    assert event["time"] == shown
