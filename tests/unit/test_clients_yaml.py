"""The dialects of Goose and Continue on files as people, and the two applications, write them (fixtures/clients/yaml)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hatchlock.clients import yaml_servers
from hatchlock.clients.dialect import Dialect
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.shape import Address, Shape, Start, UrlShape
from hatchlock.clients.writer import entry_digest
from hatchlock.clients.yaml_servers import YamlServers

GOOSE = YamlServers("extensions")
CONTINUE = YamlServers("mcpServers", is_list=True, head={"name": "Local Config", "version": "1.0.0", "schema": "v1"})
DIALECTS: dict[str, Dialect] = {"goose": GOOSE, "continue": CONTINUE}
SECTIONS = {"extensions", "mcpServers"}
FIXTURES = Path(__file__).parents[2] / "fixtures" / "clients" / "yaml"
GOOD = {
    path.relative_to(FIXTURES).as_posix(): path for name in DIALECTS for path in sorted((FIXTURES / name).glob("*"))
}
BROKEN = {path.stem: path for path in sorted((FIXTURES / "broken").glob("*"))}
NOTHING_YET = {
    *("goose/null.yaml", "goose/null-word.yaml", "goose/no-servers.yaml", "goose/no-servers-indented.yaml"),
    *("goose/only-comments.yaml", "goose/only-a-marker.yaml"),
    *("continue/null.yaml", "continue/no-servers.yaml", "continue/empty.yaml", "continue/blank.yaml"),
}
"""Files in which a removed entry leaves an empty mapping or list behind."""
TIED = {("goose/anchors-elsewhere.yaml", "files")}

OURS = {"enabled": True, "cmd": "hatchlock", "args": ["run", "clock"], "envs": {}, "timeout": 300}
OTHER = {
    "cmd": "/opt/a b/hatchlock",
    "args": ["run", '"\\\n\t#é\u2028\ufeff🦆: '],
    "env": {"A.B": "1", "on": ""},
    "x": None,
}

STARTED = Start(command="/store/bin/hatchlock", args=("run", "clock"), env={"A": "no", "B": "0o7", "C": "2001-01-01"})
CONNECTED = Address(url="https://example.invalid/mcp", headers={"X-Key": "k"})
SHAPES = {
    "goose": Shape(
        command="cmd",
        env="envs",
        cwd="",
        fixed={"enabled": True, "type": "stdio"},
        http=UrlShape(url="uri", fixed={"enabled": True, "type": "streamable_http", "description": ""}),
    ),
    "continue": Shape(http=UrlShape(fixed={"type": "streamable-http"}), sse=UrlShape(fixed={"type": "sse"})),
}


def values(dialect: Dialect, data: bytes) -> dict[str, Any]:
    return {name: entry.value for name, entry in dialect.read(data).items()}


def others(data: bytes) -> list[Any]:
    """Return what PyYAML's own composer finds beside the servers."""
    root: Any = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    return [(key.value, yaml.serialize(node)) for key, node in root.value if key.value not in SECTIONS]


def without(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + data[end:]


def is_subsequence(part: bytes, whole: bytes) -> bool:
    rest = iter(whole)
    return all(byte in rest for byte in part)


each_good = pytest.mark.parametrize(
    ("name", "dialect", "data"),
    [(name, DIALECTS[name.partition("/")[0]], path.read_bytes()) for name, path in GOOD.items()],
    ids=list(GOOD),
)
each_broken = pytest.mark.parametrize("data", [path.read_bytes() for path in BROKEN.values()], ids=list(BROKEN))
each_dialect = pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))


def test_there_are_files_to_test() -> None:
    assert len(GOOD) >= 30
    assert len(BROKEN) >= 18


@each_good
def test_an_added_entry_is_read_back_and_the_others_stay(name: str, dialect: Dialect, data: bytes) -> None:
    for value in (OURS, OTHER):
        added = dialect.set(data, "clock", value)
        assert values(dialect, added) == {**values(dialect, data), "clock": value}
        if b"cmd" in data or b"command" in data:
            assert others(added) == others(data)


@each_good
def test_adding_only_inserts_bytes(name: str, dialect: Dialect, data: bytes) -> None:
    added = dialect.set(data, "clock", OURS)
    assert is_subsequence(data.replace(b" ~", b"").replace(b": {} ", b": ").replace(b": []", b":"), added)
    assert (b"\r\n" in added) == (b"\r\n" in data)
    assert not re.search(rb"(?<!\r)\n", added) or b"\r" not in added


