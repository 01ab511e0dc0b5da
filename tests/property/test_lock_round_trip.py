"""Locks that nobody has thought of survive their file."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from hatchlock.launch import LaunchRecord
from hatchlock.lock.diff import diff_locks
from hatchlock.lock.model import Lock
from hatchlock.lock.store import dumps, loads
from hatchlock.lock.toml import dump_value, table
from support.values import TEXT, launch_records, locks

VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(locks)
def test_what_is_written_is_read_back(lock: Lock) -> None:
    assert loads(dumps(lock).encode()) == lock


@given(locks)
def test_what_was_read_is_written_as_the_same_bytes(lock: Lock) -> None:
    text = dumps(lock)
    assert dumps(loads(text.encode())) == text


@given(locks)
def test_a_lock_is_lines_that_end_in_newlines_and_nothing_else_moves_the_cursor(lock: Lock) -> None:
    text = dumps(lock)
    assert text.endswith("\n")
    assert not any(character < " " for character in text.replace("\n", ""))


@given(locks)
def test_a_lock_does_not_differ_from_itself(lock: Lock) -> None:
    assert diff_locks(lock, lock) == ()


@given(locks, locks)
def test_a_difference_is_empty_only_if_nothing_that_it_speaks_of_differs(before: Lock, after: Lock) -> None:
    same = replace(
        before,
        packages=after.packages,
        images=after.images,
        environments=after.environments,
        servers=after.servers,
    )
    assert diff_locks(same, after) == ()


@given(VALUES)
@example("\x7f\x00\x1b")
@example({"": {"a.b": [{}, []]}})
def test_a_value_means_the_same_to_any_reader_of_toml(value: Any) -> None:
    assert tomllib.loads(f"value = {dump_value(value)}")["value"] == value


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_a_table_leaves_out_only_what_is_empty(values: dict[str, Any]) -> None:
    kept = {key: value for key, value in values.items() if isinstance(value, bool) or value}
    assert tomllib.loads(table("", values)) == kept


@given(launch_records)
def test_a_launch_record_is_read_back_and_keeps_its_name(record: LaunchRecord) -> None:
    again = LaunchRecord.from_json(record.to_json())
    assert again == record
    assert again.digest == record.digest
