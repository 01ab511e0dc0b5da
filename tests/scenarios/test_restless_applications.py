"""An application rewrites its file all the time while we write into it: nothing of either is lost."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.swap import Changed
from hatchlock.clients.writer import EntryChanged, apply_entry, entry_digest, lock_path
from hatchlock.paths import Home
from hatchlock.state.originals import original_path
from support.runs import wait_for

PROGRAM = Path(__file__).parents[1] / "support" / "restless_program.py"
DIALECT = CLIENTS["claude-code"].dialect
THEIRS = {"command": "theirs", "args": ["x"]}
FULL = pytest.param(1000, marks=pytest.mark.full)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the disk: while it is busy for longer than the application pauses, ours would never get its turn."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def race(root: Path, way: str, writes: int) -> tuple[int, int]:
    """Write so many times beside an application, and return how often it wrote, and how often it undid a write of ours."""
    file, home = root / ".claude.json", Home(root=root / "store", is_default=False)
    file.write_text(json.dumps({"count": 0, "mcpServers": {"theirs": THEIRS}}, indent=2) + "\n")
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(file), way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as application:
        undone, last = 0, None
        assert wait_for(lambda: _count(file) > 0), "it has not begun"
        for number in range(writes):
            value = {"command": "hatchlock", "args": ["run", str(number)]} if number % 10 else None
            while True:
                try:
                    apply_entry(
                        file,
                        "ours",
                        value,
                        dialect=DIALECT,
                        expected_entry=last,
                        lock=lock_path(home, file),
                        originals=original_path(home.root, file),
                    )
                    break
                except (
                    Changed,
                    Unparsable,
                ):  # it has stopped for long in the middle of a write: nothing of ours is written
                    continue
                except EntryChanged:  # it had read the file before our last write, and has written it after that
                    undone += 1
                    last = _digest_of_ours(file)
            last = entry_digest(value) if value else None
        assert wait_for(lambda: _count(file) > writes // 10)
        said, _ = application.communicate("", timeout=60)
    *torn, end = said.splitlines()
    assert set(torn) <= {"torn"}
    assert end.startswith("wrote "), end
    found = json.loads(file.read_text())
    assert found["count"] == int(end.removeprefix("wrote "))
    assert found["mcpServers"]["theirs"] == THEIRS
    return found["count"], undone


def _digest_of_ours(file: Path) -> str | None:
    while True:
        with contextlib.suppress(Unparsable):  # it is in the middle of a write
            found = DIALECT.read(file.read_bytes()).get("ours")
            return entry_digest(found.value) if found else None


def _count(file: Path) -> int:
    try:
        return int(json.loads(file.read_text())["count"])
    except ValueError:  # it is in the middle of a write
        return 0


@pytest.mark.parametrize("writes", [40, FULL])
def test_nothing_of_an_application_that_renames_is_lost(tmp_path: Path, writes: int) -> None:
    wrote, undone = race(tmp_path, "rename", writes)
    print(f"{writes} writes of ours, {wrote} of the application, which undid {undone}")  # noqa: T201


@pytest.mark.parametrize("writes", [12, FULL])
def test_nothing_of_an_application_that_writes_in_place_is_lost(tmp_path: Path, writes: int) -> None:
    wrote, undone = race(tmp_path, "in-place", writes)
    print(f"{writes} writes of ours, {wrote} of the application, which undid {undone}")  # noqa: T201