@each_good
def test_adding_and_removing_gives_the_same_bytes(name: str, dialect: Dialect, data: bytes) -> None:
    removed = dialect.remove(dialect.set(data, "clock", OURS), "clock")
    if name in NOTHING_YET:
        assert values(dialect, removed) == {}
        assert re.search(rb"(extensions: {}|mcpServers: \[\])", removed)
        assert dialect.remove(dialect.set(removed, "clock", OURS), "clock") == removed
    else:
        assert removed == data


@each_good
def test_two_entries_may_go_in_either_order(name: str, dialect: Dialect, data: bytes) -> None:
    first = dialect.set(data, "first", OURS)
    both = dialect.set(first, "second", OTHER)
    assert dialect.remove(both, "second") == first
    assert values(dialect, dialect.remove(both, "first")) == {**values(dialect, data), "second": OTHER}


@each_good
def test_replacing_a_value_changes_nothing_around_it(name: str, dialect: Dialect, data: bytes) -> None:
    added = dialect.set(data, "clock", OURS)
    replaced = dialect.set(added, "clock", OTHER)
    assert without(added, *dialect.read(added)["clock"].span) == without(
        replaced, *dialect.read(replaced)["clock"].span
    )
    assert values(dialect, replaced)["clock"] == OTHER
    assert dialect.set(replaced, "clock", OURS) == added


@each_good
def test_setting_what_is_there_and_removing_what_is_not_change_nothing(
    name: str, dialect: Dialect, data: bytes
) -> None:
    added = dialect.set(data, "clock", OURS)
    assert dialect.set(added, "clock", dict(reversed(OURS.items()))) == added
    assert dialect.remove(data, "absent") == data


@each_good
def test_a_renamed_entry_stays_where_it_stands(name: str, dialect: Dialect, data: bytes) -> None:
    both = dialect.set(dialect.set(data, "clock", OURS), "last", OTHER)
    renamed = dialect.rename(both, "clock", "a new name", OTHER)
    assert list(dialect.read(renamed)) == [*dialect.read(data), "a new name", "last"]
    assert dialect.rename(renamed, "a new name", "clock", OURS) in {both, both.replace(b"clock:", b'"clock":')}


@each_good
def test_any_entry_can_be_replaced_renamed_and_removed(name: str, dialect: Dialect, data: bytes) -> None:
    before = values(dialect, data)
    for entry in before:
        if (name, entry) in TIED:
            continue
        rest = {other: value for other, value in before.items() if other != entry}
        removed = dialect.remove(data, entry)
        assert values(dialect, removed) == rest
        assert is_subsequence(removed.replace(b" {}", b"").replace(b" []", b""), data)
        assert values(dialect, dialect.set(data, entry, OURS)) == {**before, entry: OURS}
        assert values(dialect, dialect.rename(data, entry, "fresh", OTHER)) == {**rest, "fresh": OTHER}


@each_broken
@each_dialect
def test_a_file_that_is_not_understood_is_refused_with_its_place(dialect: Dialect, data: bytes) -> None:
    for attempt in (
        lambda: dialect.read(data, path="config.yaml"),
        lambda: dialect.set(data, "clock", OURS, path="config.yaml"),
        lambda: dialect.remove(data, "clock", path="config.yaml"),
    ):
        with pytest.raises(Unparsable) as caught:
            attempt()
        assert re.match(r"config\.yaml:\d+:\d+: ", str(caught.value))
        assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "line", "column", "why"),
    [
        ("tab-indent", 2, 1, "it is no YAML: found character '\\t' that cannot start any token"),
        ("two-documents", 2, 1, "it holds more than one document"),
        ("duplicate-key", 3, 3, "this key is there twice"),
        ("root-is-a-list", 1, 1, "its root is no mapping"),
        ("servers-is-text", 1, 13, "extensions is no mapping"),
        ("not-utf8", 2, 17, "it is not UTF-8"),
        ("unknown-alias", 1, 21, "*nowhere stands for nothing that is complete before it"),
        ("alias-of-itself", 1, 8, "*a stands for nothing that is complete before it"),
        ("servers-is-an-alias", 3, 13, "extensions is no mapping"),
        ("merged-root", 2, 1, "extensions may be merged from elsewhere here, and applications differ on that"),
        ("line-separator", 1, 6, "the versions of YAML differ on this character"),
        ("too-much-by-aliases", 6, 4, "its aliases stand for too much"),
    ],
)
def test_a_refusal_says_where_and_why(name: str, line: int, column: int, why: str) -> None:
    with pytest.raises(Unparsable) as caught:
        GOOSE.read(BROKEN[name].read_bytes())
    assert (caught.value.line, caught.value.column, caught.value.why) == (line, column, why)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &x 1\nextensions:\n  files:\n    cmd: *x\n", 4),
        ("extensions:\n  files: &f\n    cmd: x\nb: *f\n", 2),
        ("a: &x {}\nextensions:\n  files:\n    <<: *x\n", 4),
        ("extensions: &e\n  files:\n    cmd: x\nb: *e\n", 1),
    ],
)
def test_an_entry_that_is_tied_to_others_is_read_but_not_edited(text: str, line: int) -> None:
    data = text.encode()
    assert "files" in GOOSE.read(data)
    attempts: list[Callable[[], bytes]] = [
        lambda: GOOSE.set(data, "files", OURS),
        lambda: GOOSE.rename(data, "files", "clock", OURS),
        lambda: GOOSE.remove(data, "files"),
    ]
    for attempt in attempts:
        with pytest.raises(Unparsable, match="ties the entry to others") as caught:
            attempt()
        assert caught.value.line == line


