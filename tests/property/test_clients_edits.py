"""Edits of clients' files, on documents that nobody has thought of."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.json_text import Unparsable

MCP_SERVERS = JsonObject(("mcpServers",))
NAMES = st.text(max_size=6) | st.sampled_from(["files", "notes", "mcpServers", "projects"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
JSON = st.recursive(
    SCALARS | st.sampled_from(["// x", "/* y */", '"}', "{", ","]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries({"command": st.text(max_size=9), "args": st.lists(st.text(max_size=9), max_size=3)})
OURS = "ours"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a document with `mcpServers`, laid out in any way that an application may accept."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    blanks = [
        "",
        "",
        "",
        " ",
        "\t",
        newline,
        newline + "  ",
        newline + "\t",
        " /* c, } */ ",
        f" // c }}{newline}",
        f"// c  {newline}  ",
    ]
    blank = st.sampled_from(draw(st.sampled_from([blanks, [""], ["", " "], [newline + "  "]])))

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return members(list(item.items()))
        if isinstance(item, list):
            return "[" + listed([value(each) for each in item]) + "]"
        return json.dumps(item, ensure_ascii=draw(st.booleans())) if _encodable(item) else json.dumps(item)

    def members(items: list[tuple[str, Any]]) -> str:
        return "{" + listed([f"{value(name)}{draw(blank)}:{draw(blank)}{value(item)}" for name, item in items]) + "}"

    def listed(texts: list[str]) -> str:
        comma = "," + draw(blank) if draw(st.booleans()) and texts else ""
        return draw(blank) + ",".join(draw(blank) + text + draw(blank) for text in texts) + comma + draw(blank)

    others = draw(st.lists(st.tuples(NAMES.filter(lambda name: name != "mcpServers"), JSON), max_size=3))
    servers = draw(st.lists(st.tuples(NAMES, JSON), max_size=3))
    place = draw(st.integers(0, len(others)))
    items: list[tuple[str, Any]] = [*others[:place], ("mcpServers", None), *others[place:]]
    inside = members(servers)
    texts = [
        f"{value(name)}:{draw(blank)}{inside if item is None and name == 'mcpServers' else value(item)}"
        for name, item in items
    ]
    bom = draw(st.sampled_from(["", "\ufeff"]))
    return bom + draw(blank) + "{" + listed(texts) + "}" + draw(blank)


def _encodable(item: Any) -> bool:
    return not isinstance(item, str) or not any(0xD800 <= ord(character) <= 0xDFFF for character in item)


def values(data: bytes) -> dict[str, Any]:
    return {name: entry.value for name, entry in MCP_SERVERS.read(data).items()}


@settings(max_examples=150, deadline=None)
@given(documents(), ENTRY)
def test_add_then_remove_gives_the_same_bytes(text: str, entry: dict[str, Any]) -> None:
    data = text.encode()
    added = MCP_SERVERS.set(data, OURS, entry)
    assert values(added) == {**values(data), OURS: entry}
    assert MCP_SERVERS.remove(added, OURS) == data


@settings(max_examples=150, deadline=None)
@given(documents(), ENTRY, ENTRY)
def test_a_replaced_value_is_all_that_differs(text: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    data = MCP_SERVERS.set(text.encode(), OURS, first)
    replaced = MCP_SERVERS.set(data, OURS, second)
    (start, end), (same_start, new_end) = (MCP_SERVERS.read(each)[OURS].span for each in (data, replaced))
    assert same_start == start
    assert (replaced[:start], replaced[new_end:]) == (data[:start], data[end:])
    assert values(replaced)[OURS] == second


@settings(max_examples=150, deadline=None)
@given(documents(), st.data())
def test_any_entry_can_be_removed_and_only_bytes_of_its_own_go(text: str, choice: st.DataObject) -> None:
    data = MCP_SERVERS.set(text.encode(), OURS, {"command": "x"})
    name = choice.draw(st.sampled_from(sorted(MCP_SERVERS.read(data))))
    removed = MCP_SERVERS.remove(data, name)
    assert values(removed) == {other: value for other, value in values(data).items() if other != name}
    rest = iter(data)
    assert all(byte in rest for byte in removed)


@settings(max_examples=100, deadline=None)
@given(documents(), st.data())
def test_a_damaged_file_is_refused_or_still_understood(text: str, choice: st.DataObject) -> None:
    data = text.encode()
    at = choice.draw(st.integers(0, len(data)))
    damaged = data[:at] + choice.draw(st.binary(max_size=2)) + data[at + choice.draw(st.integers(0, 3)) :]
    try:
        before = values(damaged)
    except Unparsable:
        return
    assert values(MCP_SERVERS.set(damaged, OURS, {"command": "x"})) == {**before, OURS: {"command": "x"}}
