"""The store's event log: a line for each event of all projects, and never more than two files of a size."""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path

import pytest

from hatchlock.cli import log
from hatchlock.cli.log import EVENT_LOG, logged
from hatchlock.events import Event, discard
from hatchlock.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    root = tmp_path / "store"
    root.mkdir(mode=0o700)
    return Home(root=root, is_default=False)


def lines(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in path.read_text().splitlines()]


def test_it_begins_anew_when_it_is_full_and_keeps_the_one_before(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_LIMIT", 2000)
    sinks = [logged(discard, home, command) for command in ("apply", "rollback")]
    for number in range(100):
        sinks[number % 2](Event(name="step.done", address="env:a", message="create", data={"number": number}))
    path = home.root / EVENT_LOG
    old = path.with_name("events.ndjson.1")
    assert max(file.stat().st_size for file in (path, old)) <= 2000
    assert sorted(file.name for file in path.parent.iterdir()) == ["events.ndjson", "events.ndjson.1"]
    kept = [*lines(old), *lines(path)]
    assert kept == list(range(kept[0], 100))
    assert {file.stat().st_mode & 0o777 for file in (path, old)} == {0o600}


def test_it_is_closed_when_the_command_has_ended(home: Home) -> None:
    def opened() -> int:
        gc.collect()
        own = os.path.realpath(home.root / EVENT_LOG)
        return sum(os.path.realpath(item) == own for item in Path("/proc/self/fd").iterdir())

    sink = logged(discard, home, "apply")
    sink(Event(name="plan", address="", message="x"))
    assert opened() == 1
    del sink
    assert opened() == 0


def test_a_log_that_is_no_file_of_ours_fails_nothing(home: Home) -> None:
    (home.root / "logs").mkdir(mode=0o700)
    (home.root / EVENT_LOG).symlink_to("/dev/null")
    heard: list[Event] = []
    logged(heard.append, home, "apply")(Event(name="plan", address="", message="x"))
    assert [event.name for event in heard] == ["plan"]
