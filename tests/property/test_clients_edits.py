"""Edits of clients' files, on documents that nobody has thought of."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.json_object import JsonObject

PLACES = [("mcpServers",), ("servers",), ("mcp",), ("mcp", "servers"), ("amp.mcpServers",), ("context_servers",)]
DIALECTS = st.builds(JsonObject, st.sampled_from(PLACES), form=st.sampled_from(["jsonc", "json5"]))
NAMES = st.text(max_size=6) | st.sampled_from(
    ["files", "notes", "mcpServers", "projects", "servers", "inputs", "$a_1", "été"]
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
JSON = st.recursive(
    SCALARS | st.sampled_from(["// x", "/* y */", '"}', "{", ",", "it's"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries({"command": st.text(max_size=9), "args": st.lists(st.text(max_size=9), max_size=3)})
MEMBERS = st.lists(st.tuples(NAMES, JSON), max_size=3)
OURS = "ours"
Members = list[tuple[str, Any]]


class Writer:
    """Writes values down in any way that an application of a form may accept (by a seed: drawing each blank is slow)."""

    def __init__(self, seed: int, form: str) -> None:
        self.random = Random(seed)
        self.is_json5 = form == "json5"
        newline = self.random.choice(["\n", "\r\n"])
        blanks = [
            *["", "", "", " ", "\t", newline, newline + "  ", newline + "\t"],
            *[" /* c, } */ ", f" // c }}{newline}", f"// c  {newline}  "],
            *(["\v", "\u00a0", "\ufeff", f"\f{newline}\u3000"] if self.is_json5 else []),
        ]
        self.blanks = self.random.choice([blanks, [""], ["", " "], [newline + "  "]])

    def document(self, place: tuple[str, ...], servers: Members, others: list[Members]) -> str:
        bom = self.random.choice(["", "\ufeff"])
        return bom + self.blank() + self.around(place, servers, others) + self.blank()

    def around(self, place: tuple[str, ...], servers: Members, others: list[Members]) -> str:
        """Write an object that has the place in it, and other members before and behind."""
        if not place:
            return self.members([(self.name(name), self.value(item)) for name, item in servers])
        texts = [(self.name(name), self.value(item)) for name, item in others[0] if name != place[0]]
        texts.insert(
            self.random.randint(0, len(texts)), (self.name(place[0]), self.around(place[1:], servers, others[1:]))
        )
        return self.members(texts)

    def members(self, texts: list[tuple[str, str]]) -> str:
        return "{" + self.listed([f"{name}{self.blank()}:{self.blank()}{value}" for name, value in texts]) + "}"

    def listed(self, texts: list[str]) -> str:
        comma = "," + self.blank() if texts and self.coin() else ""
        inner = ",".join(self.blank() + text + self.blank() for text in texts)
        return self.blank() + inner + comma + self.blank()

    def value(self, item: Any) -> str:
        if isinstance(item, dict):
            return self.members([(self.name(name), self.value(each)) for name, each in item.items()])
        if isinstance(item, list):
            return "[" + self.listed([self.value(each) for each in item]) + "]"
        if isinstance(item, str):
            return self.text(item)
        if self.is_json5 and isinstance(item, int) and not isinstance(item, bool) and self.coin():
            return hex(item) if item < 0 else f"+{item:#X}"
        return json.dumps(item)

    def name(self, name: str) -> str:
        is_bare = (name.isidentifier() and name.isalpha()) or name == "$a_1"
        return name if self.is_json5 and is_bare and self.coin() else self.text(name)

    def text(self, item: str) -> str:
        if self.is_json5 and self.coin():
            inside = json.dumps(item)[1:-1].replace('\\"', '"').replace("'", "\\'")
            return f"'{inside}\\\n'" if self.coin() else f"'{inside}'"
        return json.dumps(item, ensure_ascii=self.coin() or not _encodable(item))

    def blank(self) -> str:
        return self.random.choice(self.blanks)

    def coin(self) -> bool:
        return self.random.random() < 0.5


def _encodable(item: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in item)


@st.composite
def files(draw: st.DrawFn) -> tuple[JsonObject, bytes, dict[str, Any]]:
    """Draw a dialect, a file that has the dialect's place, and the entries in it."""
    dialect = draw(DIALECTS)
    servers, *others = draw(st.tuples(*[MEMBERS] * (1 + len(dialect.place))))
    writer = Writer(draw(st.integers(0, 2**32)), dialect.form)
    return dialect, writer.document(dialect.place, servers, others).encode(), dict(servers)


