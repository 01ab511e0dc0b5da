"""Saved plans: what is written is read back, and whatever else is in such a file is no plan and no traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Address
from hatchlock.reconcile.plan import Drifted, Plan
from hatchlock.reconcile.planfile import BadPlanFile, SavedPlan, plan_to_dict, read_plan, write_plan
from hatchlock.resources.base import Action, Problem, Step
from hatchlock.resources.package_counts import PackageCounts


def at(text: str) -> Address:
    return Address.parse(text)


FULL = Plan(
    steps=(
        Step(
            address=at("server:time"),
            action=Action.UPDATE,
            cause="arguments changed since it was applied",
            before="1",
            after="2",
            details={"arguments": "a -> b"},
            depends_on=(at("env:time"), at("volume:time/data")),
            privilege="engine",
            loss="what it keeps",
            notes=("first", "second"),
            drift=True,
        ),
        Step(address=at("client:cursor/old"), action=Action.DELETE, cause="not declared any more", before="3"),
    ),
    problems=(Problem(address=at("image:fetch"), code="engine-not-found", what="no engine", hint="start it"),),
    unchanged=4,
    existing=5,
    drifted=(Drifted(address=at("env:other"), what="gone since it was applied"),),
    only=("server:time", "group:office"),
    held=6,
    packages=PackageCounts(sources={"registry": 7}, privileges={"none": 7}),
)
SAVED = SavedPlan(plan=FULL, bindings={"project": "acme", "lock": "0123"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    write_plan(path, SAVED)
    return path


def test_what_was_written_is_read_back(path: Path) -> None:
    assert read_plan(path) == SAVED


def test_its_document_counts_what_it_would_do(path: Path) -> None:
    document = json.loads(path.read_bytes())
    assert document["bindings"] == SAVED.bindings
    assert document["summary"] == {"create": 0, "update": 1, "replace": 0, "delete": 1}
    assert document["steps"][0]["address"] == "server:time"
    assert document["steps"][0]["depends_on"] == ["env:time", "volume:time/data"]


def test_what_an_earlier_version_did_not_know_may_be_missing(path: Path) -> None:
    document = json.loads(path.read_bytes())
    for name in ("drifted", "only", "held"):
        del document[name]
    del document["steps"][0]["drift"]
    path.write_text(json.dumps(document))
    plan = read_plan(path).plan
    assert (plan.drifted, plan.only, plan.held) == ((), (), 0)
    assert not plan.steps[0].drift


def test_one_of_a_newer_version_is_refused_by_its_number(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format_version": 2}))
    with pytest.raises(BadPlanFile) as caught:
        read_plan(path)
    assert f"{path} is not a saved plan: its format is 2, not 1" in str(caught.value)
    assert "hatchlock plan --out FILE" in caught.value.hint


def test_one_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadPlanFile) as caught:
        read_plan(tmp_path / "plan.json")
    assert "there is no such file" in str(caught.value)
    with pytest.raises(BadPlanFile, match="it is a directory"):
        read_plan(tmp_path)


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each part of a document."""
    yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        yield from leaves(item, (*way, name))


def changed(document: Any, way: tuple[Any, ...], value: Any) -> Any:
    """Return a document with another value at a place."""
    if not way:
        return value
    *before, last = way
    document = copy.deepcopy(document)
    place = document
    for name in before:
        place = place[name]
    place[last] = value
    return document


ODD: tuple[Any, ...] = (None, True, -1, 1.5, "", "odd", [], ["odd"], [["odd"]], {}, {"odd": 1}, [1], [{}])


def test_whatever_stands_at_any_place_of_it_is_read_or_refused(path: Path) -> None:
    """And what is read can be shown."""
    document = json.loads(path.read_bytes())
    refused = 0
    for way in list(leaves(document)):
        for value in ODD:
            path.write_text(json.dumps(changed(document, way, value)))
            try:
                saved = read_plan(path)
            except BadPlanFile:
                refused += 1
                continue
            assert isinstance(str(saved.plan), str)
            assert isinstance(json.dumps(plan_to_dict(saved.plan)), str)
            assert isinstance(saved.plan.is_mass_removal, bool)
    assert refused > 500


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", "[" * 100_000, '{"format_version": 1}', "\ufffd"])
def test_what_is_no_document_of_ours_is_no_plan(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(BadPlanFile):
        read_plan(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "it has no 'format_version'"),
        ("x", "it is no JSON (Expecting value: line 1 column 1 (char 0))"),
        ("[]", "it has something that no plan has"),
        (b"\xff", "it is not UTF-8"),
    ],
)
def test_why_it_is_none_is_said_in_words(tmp_path: Path, text: str | bytes, why: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadPlanFile) as caught:
        read_plan(path)
    assert str(caught.value) == f"{path} is not a saved plan: {why}"