def test_words_mean_what_they_mean_to_the_applications() -> None:
    value = values(GOOSE, GOOD["goose/scalars.yaml"].read_bytes())["files"]
    assert value == {
        "cmd": "on",
        "no": 7,
        "dates": ["2001-12-14", "12:30:45", "1_000", "0b11", 1000.0, 0.5, 31, 10],
        "words": ["yes", "No", "OFF", "y", True, False, None, None, ".inf", None],
        "quoted": ["true", "null", "12"],
        "tagged": "12",
        "own": "13",
        "text": "two\n  lines",
        "folded": "kept\n\n\n",
    }


@each_dialect
def test_what_is_written_means_the_same_in_both_versions_of_yaml(dialect: Dialect) -> None:
    words = ["on", "no", "y", "~", "", "0o7", "010", "1e3", "2001-12-14", "12:30:45", "1_000", "null", "=", "<<", "- a"]
    value = {"words": words, **dict.fromkeys(words, "x"), "n": [1, -1.5, 1e100, 1e-7, True, None]}
    data = dialect.set(b"", "clock", value)
    assert values(dialect, data)["clock"] == value
    servers = next(item for item in yaml.safe_load(data).values() if not isinstance(item, str))
    assert {"name": "clock", **value} in (servers if isinstance(servers, list) else [*servers.values()])


@pytest.mark.parametrize("server", [STARTED, CONNECTED], ids=["started", "connected"])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_server_is_read_as_it_was_written(name: str, server: Start | Address) -> None:
    dialect, shape = DIALECTS[name], SHAPES[name]
    for data in (path.read_bytes() for file, path in GOOD.items() if file.startswith(name)):
        written = dialect.set(data, "clock", shape.written(server))
        entry = dialect.read(written)["clock"].value
        assert shape.read(entry) == server
        assert entry_digest(entry) == entry_digest(shape.written(server))
        assert dialect.set(written, "clock", shape.written(server)) == written


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n", b"# c\n"])
@each_dialect
def test_an_empty_file_becomes_a_minimal_document(dialect: Dialect, data: bytes) -> None:
    assert dialect.read(data) == {}
    assert dialect.remove(data, "clock") == data
    added = dialect.set(data, "clock", OURS)
    assert added.startswith(data)
    assert values(dialect, added) == {"clock": OURS}


