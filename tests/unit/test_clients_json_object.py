"""The JSON dialects on files as people have them (fixtures/clients)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.json_object import JsonObject

MCP_SERVERS = JsonObject(("mcpServers",))
JSON5 = JsonObject(("servers",), form="json5")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "clients"
DIALECTS: Mapping[str, JsonObject] = {
    ".": MCP_SERVERS,
    "amp": JsonObject(("amp.mcpServers",)),
    "cline": MCP_SERVERS,
    "jetbrains-copilot": JSON5,
    "crush": JsonObject(("mcp",)),
    "gemini": MCP_SERVERS,
    "opencode1": JsonObject(("mcp",)),
    "opencode2": JsonObject(("mcp", "servers")),
    "vscode": JsonObject(("servers",)),
    "windsurf": MCP_SERVERS,
    "zed": JsonObject(("context_servers",)),
}
WITHOUT_PLACE = {"no-servers", "projects-only", "empty-object", "empty-object-bare"}


@dataclass(frozen=True)
class Case:
    dialect: JsonObject
    path: Path

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @property
    def has_place(self) -> bool:
        return self.path.stem not in WITHOUT_PLACE and not self.path.stem.startswith("no-place")

    def values(self, data: bytes) -> dict[str, Any]:
        return {name: entry.value for name, entry in self.dialect.read(data).items()}


def cases(below: str = "") -> list[Case]:
    return [
        Case(dialect, path)
        for directory, dialect in DIALECTS.items()
        for path in sorted((FIXTURES / directory / below).glob("*.json*"))
    ]


GOOD = cases()
BROKEN = cases("broken")

TIME = {"type": "stdio", "command": "hatchlock", "args": ["run", "time"]}
OTHER = {"command": "other", "args": ["run", "--project", "acme", "time"]}


def values(data: bytes) -> dict[str, Any]:
    return Case(MCP_SERVERS, FIXTURES).values(data)


def each(chosen: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", chosen, ids=[str(case.path.relative_to(FIXTURES)) for case in chosen])


def without(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + data[end:]


def is_subsequence(part: bytes, whole: bytes) -> bool:
    rest = iter(whole)
    return all(byte in rest for byte in part)


def inside(dialect: JsonObject, text: str) -> str:
    """Write an object at a dialect's place, on one line."""
    for name in reversed(dialect.place):
        text = f"{{{json.dumps(name)}: {text}}}"
    return text


def test_there_are_files_to_test() -> None:
    assert len(GOOD) >= 60
    assert len(BROKEN) >= 30
    assert {case.dialect.place for case in GOOD} == {dialect.place for dialect in DIALECTS.values()}


@each(GOOD)
def test_an_added_entry_is_read_back_and_the_others_stay(case: Case) -> None:
    added = case.dialect.set(case.data, "time", TIME)
    assert case.values(added) == {**case.values(case.data), "time": TIME}


@each(GOOD)
def test_adding_only_inserts_bytes(case: Case) -> None:
    assert is_subsequence(case.data, case.dialect.set(case.data, "time", TIME))


@each([case for case in GOOD if case.has_place])
def test_adding_and_removing_gives_the_same_bytes(case: Case) -> None:
    assert case.dialect.remove(case.dialect.set(case.data, "time", TIME), "time") == case.data


@each([case for case in GOOD if not case.has_place])
def test_a_place_that_was_made_stays_and_nothing_else_does(case: Case) -> None:
    assert case.values(case.data) == {}
    removed = case.dialect.remove(case.dialect.set(case.data, "time", TIME), "time")
    assert removed != case.data
    assert is_subsequence(case.data, removed)
    assert case.values(removed) == {}
    again = case.dialect.set(removed, "time", OTHER)
    assert case.dialect.remove(again, "time") == removed


@each(GOOD)
def test_two_entries_may_go_in_either_order(case: Case) -> None:
    data = case.dialect.set(case.data, "first", TIME)
    both = case.dialect.set(data, "second", OTHER)
    assert case.dialect.remove(both, "second") == data
    assert case.values(case.dialect.remove(both, "first")) == {**case.values(case.data), "second": OTHER}


