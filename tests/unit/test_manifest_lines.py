from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.manifest.lines import line_of, lines, statements
from hatchlock.manifest.problem import KeyPath

NASTY = '''\
# a comment = 1
top = "x" # = "y"
dotted.a."b.c" = 1
"quoted \\u0041 key" = 2
'literal "key"' = 3

[ servers . time ]   # spaces
text = """
[not.a.header]
key = 1 \\"""
"""
raw = \'\'\'
[nor.this]''\'\'\'
many = [
  1, # one ] }
  "two ]", [3, 4],
  { a = 5, b = { c = "}" } },

  2026-01-01 07:00:00,
]
moment = 1979-05-27 07:32:00
inline = { x = 1, y.z = [1,
 2] }

[[tools]]
name = "a"
[[tools.parts]]
p = 1
[[tools.parts]]
p = 2
[tools.parts.deep]
q = 3
[[tools]]
name = "b"
[tools.sub]
r = 4

[servers.time.env]
LAST = 'x'
'''


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("dotted", "a", "b.c"), 3),
        (("quoted A key",), 4),
        (('literal "key"',), 5),
        (("servers", "time"), 7),
        (("servers", "time", "text"), 8),
        (("servers", "time", "raw"), 12),
        (("servers", "time", "many", 0), 15),
        (("servers", "time", "many", 1), 16),
        (("servers", "time", "many", 2, 1), 16),
        (("servers", "time", "many", 3, "b", "c"), 17),
        (("servers", "time", "many", 4), 19),
        (("servers", "time", "moment"), 21),
        (("servers", "time", "inline", "y", "z", 1), 23),
        (("tools", 0), 25),
        (("tools", 0, "parts", 1, "p"), 30),
        (("tools", 0, "parts", 1, "deep", "q"), 32),
        (("tools", 1, "name"), 34),
        (("tools", 1, "sub", "r"), 36),
        (("servers", "time", "env", "LAST"), 39),
    ],
)
def test_the_line_of_a_key_is_where_it_is_written(path: KeyPath, line: int) -> None:
    assert line_of(NASTY, path) == line


def test_every_key_of_a_nasty_document_is_found() -> None:
    assert set(paths(tomllib.loads(NASTY))) <= set(lines(NASTY))


def test_a_key_that_is_not_there_has_the_line_of_its_table() -> None:
    assert line_of(NASTY, ("servers", "time", "env", "GONE", "x")) == 38
    assert line_of(NASTY, ("nothing",)) == 1


def test_a_table_that_is_declared_after_its_sub_table_has_its_own_line() -> None:
    assert line_of("[a.b]\nx = 1\n[a]\ny = 1\n", ("a",)) == 3


def test_statements_know_where_they_end() -> None:
    found = {item.path: (item.first, item.last, item.header) for item in statements(NASTY)}

    assert found["servers", "time"] == (7, 7, True)
    assert found["servers", "time", "text"] == (8, 11, False)
    assert found["servers", "time", "many"] == (14, 20, False)


def test_windows_line_ends_count_once() -> None:
    assert line_of("a = 1\r\n\r\n[b]\r\nc = 2\r\n", ("b", "c")) == 4


KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_every_key_of_any_document_is_found(document: dict[str, Any]) -> None:
    text = tomlkit.dumps(document)
    read = tomllib.loads(text)

    assert set(paths(read)) <= set(lines(text))
