"""`run` while its environment is being made: it waits for whoever makes it, and never starts from a half-made one."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.state.lease import lease
from hatchlock.store.receipts import RECEIPT_NAME, building
from support.runs import BARE, Run, apply_records, python_record, run_command

KEY = "0" * 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "store"
    home.mkdir(mode=0o700)
    half = home / "envs" / KEY / "lib"
    half.mkdir(parents=True)
    plain = python_record()
    apply_records(home, [python_record(read_only_paths=(*plain.read_only_paths, str(half.parent)))])
    return home


@pytest.fixture
def builder(home: Path) -> Iterator[threading.Event]:
    """Somebody who makes the environment, to its end once the event is set."""
    begun, go_on = threading.Event(), threading.Event()
    tree = home / "envs" / KEY

    def build() -> None:
        with lease(home / "locks" / f"env-{KEY}.lock", what="it", purpose="apply", timeout=0), building(tree, {}):
            tree.mkdir()
            begun.set()
            go_on.wait(60)

    thread = threading.Thread(target=build)
    thread.start()
    begun.wait(60)
    yield go_on
    go_on.set()
    thread.join()


def test_it_waits_until_the_environment_is_complete_and_says_for_whom(home: Path, builder: threading.Event) -> None:
    with Run(command=run_command(home)) as session:
        assert session.process.stderr
        said = session.process.stderr.readline().decode()
        assert said.startswith(f"hatchlock: waiting for the environment {KEY}, which is being made, held by `apply`")
        builder.set()
        assert session.hello()["serverInfo"]
        assert session.end()[0] == 0


def test_a_signal_ends_the_waiting(home: Path, builder: threading.Event) -> None:
    with Run(command=run_command(home)) as session:
        assert session.process.stderr
        session.process.stderr.readline()
        session.process.terminate()
        assert session.process.wait(30) != 0
    assert not builder.is_set()


def test_what_nobody_makes_to_its_end_is_not_started_from(home: Path) -> None:
    done = subprocess.run(
        run_command(home), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=BARE, check=False
    )
    assert done.returncode == 1
    assert f"{home}/envs/{KEY}, is not complete" in done.stderr
    assert "hint: run `hatchlock apply`" in done.stderr


def test_a_tree_that_is_built_anew_is_half_made_from_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "envs" / KEY
    tree.mkdir(parents=True)
    (tree / RECEIPT_NAME).write_text("{}")
    seen = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: seen.append((path / RECEIPT_NAME).exists()))
    with building(tree, {}):
        assert seen == [False]