@each(GOOD)
def test_replacing_a_value_changes_nothing_around_it(case: Case) -> None:
    data = case.dialect.set(case.data, "time", TIME)
    replaced = case.dialect.set(data, "time", OTHER)
    before, after = case.dialect.read(data)["time"].span, case.dialect.read(replaced)["time"].span
    assert without(data, *before) == without(replaced, *after)
    assert case.values(replaced)["time"] == OTHER


@each(GOOD)
def test_setting_what_is_there_changes_nothing(case: Case) -> None:
    data = case.dialect.set(case.data, "time", TIME)
    assert case.dialect.set(data, "time", dict(reversed(TIME.items()))) == data


@each(GOOD)
def test_removing_what_is_not_there_changes_nothing(case: Case) -> None:
    assert case.dialect.remove(case.data, "absent") == case.data


@each([case for case in GOOD if case.values(case.data)])
def test_any_existing_entry_can_be_removed(case: Case) -> None:
    for name in case.dialect.read(case.data):
        removed = case.dialect.remove(case.data, name)
        assert case.values(removed) == {key: value for key, value in case.values(case.data).items() if key != name}
        assert is_subsequence(removed, case.data)


@each([case for case in GOOD if case.values(case.data)])
def test_any_existing_entry_can_have_another_name_where_it_stands(case: Case) -> None:
    for name in case.dialect.read(case.data):
        renamed = case.dialect.rename(case.data, name, "time", TIME)
        expected = [(key, value) if key != name else ("time", TIME) for key, value in case.values(case.data).items()]
        assert list(case.values(renamed).items()) == expected


@each([case for case in GOOD if case.values(case.data)])
def test_spans_name_the_bytes_of_the_value(case: Case) -> None:
    for entry in case.dialect.read(case.data).values():
        start, end = entry.span
        shown = case.data[start:end]
        assert (shown[:1], shown[-1:]) == ((b"n", b"l") if entry.value is None else (b"{", b"}"))