@pytest.mark.parametrize(
    ("dialect", "before", "after"),
    [
        (GOOSE, "", 'extensions:\n  x:\n    name: "x"\n    a: 1\n'),
        (
            CONTINUE,
            "",
            'name: "Local Config"\nversion: "1.0.0"\nschema: "v1"\nmcpServers:\n  - name: "x"\n    a: 1\n',
        ),
        (GOOSE, "b: 1", 'b: 1\nextensions:\n  x:\n    name: "x"\n    a: 1'),
        (GOOSE, "  b: 1\n...\n", '  b: 1\n  extensions:\n    x:\n      name: "x"\n      a: 1\n...\n'),
        (CONTINUE, "mcpServers: []\n", 'mcpServers:\n  - name: "x"\n    a: 1\n'),
        (CONTINUE, "m:\n- b\n", 'm:\n- b\nmcpServers:\n- name: "x"\n  a: 1\n'),
        (GOOSE, "extensions: {}", 'extensions:\n  x:\n    name: "x"\n    a: 1'),
        (GOOSE, "{}", '{"extensions": {"x": {"name": "x", "a": 1}}}'),
        (GOOSE, "{extensions: }", '{extensions: {"x": {"name": "x", "a": 1}} }'),
        (CONTINUE, "mcpServers: [\n  {name: b},\n]", 'mcpServers: [\n  {name: b},\n  {"name": "x", "a": 1},\n]'),
        (GOOSE, "extensions: {b: {}}\n", 'extensions: {b: {}, "x": {"name": "x", "a": 1}}\n'),
        (
            GOOSE,
            "extensions:\n    b:\n        c: 1 # d\n        # e\n    # f\n\n    # g\nh: 1\n",
            'extensions:\n    b:\n        c: 1 # d\n        # e\n    # f\n    x:\n        name: "x"\n        a: 1\n\n    # g\nh: 1\n',
        ),
    ],
)
def test_an_added_entry_looks_like_its_neighbours(dialect: Dialect, before: str, after: str) -> None:
    assert dialect.set(before.encode(), "x", {"a": 1}).decode() == after


@pytest.mark.parametrize(
    ("dialect", "before", "after"),
    [
        (GOOSE, "extensions: # c\n  # d\n  x: {} # e\n  # f\n", "extensions: {} # c\n  # d\n  # f\n"),
        (GOOSE, "extensions:\n  y: 1\n  x:\n    a: 1", "extensions:\n  y: 1"),
        (GOOSE, "extensions: {x: {}, y: {}}", "extensions: {y: {}}"),
        (GOOSE, "extensions: {y: {}, # c\n x: {}, # d\n}", "extensions: {y: {} # c\n , # d\n}"),
        (GOOSE, "extensions: {x: {}, # c\n y: {}, }", "extensions: { # c\n y: {}, }"),
        (CONTINUE, "mcpServers:\n- name: y\n- name: x\n  a: 1\n# c\n", "mcpServers:\n- name: y\n# c\n"),
        (CONTINUE, "mcpServers: [{name: x}]", "mcpServers: []"),
        (CONTINUE, "mcpServers:\n- # c\n  name: x\nz: 1\n", "mcpServers: []\nz: 1\n"),
    ],
)
def test_a_removed_entry_takes_only_its_lines_and_comma(dialect: Dialect, before: str, after: str) -> None:
    assert dialect.remove(before.encode(), "x").decode() == after


def test_of_elements_with_one_name_the_last_one_counts() -> None:
    data = GOOD["continue/duplicates.yaml"].read_bytes()
    assert values(CONTINUE, data) == {"files": {"command": "second"}, "notes": {"command": "x"}}
    replaced = CONTINUE.set(data, "files", {"command": "third"})
    assert (b"first" in replaced, b"second" in replaced, b"third" in replaced) == (True, False, True)
    assert b"first" not in CONTINUE.rename(data, "files", "fresh", OURS)
    assert values(CONTINUE, CONTINUE.remove(data, "files")) == {"notes": {"command": "x"}}


def test_a_layout_that_the_edits_do_not_know_is_refused() -> None:
    data = b"extensions:\n  ? x\n  : {cmd: y}\n"
    assert values(GOOSE, data) == {"x": {"cmd": "y"}}
    with pytest.raises(Unparsable):
        GOOSE.remove(data, "x")


def test_a_text_that_would_gain_a_line_end_is_left_alone() -> None:
    data = b"extensions:\n  files:\n    description: |\n      cut off"
    assert values(GOOSE, data) == {"files": {"description": "cut off"}}
    with pytest.raises(Unparsable, match="more than the entry would change"):
        GOOSE.set(data, "x", OURS)
    assert GOOSE.set(data, "files", OURS).endswith(b"timeout: 300")


def test_an_edit_that_would_change_more_is_never_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_servers, "remove", lambda *_: "extensions: {}\n")
    with pytest.raises(Unparsable, match="more than the entry would change"):
        GOOSE.remove(b"extensions: {x: {}}\nother: 1\n", "x")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_cannot_be_written_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        GOOSE.set(b"", "x", {"a": value})


def test_a_document_that_would_exhaust_the_stack_is_refused() -> None:
    with pytest.raises(Unparsable, match="nested too deeply"):
        GOOSE.read(b"a: " + b"[" * 20_000)
