"""Locks that nobody has thought of survive their file."""

from __future__ import annotations

import contextlib
import tomllib
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import Phase, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from hatchlock.launch import LaunchRecord
from hatchlock.lock.diff import diff_locks
from hatchlock.lock.images import ImagePlatform
from hatchlock.lock.model import Archive, Build, Environment, File, Lock, Package, Server
from hatchlock.lock.store import dumps, loads
from hatchlock.lock.surfaces import Surface
from hatchlock.lock.toml import dump_value, table
from support.values import (
    ARCHIVES,
    BUILDS,
    ENVIRONMENTS,
    FILES,
    IMAGE_PLATFORMS,
    PACKAGES,
    SERVERS,
    SURFACES,
    TEXT,
    launch_records,
    locks,
)

VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(locks)
def test_what_is_written_is_read_back_and_written_again_as_the_same_bytes(lock: Lock) -> None:
    text = dumps(lock)
    again = loads(text.encode())
    assert again == lock
    assert dumps(again) == text
    assert diff_locks(lock, again) == ()
    assert not any(character < " " for character in text.replace("\n", "")), "a raw control character"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (File, FILES),
        (Package, PACKAGES),
        (Archive, ARCHIVES),
        (ImagePlatform, IMAGE_PLATFORMS),
        (Build, BUILDS),
        (Environment, ENVIRONMENTS),
        (Server, SERVERS),
        (Surface, SURFACES),
        (Lock, locks),
    ],
)
def test_every_field_is_among_those_that_are_tried(kind: type[Any], values: st.SearchStrategy[Any]) -> None:
    missing = {field.name for field in fields(kind)}

    def has_shown_all(value: Any) -> bool:
        missing.difference_update([name for name in missing if getattr(value, name)])
        return not missing

    with contextlib.suppress(NoSuchExample):
        find(values, has_shown_all, settings=settings(phases=[Phase.generate], database=None))
    assert missing == set()


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