def is_plain(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


@each([case for case in GOOD if is_plain(case.data)])
def test_plain_json_stays_plain_json(case: Case) -> None:
    added = case.dialect.set(case.data, "time", TIME)
    assert is_plain(added)
    assert is_plain(case.dialect.set(added, "time", OTHER))
    assert is_plain(case.dialect.rename(added, "time", "clock", OTHER))
    assert all(is_plain(case.dialect.remove(added, name)) for name in case.dialect.read(added))


@each([case for case in GOOD if case.dialect.form == "jsonc"])
def test_a_json_file_is_read_alike_as_json5(case: Case) -> None:
    as_json5 = JsonObject(case.dialect.place, form="json5")
    assert as_json5.read(case.data) == case.dialect.read(case.data)
    assert as_json5.set(case.data, "time", TIME) == case.dialect.set(case.data, "time", TIME)


@each(BROKEN)
def test_a_file_that_does_not_parse_is_refused_with_its_place(case: Case) -> None:
    for attempt in (
        lambda: case.dialect.read(case.data, path="mcp.json"),
        lambda: case.dialect.set(case.data, "time", TIME, path="mcp.json"),
        lambda: case.dialect.rename(case.data, "time", "clock", TIME, path="mcp.json"),
        lambda: case.dialect.remove(case.data, "time", path="mcp.json"),
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
        ("vscode/unquoted-name", 2, 3, "a name in double quotes is expected here"),
        ("amp/single-quotes", 2, 3, "a name in double quotes is expected here"),
        ("opencode1/servers-is-text", 3, 10, "mcp is no object"),
        ("opencode2/parent-is-a-list", 2, 10, "mcp is no object"),
        ("opencode2/place-is-false", 3, 16, "servers is no object"),
        ("crush/yaml", 1, 1, "'m' starts no JSON value"),
        ("jetbrains-copilot/bad-escape", 3, 18, "the string that starts here is broken"),
        ("jetbrains-copilot/line-break-in-string", 2, 26, "the string that starts here is broken"),
        ("jetbrains-copilot/bare-word", 2, 26, "'n' starts no JSON value"),
        ("jetbrains-copilot/name-starts-with-a-digit", 2, 13, "a name is expected here"),
        ("jetbrains-copilot/comma-only", 1, 2, "a name is expected here"),
        ("jetbrains-copilot/octal", 2, 10, "a comma or } is expected here"),
        ("jetbrains-copilot/open-comment", 1, 15, "a comment that starts here does not end"),
        (
            "jetbrains-copilot/line-separator",
            2,
            31,
            "there is a line separator (U+2028 or U+2029) outside of a string",
        ),
    ],
)
def test_a_refusal_says_where_and_why(name: str, line: int, column: int, why: str) -> None:
    directory, stem = name.rsplit("/", 1) if "/" in name else (".", name)
    [path] = (FIXTURES / directory / "broken").glob(f"{stem}.json*")
    with pytest.raises(Unparsable) as caught:
        DIALECTS[directory].read(path.read_bytes())
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


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_an_empty_file_gets_the_whole_way_to_the_place(dialect: JsonObject) -> None:
    added = dialect.set(b"", "time", TIME)
    assert json.loads(added) == json.loads(inside(dialect, json.dumps({"time": TIME})))
    assert json.loads(dialect.remove(added, "time")) == json.loads(inside(dialect, "{}"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a": 1}', '{"a": 1, "mcp": {"servers": {"x": {"a": 1}}}}'),
        ('{"mcp":{"a":1}}', '{"mcp":{"a":1,"servers":{"x":{"a":1}}}}'),
        ('{"mcp": {}}', '{"mcp": {"servers": {"x": {"a": 1}}}}'),
        (
            '{\n\t"mcp": {}\n}',
            '{\n\t"mcp": {\n\t\t"servers": {\n\t\t\t"x": {\n\t\t\t\t"a": 1\n\t\t\t}\n\t\t}\n\t}\n}',
        ),
        (
            '{\n "mcp": {\n  "timeout": 1, // ms\n },\n}',
            '{\n "mcp": {\n  "timeout": 1, // ms\n  "servers": {\n   "x": {\n    "a": 1\n   }\n  },\n },\n}',
        ),
    ],
)
def test_what_is_missing_of_the_way_is_made_like_its_neighbours(before: str, after: str) -> None:
    dialect = DIALECTS["opencode2"]
    added = dialect.set(before.encode(), "x", {"a": 1})
    assert added.decode() == after
    removed = dialect.remove(added, "x")
    assert dialect.set(removed, "x", {"a": 1}) == added


def test_of_two_ways_the_last_one_counts() -> None:
    dialect = DIALECTS["opencode2"]
    data = b'{"mcp": {"servers": {"x": {}}}, "mcp": {"servers": {"y": {}}, "servers": {"z": {}}}}'
    assert list(dialect.read(data)) == ["z"]
    assert b'"servers": {"x": {}}' in dialect.set(data, "x", TIME)


@each([case for case in GOOD if case.path.parent.name == "vscode"])
def test_what_stands_beside_the_servers_survives(case: Case) -> None:
    def beside(data: bytes) -> dict[str, Any]:
        root = JsonObject(()).read(data)
        return {name: entry.value for name, entry in root.items() if name != "servers"}

    added = case.dialect.set(case.data, "time", TIME)
    assert beside(added) == beside(case.data) == beside(case.dialect.remove(added, "time"))
    assert b"inputs" in added


