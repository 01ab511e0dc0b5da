"""What Debian packages say of each other."""

from __future__ import annotations

import pytest

from hatchlock.sources.debian.relations import BadRelation, parse_provides, parse_relations
from hatchlock.sources.debian.versions import DebVersion


def read(text: str, architecture: str = "amd64") -> list[list[str]]:
    return [[str(relation) for relation in group] for group in parse_relations(text, architecture)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("libc6 (>= 2.36), zlib1g", [["libc6 (>= 2.36)"], ["zlib1g"]]),
        ("exim4 | mail-transport-agent,\n perl:any (>=5)", [["exim4", "mail-transport-agent"], ["perl:any (>= 5)"]]),
        ("a1 (< 2), b1 (> 3)", [["a1 (<= 2)"], ["b1 (>= 3)"]]),
        ("a1 [amd64 arm64], b1 [!amd64], c1 [arm64] | d1", [["a1"], ["d1"]]),
        ("a1 [linux-any], b1 [any-amd64]", [["a1"], ["b1"]]),
        ("a1 <!nocheck>, b1 <cross>, c1 <cross> <!nodoc>", [["a1"], ["c1"]]),
        ("a1,, b1,", [["a1"], ["b1"]]),
    ],
)
def test_relations_are_read_as_the_policy_writes_them(text: str, found: list[list[str]]) -> None:
    assert read(text) == found


def test_without_an_architecture_nothing_is_left_out() -> None:
    assert read("a1 [arm64], b1", "") == [["a1"], ["b1"]]


@pytest.mark.parametrize("text", ["a1 (>= )", "a1 (~ 1)", "a1 (>= 1", "a b", "a1 (>= 1_2)", "=1"])
def test_what_is_no_relation_is_refused(text: str) -> None:
    with pytest.raises(BadRelation):
        parse_relations(text)


def test_a_bound_asks_for_a_version_and_a_plain_name_for_none() -> None:
    bound, plain = (group[0] for group in parse_relations("a1 (>= 1), b1"))
    assert bound.allows(DebVersion.parse("1-1"))
    assert not bound.allows(DebVersion.parse("1~"))
    assert not bound.allows(None)
    assert plain.allows(None)


def test_provided_names_may_have_an_exact_version() -> None:
    found = parse_provides("awk, libfoo (= 2:1.2)")
    assert [(item.name, str(item.version or "")) for item in found] == [("awk", ""), ("libfoo", "2:1.2")]


@pytest.mark.parametrize("text", ["a1 (>= 1)", "a1 | b1"])
def test_provided_names_have_no_bounds_and_no_alternatives(text: str) -> None:
    with pytest.raises(BadRelation):
        parse_provides(text)
