"""The `mcpServers` dialect on files as people have them (fixtures/clients)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.json_text import Unparsable

MCP_SERVERS = JsonObject(("mcpServers",))
FIXTURES = Path(__file__).parents[2] / "fixtures" / "clients"
GOOD = sorted(FIXTURES.glob("*.json"))
BROKEN = sorted((FIXTURES / "broken").glob("*.json"))
WITHOUT_SERVERS = {"no-servers", "projects-only", "empty-object", "empty-object-bare"}

TIME = {"type": "stdio", "command": "hatchlock", "args": ["run", "time"]}
OTHER = {"command": "other", "args": ["run", "--project", "acme", "time"]}


def values(data: bytes) -> dict[str, object]:
    return {name: entry.value for name, entry in MCP_SERVERS.read(data).items()}


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def without(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + data[end:]


def is_subsequence(part: bytes, whole: bytes) -> bool:
    rest = iter(whole)
    return all(byte in rest for byte in part)


def test_there_are_files_to_test() -> None:
    assert len(GOOD) >= 15
    assert len(BROKEN) >= 10


@each(GOOD)
def test_an_added_entry_is_read_back_and_the_others_stay(path: Path) -> None:
    data = path.read_bytes()
    added = MCP_SERVERS.set(data, "time", TIME)
    assert values(added) == {**values(data), "time": TIME}


@each(GOOD)
def test_adding_only_inserts_bytes(path: Path) -> None:
    data = path.read_bytes()
    assert is_subsequence(data, MCP_SERVERS.set(data, "time", TIME))


@each([path for path in GOOD if path.stem not in WITHOUT_SERVERS])
def test_adding_and_removing_gives_the_same_bytes(path: Path) -> None:
    data = path.read_bytes()
    assert MCP_SERVERS.remove(MCP_SERVERS.set(data, "time", TIME), "time") == data


@each(GOOD)
def test_two_entries_may_go_in_either_order(path: Path) -> None:
    data = MCP_SERVERS.set(path.read_bytes(), "first", TIME)
    both = MCP_SERVERS.set(data, "second", OTHER)
    assert MCP_SERVERS.remove(both, "second") == data
    assert values(MCP_SERVERS.remove(both, "first")) == {**values(path.read_bytes()), "second": OTHER}


@each(GOOD)
def test_replacing_a_value_changes_nothing_around_it(path: Path) -> None:
    data = MCP_SERVERS.set(path.read_bytes(), "time", TIME)
    replaced = MCP_SERVERS.set(data, "time", OTHER)
    before, after = MCP_SERVERS.read(data)["time"].span, MCP_SERVERS.read(replaced)["time"].span
    assert without(data, *before) == without(replaced, *after)
    assert values(replaced)["time"] == OTHER


@each(GOOD)
def test_setting_what_is_there_changes_nothing(path: Path) -> None:
    data = MCP_SERVERS.set(path.read_bytes(), "time", TIME)
    assert MCP_SERVERS.set(data, "time", dict(reversed(TIME.items()))) == data


@each(GOOD)
def test_removing_what_is_not_there_changes_nothing(path: Path) -> None:
    assert MCP_SERVERS.remove(path.read_bytes(), "absent") == path.read_bytes()


@each(GOOD)
def test_any_existing_entry_can_be_removed(path: Path) -> None:
    data = path.read_bytes()
    for name in MCP_SERVERS.read(data):
        removed = MCP_SERVERS.remove(data, name)
        assert values(removed) == {other: value for other, value in values(data).items() if other != name}
        assert is_subsequence(removed, data)


@each([path for path in GOOD if path.stem not in {"bom"} | WITHOUT_SERVERS and "empty" not in path.stem])
def test_spans_name_the_bytes_of_the_value(path: Path) -> None:
    data = path.read_bytes()
    start, end = MCP_SERVERS.read(data)["files"].span
    assert data[start:end].startswith(b"{")
    assert data[start:end].endswith(b"}")


@each(BROKEN)
def test_a_file_that_does_not_parse_is_refused_with_its_place(path: Path) -> None:
    data = path.read_bytes()
    for attempt in (
        lambda: MCP_SERVERS.read(data, path="mcp.json"),
        lambda: MCP_SERVERS.set(data, "time", TIME, path="mcp.json"),
        lambda: MCP_SERVERS.remove(data, "time", path="mcp.json"),
    ):
        with pytest.raises(Unparsable) as caught:
            attempt()
        assert re.match(r"mcp\.json:\d+:\d+: ", str(caught.value))
        assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "line", "column", "why"),
    [
        ("truncated", 4, 1, "a comma or } is expected here"),
        ("merge-conflict", 2, 1, "a name in double quotes is expected here"),
        ("missing-comma", 3, 13, "a comma or } is expected here"),
        ("not-utf8", 2, 22, "it is not UTF-8"),
        ("servers-is-a-list", 2, 17, "mcpServers is no object"),
        ("open-comment", 2, 20, "a comment that starts here does not end"),
        ("text-behind", 2, 1, "something follows the end of the document"),
        ("nan", 1, 7, "'N' starts no JSON value"),
    ],
)
def test_a_refusal_says_where_and_why(name: str, line: int, column: int, why: str) -> None:
    with pytest.raises(Unparsable) as caught:
        MCP_SERVERS.read((FIXTURES / "broken" / f"{name}.json").read_bytes())
    assert (caught.value.line, caught.value.column, caught.value.why) == (line, column, why)


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n"])
def test_an_empty_file_becomes_a_minimal_document(data: bytes) -> None:
    assert MCP_SERVERS.read(data) == {}
    assert MCP_SERVERS.remove(data, "time") == data
    added = MCP_SERVERS.set(data, "time", TIME)
    assert added.startswith(b"\xef\xbb\xbf") == data.startswith(b"\xef\xbb\xbf")
    assert json.loads(added.decode("utf-8-sig")) == {"mcpServers": {"time": TIME}}


def test_a_new_document_is_laid_out_as_people_write_it() -> None:
    assert MCP_SERVERS.set(b"", "time", OTHER).decode() == (
        '{\n  "mcpServers": {\n    "time": {\n      "command": "other",\n      "args": [\n'
        '        "run",\n        "--project",\n        "acme",\n        "time"\n      ]\n    }\n  }\n}\n'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "mcpServers": {\n    "x": {\n      "a": 1\n    }\n  }\n}'),
        ('{"mcpServers":{"y":{}}}', '{"mcpServers":{"y":{},"x":{"a":1}}}'),
        ('{"mcpServers": {"y": {}}}', '{"mcpServers": {"y": {}, "x": {"a": 1}}}'),
        (
            '{\n\t"mcpServers": {\n\t\t"y": {} // y\n\t}\n}',
            '{\n\t"mcpServers": {\n\t\t"y": {}, // y\n\t\t"x": {\n\t\t\t"a": 1\n\t\t}\n\t}\n}',
        ),
        (
            '{\n    "mcpServers": {}\n}',
            '{\n    "mcpServers": {\n        "x": {\n            "a": 1\n        }\n    }\n}',
        ),
        (
            '{\r\n "mcpServers": {\r\n  "y": {},\r\n },\r\n}',
            '{\r\n "mcpServers": {\r\n  "y": {},\r\n  "x": {\r\n   "a": 1\r\n  },\r\n },\r\n}',
        ),
        (
            '{\n  "mcpServers": {\n    // none yet\n  }\n}',
            '{\n  "mcpServers": {\n    // none yet\n    "x": {\n      "a": 1\n    }\n  }\n}',
        ),
        (
            '{"mcpServers": {"y": {} // why\n}}',
            '{"mcpServers": {"y": {}, // why\n"x": {"a": 1}\n}}',
        ),
    ],
)
def test_an_added_entry_looks_like_its_neighbours(before: str, after: str) -> None:
    assert MCP_SERVERS.set(before.encode(), "x", {"a": 1}).decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"mcpServers": {"x": {}, "y": {}}}', '{"mcpServers": { "y": {}}}'),
        ('{"mcpServers": {"y": {}, // c\n "x": {} }}', '{"mcpServers": {"y": {} // c\n  }}'),
        ('{"mcpServers": {"y": {}, // c\n "x": {}, "z": {} }}', '{"mcpServers": {"y": {}, // c\n  "z": {} }}'),
        ('{"mcpServers": {"x": {"a": 1}, "y": {}, "x": {"a": 2}}}', '{"mcpServers": { "y": {}}}'),
        ('{\n  "mcpServers": {\n    "x": {},\n  },\n}', '{\n  "mcpServers": {},\n}'),
        (
            '{\n  "mcpServers": {\n    "x": {} /* mine */,\n    "y": {}\n  }\n}',
            '{\n  "mcpServers": { /* mine */\n    "y": {}\n  }\n}',
        ),
    ],
)
def test_a_removed_entry_takes_only_its_line_and_comma(before: str, after: str) -> None:
    removed = MCP_SERVERS.remove(before.encode(), "x")
    assert removed.decode() == after
    assert "x" not in values(removed)


def test_servers_of_a_project_inside_the_users_file_are_not_ours_to_touch() -> None:
    data = (FIXTURES / "projects-first.json").read_bytes()
    assert "time" not in MCP_SERVERS.read(data)
    changed = json.loads(MCP_SERVERS.set(data, "time", TIME))
    assert changed["projects"] == json.loads(data)["projects"]
    assert MCP_SERVERS.remove(data, "time") == data


def test_of_duplicates_the_last_one_counts() -> None:
    data = (FIXTURES / "duplicates.json").read_bytes()
    assert values(data) == {"files": {"command": "second"}}
    replaced = MCP_SERVERS.set(data, "files", OTHER)
    assert b'"first"' in replaced
    assert b'"second"' not in replaced
    assert json.loads(replaced)["mcpServers"]["files"] == OTHER


def test_a_document_that_would_exhaust_the_stack_is_refused() -> None:
    with pytest.raises(Unparsable, match="nested too deeply"):
        MCP_SERVERS.read(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
