"""Other tools' files as values with lines: the same walk over JSON, TOML and YAML, and what is broken has its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hatchlock.migrate import json_lines, toml_lines, yaml_lines
from hatchlock.migrate.document import Document, Unreadable

Load = Callable[..., Document]

JSON = b"""\xef\xbb\xbf{
  // a comment
  "name": "one",
  "servers": [
    {"command": "a",
     "args": ["x", "y"]},
    {"command": "b", "env": {
      "KEY": "v"
    }},
  ]
}
"""
TOML = b"""name = "one"
[[servers]]
command = "a"
args = [
  "x",
  "y",
]
[[servers]]
command = "b"
env.KEY = "v"
"""
YAML = b"""\
name: one
servers:
- command: a
  args:
    - x
    - "y"
- command: b
  env: {KEY: v}
"""


@pytest.mark.parametrize(
    ("load", "data", "lines"),
    [
        (json_lines.load, JSON, [3, 4, 5, 6, 6, 7, 8]),
        (toml_lines.load, TOML, [1, 2, 2, 4, 6, 8, 10]),
        (yaml_lines.load, YAML, [1, 2, 3, 4, 6, 7, 8]),
    ],
    ids=["json", "toml", "yaml"],
)
def test_every_form_gives_the_same_values_and_their_lines(load: Load, data: bytes, lines: list[int]) -> None:
    document = load(data, file="f")
    assert document.value == {
        "name": "one",
        "servers": [{"command": "a", "args": ["x", "y"]}, {"command": "b", "env": {"KEY": "v"}}],
    }
    first, second = document.root.need("servers").each()
    parts = [
        document.root.need("name"),
        document.root.need("servers"),
        first,
        first.need("args"),
        list(first.need("args").each())[1],
        second,
        second.need("env").need("KEY"),
    ]
    assert [part.line for part in parts] == lines


@pytest.mark.parametrize(
    ("load", "data", "shown"),
    [
        (json_lines.load, b'{\n "a": \n}', "f:3: it is no JSON: '}' starts no JSON value"),
        (toml_lines.load, b"a = 1\nb =\n", "f:2: it is not valid TOML: invalid value"),
        (yaml_lines.load, b"a: 1\nb: [1\n", "f:3: it is no YAML: expected ',' or ']', but got '<stream end>'"),
        (yaml_lines.load, b"- a\n", "f:1: its root is no mapping"),
        (json_lines.load, b'{"a":\n "\xff"}', "f:2: it is not UTF-8"),
        (yaml_lines.load, b"a: &x 1\nb:\n  <<: *x\n", "f:3: `<<` can merge mappings only"),
        (yaml_lines.load, b"# " + b"a" * (4 << 20), "f:1: it is larger than 4194304 bytes"),
        (toml_lines.load, b"a" + b".a" * 30000 + b"=1", "f:1: it is nested too deeply"),
    ],
)
def test_what_is_broken_has_a_place(load: Load, data: bytes, shown: str) -> None:
    with pytest.raises(Unreadable) as problem:
        load(data, file="f")
    assert f"{problem.value.place}: {problem.value}" == shown
    assert problem.value.hint


def test_aliases_and_merges_of_yaml_are_followed() -> None:
    document = yaml_lines.load(
        b"""\
x-base: &base
  image: a
  env: &env {A: "1"}
x-more: &more
  image: b
  tty: true
one:
  <<: [*base, *more]
  env:
    B: "2"
two:
  env: *env
  <<: *more
  image: own
""",
        file="f",
    )
    assert document.value["one"] == {"env": {"B": "2"}, "image": "a", "tty": True}
    assert document.value["two"] == {"env": {"A": "1"}, "image": "own", "tty": True}
    assert document.root.need("one").need("tty").line == 6
    assert document.root.need("two").need("image").line == 14


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    levels = [b"a: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    levels += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)]
    with pytest.raises(Unreadable, match="aliases stand for too much"):
        yaml_lines.load(b"\n".join(levels), file="f")


def test_a_value_of_another_kind_is_refused_with_its_path() -> None:
    part = json_lines.load(b'{"a": {\n"b": [1]}}', file="f").root.need("a").need("b")
    for ask in (part.table, part.text, part.flag, lambda: part.get("c")):
        with pytest.raises(Unreadable, match=r"^a\.b: it must be "):
            ask()
    with pytest.raises(Unreadable) as problem:
        part.need("c")
    assert str(problem.value.place) == "f:2"


def test_numbers_are_texts_as_they_would_be_written() -> None:
    root = yaml_lines.load(b"a: 1\nb: true\nc: [x, 2.5]\nd: one\n", file="f").root
    assert [root.need(key).text() for key in "ab"] == ["1", "true"]
    assert root.need("c").texts() == ("x", "2.5")
    assert root.need("d").texts() == ("one",)