def values(dialect: JsonObject, data: bytes) -> dict[str, Any]:
    return {name: entry.value for name, entry in dialect.read(data).items()}


@settings(max_examples=120, deadline=None)
@given(files(), ENTRY)
def test_add_then_remove_gives_the_same_bytes(
    file: tuple[JsonObject, bytes, dict[str, Any]], entry: dict[str, Any]
) -> None:
    dialect, data, servers = file
    assert values(dialect, data) == servers
    added = dialect.set(data, OURS, entry)
    assert values(dialect, added) == {**servers, OURS: entry}
    assert dialect.remove(added, OURS) == data


@settings(max_examples=100, deadline=None)
@given(files(), ENTRY, st.data())
def test_a_place_that_was_made_goes_on_being_used(
    file: tuple[JsonObject, bytes, dict[str, Any]], entry: dict[str, Any], choice: st.DataObject
) -> None:
    written, data, _ = file
    dialect = JsonObject(
        choice.draw(st.sampled_from([("new",), ("new", "servers"), (*written.place[:-1], "new")])), form=written.form
    )
    added = dialect.set(data, OURS, entry)
    removed = dialect.remove(added, OURS)
    assert (values(dialect, data), values(dialect, added), values(dialect, removed)) == ({}, {OURS: entry}, {})
    assert values(written, removed) == values(written, data)
    rest = iter(removed)
    assert all(byte in rest for byte in data)
    assert dialect.remove(dialect.set(removed, OURS, entry), OURS) == removed


@settings(max_examples=120, deadline=None)
@given(files(), ENTRY, ENTRY)
def test_a_replaced_value_is_all_that_differs(
    file: tuple[JsonObject, bytes, dict[str, Any]], first: dict[str, Any], second: dict[str, Any]
) -> None:
    dialect, before, _ = file
    data = dialect.set(before, OURS, first)
    replaced = dialect.set(data, OURS, second)
    (start, end), (same_start, new_end) = (dialect.read(each)[OURS].span for each in (data, replaced))
    assert same_start == start
    assert (replaced[:start], replaced[new_end:]) == (data[:start], data[end:])
    assert values(dialect, replaced)[OURS] == second


@settings(max_examples=120, deadline=None)
@given(files(), st.data())
def test_any_entry_can_be_removed_and_only_bytes_of_its_own_go(
    file: tuple[JsonObject, bytes, dict[str, Any]], choice: st.DataObject
) -> None:
    dialect, before, servers = file
    data = dialect.set(before, OURS, {"command": "x"})
    entries = {**servers, OURS: {"command": "x"}}
    name = choice.draw(st.sampled_from(sorted(entries)))
    removed = dialect.remove(data, name)
    assert values(dialect, removed) == {other: value for other, value in entries.items() if other != name}
    rest = iter(data)
    assert all(byte in rest for byte in removed)


@settings(max_examples=100, deadline=None)
@given(files(), st.data())
def test_a_renamed_entry_stays_where_it_stands(
    file: tuple[JsonObject, bytes, dict[str, Any]], choice: st.DataObject
) -> None:
    dialect, before, servers = file
    name = choice.draw(st.sampled_from(sorted(servers))) if servers else OURS
    data = before if servers else dialect.set(before, name, {"command": "x"})
    renamed = dialect.rename(data, name, "another name", {"a": 1})
    others = {other: value for other, value in servers.items() if other != name}
    assert values(dialect, renamed) == {**others, "another name": {"a": 1}}


@settings(max_examples=100, deadline=None)
@given(files(), st.data())
def test_a_damaged_file_is_refused_or_still_understood(
    file: tuple[JsonObject, bytes, dict[str, Any]], choice: st.DataObject
) -> None:
    dialect, data, _ = file
    at = choice.draw(st.integers(0, len(data)))
    damaged = data[:at] + choice.draw(st.binary(max_size=2)) + data[at + choice.draw(st.integers(0, 3)) :]
    try:
        before = values(dialect, damaged)
    except Unparsable:
        return
    assert values(dialect, dialect.set(damaged, OURS, {"command": "x"})) == {**before, OURS: {"command": "x"}}
