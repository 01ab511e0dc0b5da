"""Tool definition hash version 1, against the vectors that its authors publish."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.surface import (
    SurfaceRules,
    Unhashable,
    definition_hash,
    instructions_hash,
    parse_marked,
    parse_strictly,
    set_hash,
    shown,
    value_hash,
)
from support.values import DEFINITIONS

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "surfaces" / "tool-definition-hash-v1-vectors.json").read_text()
)


def listing_hash(pages: list[str]) -> str:
    listed = chain.from_iterable(parse_strictly(page) for page in pages)
    return set_hash((item["name"], definition_hash(item)) for item in listed if definition_hash(item))


@pytest.mark.parametrize("vector", VECTORS["definitions"], ids=lambda vector: vector["about"])
def test_a_definition_has_the_published_hash(vector: dict[str, Any]) -> None:
    # some are no tools: the canonical form alone is what they are about
    assert value_hash(parse_strictly(vector["input"])) == vector["hash"]


@pytest.mark.parametrize("vector", VECTORS["sets"], ids=lambda vector: vector["about"])
def test_a_listing_has_the_published_hash(vector: dict[str, Any]) -> None:
    assert listing_hash(vector["pages"]) == vector["setHash"]


@pytest.mark.parametrize("vector", VECTORS["instructions"], ids=lambda vector: vector["about"])
def test_instructions_have_the_published_hash(vector: dict[str, Any]) -> None:
    assert instructions_hash(vector["instructions"]) == (vector["hash"] or "")


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["about"])
def test_what_has_no_canonical_form_has_no_hash(vector: dict[str, Any]) -> None:
    pages = vector["pages"] if "pages" in vector else [f"[{vector['input']}]"]
    with pytest.raises(Unhashable):
        listing_hash(pages)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "[" * 100_000 + "]" * 100_000])
def test_what_no_two_readers_agree_on_has_no_hash(text: str) -> None:
    with pytest.raises(Unhashable):
        value_hash(parse_strictly(text))


def test_half_a_character_is_hashed_as_the_recipe_names_it() -> None:
    assert instructions_hash("\ud800") == instructions_hash("\ufffd")
    assert set_hash([("\udead", "0" * 64)]) == set_hash([("\ufffd", "0" * 64)])
    assert definition_hash({"name": "\ud800"}) != definition_hash({"name": "\ufffd"})


def turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(DEFINITIONS)
def test_the_order_of_members_does_not_count(definition: dict[str, Any]) -> None:
    assert definition_hash(turned(definition)) == definition_hash(definition)


@given(DEFINITIONS, st.data())
def test_every_member_counts(definition: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(definition)))
    others = [
        {**definition, name: f"{definition[name]}!"},
        {**definition, f"{name}!": 1},
        {key: value for key, value in definition.items() if key != name or key == "name"} | {"!": 0},
    ]
    assert definition_hash(definition) not in map(definition_hash, others)


@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["0" * 64, "1" * 64])), max_size=5), st.randoms())
def test_the_order_of_a_listing_does_not_count(listed: list[tuple[str, str]], random: Any) -> None:
    mixed = list(listed)
    random.shuffle(mixed)
    assert set_hash(mixed) == set_hash(listed)
    assert set_hash([*listed, ("new", "2" * 64)]) != set_hash(listed)


@given(st.text())
def test_whatever_is_shown_is_one_line_that_moves_nothing(text: str) -> None:
    assert shown(text).isprintable()


def test_two_texts_are_never_shown_alike() -> None:
    assert shown("a\u202eb") == "a\\u202eb"
    assert shown("a\\u202eb") == "a\\\\u202eb"


def test_what_is_denied_goes_before_what_is_allowed() -> None:
    rules = SurfaceRules(allow=("get_*", "put"), deny=("get_secret*",))
    assert [rules.permits(name) for name in ("get_time", "put", "get_secrets", "delete")] == [True, True, False, False]
    assert SurfaceRules().permits("anything")
    withheld = [rules.withheld_by(name) for name in ("get_time", "put", "get_secrets", "delete")]
    assert withheld == ["", "", "deny", "allow"]


def test_a_rule_that_matches_no_tool_is_named_and_a_pattern_of_what_may_come_is_none() -> None:
    rules = SurfaceRules(allow=("get_*", "put", "set_*"), deny=("get_secret*", "gte_key", "get_key"))
    assert rules.unmatched(["get_time", "get_key"]) == (("allow", "put"), ("allow", "set_*"), ("deny", "gte_key"))
    assert SurfaceRules().unmatched(["get_time"]) == ()


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_how_deep_a_definition_may_be_does_not_depend_on_who_asks(opens: str, closes: str) -> None:
    def hashed(levels: int, frames: int) -> str:
        if frames:
            return hashed(levels, frames - 1)
        return definition_hash(parse_marked(f'{{"name":"x","deep":{opens * levels}1{closes * levels}}}'))

    assert hashed(98, 0) == hashed(98, 300)
    for frames in (0, 300):
        with pytest.raises(Unhashable, match="nested too deeply"):
            hashed(99, frames)
