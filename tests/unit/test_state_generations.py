"""What finished applies left: numbered, whole or not there, and which of them a project is at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.state.documents import NewerState
from hatchlock.state.generations import Generation, Generations
from hatchlock.state.project import BadState

FACTS = {
    "when": "2026-11-28T00:30:00+00:00",
    "hatchlock": "0.1.0",
    "servers": {"b": "2" * 64, "a": "1" * 64},
    "steps": ["server:a"],
    "counts": {"create": 1},
    "lock": "f" * 64,
    "uses": {"trees": ["envs/x"], "images": []},
}


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    return Generations(tmp_path / "projects" / "p")


def record(generations: Generations, word: str = "1") -> int:
    return generations.record(
        lock=f"lock {word}".encode(),
        manifest=f"manifest {word}".encode(),
        overlay=f"overlay {word}".encode(),
        target={"target": word},
        facts=FACTS,
    )


def test_generations_are_numbered_and_keep_what_was_applied(generations: Generations) -> None:
    assert (generations.numbers(), generations.newest(), generations.current()) == ((), 0, 0)
    assert [record(generations, word) for word in "12"] == [1, 2]
    assert (generations.numbers(), generations.newest(), generations.current()) == ((1, 2), 2, 2)
    assert generations.read(1) == Generation(
        number=1,
        when="2026-11-28T00:30:00+00:00",
        hatchlock="0.1.0",
        servers={"a": "1" * 64, "b": "2" * 64},
        steps=("server:a",),
        counts={"create": 1},
        lock="f" * 64,
        uses={"trees": ["envs/x"], "images": []},
    )
    assert generations.lock(1) == b"lock 1"
    assert generations.manifest(2) == b"manifest 2"
    assert generations.overlay(1) == b"overlay 1"
    assert (generations.target(2) or {})["target"] == "2"


def test_of_one_that_is_not_there_nothing_is_known(generations: Generations) -> None:
    assert generations.read(1) is None
    assert (generations.lock(1), generations.manifest(1), generations.target(1)) == (None, None, None)
    assert generations.overlay(1) == b""


def test_one_that_an_older_version_left_is_read(generations: Generations, tmp_path: Path) -> None:
    directory = tmp_path / "projects" / "p" / "generations" / "1"
    directory.mkdir(parents=True)
    old = {"format_version": 1, "number": 1, "servers": {"a": "1" * 64}, "steps": ["server:a"], "uses": {}}
    (directory / "generation.json").write_text(json.dumps(old))
    assert generations.read(1) == Generation(number=1, servers={"a": "1" * 64}, steps=("server:a",))
    assert (generations.target(1), generations.overlay(1)) == (None, b"")


def test_one_that_was_being_written_when_the_process_died_does_not_count(
    generations: Generations, tmp_path: Path
) -> None:
    record(generations)
    half = tmp_path / "projects" / "p" / "generations" / ".2.part"
    half.mkdir()
    (half / "stray").write_bytes(b"half")
    assert (generations.newest(), generations.unfinished()) == (1, (half,))
    assert record(generations, "2") == 2
    assert not (half.with_name("2") / "stray").exists()
    assert generations.unfinished() == ()


def test_it_counts_when_it_is_whole_and_not_before(generations: Generations, monkeypatch: pytest.MonkeyPatch) -> None:
    def written_until_the_last(path: Path, data: bytes) -> None:
        if path.name == "generation.json":
            raise KeyboardInterrupt
        path.write_bytes(data)

    monkeypatch.setattr("hatchlock.state.generations.atomic_write", written_until_the_last)
    with pytest.raises(KeyboardInterrupt):
        record(generations)
    assert generations.newest() == 0


def test_the_tenth_is_newer_than_the_ninth(generations: Generations) -> None:
    for _ in range(10):
        record(generations)
    assert generations.newest() == 10


def test_a_rollback_holds_a_project_until_a_newer_one_is_left(generations: Generations) -> None:
    for _ in range(3):
        record(generations)
    generations.hold(1)
    assert (generations.held(), generations.current(), generations.newest()) == (1, 1, 3)
    generations.hold(3)
    assert (generations.held(), generations.current()) == (0, 3)
    generations.hold(2)
    assert record(generations) == 4
    assert (generations.held(), generations.current()) == (0, 4)


def test_a_project_is_not_held_at_one_that_is_gone(generations: Generations) -> None:
    for _ in range(2):
        record(generations)
    generations.hold(1)
    generations.forget(1)
    assert (generations.numbers(), generations.held(), generations.current()) == ((2,), 0, 2)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"format_version": 0}',
        '{"format_version": 1, "servers": 3}',
        '{"format_version": 1, "servers": {"a": []}}',
        '{"format_version": 1, "servers": {}, "uses": {"trees": "envs/a"}}',
        '{"format_version": 1, "servers": {}, "uses": {"images": [3]}}',
    ],
)
def test_one_that_we_did_not_write_is_named(generations: Generations, tmp_path: Path, text: str) -> None:
    record(generations)
    path = tmp_path / "projects" / "p" / "generations" / "1" / "generation.json"
    path.write_text(text)
    with pytest.raises(BadState, match=str(path)):
        generations.read(1)


def test_one_that_a_newer_version_left_is_not_guessed_at(generations: Generations, tmp_path: Path) -> None:
    record(generations)
    path = tmp_path / "projects" / "p" / "generations" / "1" / "generation.json"
    path.write_text('{"format_version": 2}')
    with pytest.raises(NewerState, match="has format 2"):
        generations.read(1)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_target_that_cannot_be_read_is_none(generations: Generations, tmp_path: Path, text: str) -> None:
    record(generations)
    (tmp_path / "projects" / "p" / "generations" / "1" / "target.json").write_text(text)
    assert generations.target(1) is None
