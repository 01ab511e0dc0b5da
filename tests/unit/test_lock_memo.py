from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from hatchlock.lock.memo import recall, remember

VALUE = {"answer": [1, "two", {"three": None}]}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    return tmp_path / "memo" / "entry.json"


def test_what_was_remembered_is_recalled(entry: Path) -> None:
    remember(entry, "key", VALUE, witnesses=[])
    assert recall(entry, "key") == VALUE


def test_nothing_was_remembered_yet(entry: Path) -> None:
    assert recall(entry, "key") is None


def test_another_key_finds_nothing(entry: Path) -> None:
    remember(entry, "key", VALUE, witnesses=[])
    assert recall(entry, "other") is None


def test_a_replaced_witness_makes_it_void(entry: Path, tmp_path: Path) -> None:
    witness = tmp_path / "python"
    witness.write_text("3.11.1")
    remember(entry, "key", VALUE, witnesses=[str(witness)])
    assert recall(entry, "key") == VALUE

    facts = witness.stat()
    (tmp_path / "new").write_text("3.11.2")
    os.utime(tmp_path / "new", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (tmp_path / "new").replace(witness)
    assert recall(entry, "key") is None


def test_a_witness_that_appears_or_goes_makes_it_void(entry: Path, tmp_path: Path) -> None:
    witness = tmp_path / "program"
    remember(entry, "key", VALUE, witnesses=[str(witness)])
    assert recall(entry, "key") == VALUE
    witness.touch()
    assert recall(entry, "key") is None
    remember(entry, "key", VALUE, witnesses=[str(witness)])
    witness.unlink()
    assert recall(entry, "key") is None


@pytest.mark.parametrize(
    "document", ["", "null", "[]", "1", '"x"', "{}", "{", '{"key": "key"}', '{"key": "key", "witnesses": []}']
)
def test_a_damaged_entry_is_no_entry(entry: Path, document: str) -> None:
    entry.parent.mkdir()
    entry.write_text(document)
    assert recall(entry, "key") is None


def test_a_cut_entry_is_no_entry(entry: Path) -> None:
    remember(entry, "key", VALUE, witnesses=[])
    whole = entry.read_bytes()
    for end in range(len(whole)):
        entry.write_bytes(whole[:end])
        assert recall(entry, "key") is None


def test_it_is_private(entry: Path) -> None:
    remember(entry, "key", VALUE, witnesses=[])
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700


def test_a_later_value_takes_the_place_of_an_earlier_one(entry: Path) -> None:
    other: dict[str, Any] = {"other": True}
    remember(entry, "key", VALUE, witnesses=[])
    remember(entry, "key", other, witnesses=[])
    assert recall(entry, "key") == other
    assert json.loads(entry.read_bytes())["key"] == "key"