def test_json5_is_read_as_its_application_reads_it() -> None:
    by_hand = (FIXTURES / "jetbrains-copilot" / "by-hand.json").read_bytes()
    values = {name: entry.value for name, entry in JSON5.read(by_hand).items()}
    assert values == {
        "memory": {
            "type": "stdio",
            "command": "npx",
            "args": ["-y", "@modelcontextprotocol/server-memory"],
            "env": {"MEMORY_FILE_PATH": "/home/o'brien/memory.json", "LIMIT": 1, "MASK": 255, "RATIO": 0.5},
        },
        "with-dash": {
            "url": "https://mcp.example.com/sse",
            "requestInit": {"headers": {"Authorization": "Bearer ${TOKEN}"}},
        },
    }
    strange = (FIXTURES / "jetbrains-copilot" / "strange-blanks.json").read_bytes()
    assert {name: entry.value for name, entry in JSON5.read(strange).items()} == {
        "same": {"command": "x"},
        "été": {"command": "eté"},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31),
        ("-0Xff", -255),
        ("+7", 7),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.e2", -100.0),
        ("+Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("12345678901234567890", 12345678901234567890),
        (r"'\x41\u0042\v\0\q\''", "AB\v\0q'"),
        (r"'\ud83d\ude00'", "😀"),
        (r"'\ud83d'", "\ud83d"),
        ("'a\\\r\nb\\\nc'", "abc"),
        ("'a\tb\u2028'", "a\tb\u2028"),
        ("'\"'", '"'),
        ("[1,'a',]", [1, "a"]),
        (r"{$_: 1, \u0061b: 2, true: 3, ℵ0: 4, a\u200d: 5}", {"$_": 1, "ab": 2, "true": 3, "ℵ0": 4, "a\u200d": 5}),
    ],
)
def test_json5_has_more_values(text: str, value: object) -> None:
    assert JSON5.read(f"{{servers: {{x: {text}}}}}".encode())["x"].value == value


def test_not_a_number_is_one() -> None:
    assert math.isnan(JSON5.read(b"{servers: {x: +NaN}}")["x"].value)


@pytest.mark.parametrize(
    "text",
    [
        *["01", "0x", "1_0", ".", "+", "--1", "+ 1", "truex", "undefined", "1" * 5000, "1\u2028", "1\x85"],
        *[r"'\1'", r"'\08'", r"'\x4'", r"'\u12'", "'\n'"],
        *["{a-b: 1}", "{²: 1}", "{\u0301a: 1}", r"{\u0020: 1}", "{,}", "[,]", "[1,,]", "{a: 1 b: 2}"],
    ],
)
def test_what_is_not_json5_is_refused(text: str) -> None:
    with pytest.raises(Unparsable):
        JSON5.read(f"{{servers: {{x: {text}}}}}".encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{servers:{y:{}}}", '{servers:{y:{},"x":{"a":1}}}'),
        ("{servers: {'y': {}, }, }", '{servers: {\'y\': {}, "x": {"a": 1}, }, }'),
        (
            "{\n  servers: {\n    y: {}, // y\n  },\n}",
            '{\n  servers: {\n    y: {}, // y\n    "x": {\n      "a": 1\n    },\n  },\n}',
        ),
    ],
)
def test_what_is_added_to_json5_is_json(before: str, after: str) -> None:
    added = JSON5.set(before.encode(), "x", {"a": 1})
    assert added.decode() == after
    assert JSON5.remove(added, "x").decode() == before


def test_a_name_without_quotes_gets_some_with_another_name() -> None:
    renamed = JSON5.rename(b"{servers: {y: {}, /* b */ before: {a: 1}, z: {}}}", "before", "after", {"a": 2})
    assert renamed == b'{servers: {y: {}, /* b */ "after": {"a": 2}, z: {}}}'


def test_a_json5_document_that_would_exhaust_the_stack_is_refused() -> None:
    with pytest.raises(Unparsable, match="nested too deeply"):
        JSON5.read(b"{a:" + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_a_document_full_of_comments_is_read_like_one_without() -> None:
    projects = {f"p{number}": [{"n": number}, []] for number in range(150)}
    text = json.dumps({"projects": projects, "mcpServers": {"x": projects}}, indent=1)
    commented = text.replace("[]", "[ // none\n]")
    assert values(commented.encode()) == {"x": projects}
