"""The dialects of Codex and Mistral Vibe on files as people, and the two applications, write them (fixtures/clients/toml)."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients import toml_scan, toml_tables
from hatchlock.clients.dialect import Dialect
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.shape import Address, Shape, Start, UrlShape
from hatchlock.clients.toml_tables import TomlArray, TomlTables
from hatchlock.clients.writer import entry_digest

CODEX = TomlTables("mcp_servers")
VIBE = TomlArray("mcp_servers")
DIALECTS: dict[str, Dialect] = {"codex": CODEX, "vibe": VIBE}
FIXTURES = Path(__file__).parents[2] / "fixtures" / "clients" / "toml"
GOOD = {
    path.relative_to(FIXTURES).as_posix(): path for name in DIALECTS for path in sorted((FIXTURES / name).glob("*"))
}
BROKEN = {path.stem: path for path in sorted((FIXTURES / "broken").glob("*"))}
SCATTERED = {
    ("codex/dotted.toml", "files"),
    ("codex/dotted.toml", "remote"),
    ("codex/inline-servers.toml", "notes db"),
    ("codex/out-of-order.toml", "files"),
    ("codex/super-table-later.toml", "remote"),
    ("vibe/interleaved.toml", "files"),
    ("vibe/interleaved.toml", "remote"),
}
"""Entries that stand in several places, or in dotted keys: they are brought together."""

OURS = {"command": "hatchlock", "args": ["run", "clock"]}
OTHER = {"command": "/opt/a b/hatchlock", "args": ["run", '"\\\n\t#é\u2028'], "env": {"A.B": "1", "Ä": ""}, "on": True}

STARTED = Start(command="/store/bin/hatchlock", args=("run", "clock"), env={"A": "1"}, cwd="/srv")
CONNECTED = Address(url="https://example.invalid/mcp", headers={"X-Key": "k"})
SHAPES = {
    "codex": Shape(http=UrlShape(headers="http_headers")),
    "vibe": Shape(fixed={"transport": "stdio"}, http=UrlShape(fixed={"transport": "streamable-http"})),
}


def values(dialect: Dialect, data: bytes) -> dict[str, Any]:
    return {name: entry.value for name, entry in dialect.read(data).items()}


def others(data: bytes) -> dict[str, Any]:
    document = tomllib.loads(data.decode("utf-8-sig"))
    return {name: str(value) for name, value in document.items() if name != "mcp_servers"}


def without(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + data[end:]


def is_subsequence(part: bytes, whole: bytes) -> bool:
    rest = iter(whole)
    return all(byte in rest for byte in part)


each_good = pytest.mark.parametrize(
    ("dialect", "data"),
    [(DIALECTS[name.partition("/")[0]], path.read_bytes()) for name, path in GOOD.items()],
    ids=list(GOOD),
)
each_broken = pytest.mark.parametrize("data", [path.read_bytes() for path in BROKEN.values()], ids=list(BROKEN))
each_dialect = pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))


def test_there_are_files_to_test() -> None:
    assert len(GOOD) >= 40
    assert len(BROKEN) >= 12


@each_good
def test_an_added_entry_is_read_back_and_all_else_stays(dialect: Dialect, data: bytes) -> None:
    for value in (OURS, OTHER):
        added = dialect.set(data, "clock", value)
        assert list(values(dialect, added).items()) == [*values(dialect, data).items(), ("clock", value)]
        assert others(added) == others(data)


@each_good
def test_adding_only_inserts_bytes(dialect: Dialect, data: bytes) -> None:
    added = dialect.set(data, "clock", OTHER)
    assert is_subsequence(data, added)
    if b"# no comma behind" not in data:  # where the comma comes before the comment
        assert any(
            added == data[:at] + added[at : len(added) - len(data) + at] + data[at:] for at in range(len(data) + 1)
        )


@each_good
def test_adding_and_removing_gives_the_same_bytes(dialect: Dialect, data: bytes) -> None:
    for value in (OURS, OTHER):
        assert dialect.remove(dialect.set(data, "clock", value), "clock") == data


@each_good
def test_two_entries_go_in_either_order(dialect: Dialect, data: bytes) -> None:
    first = dialect.set(data, "first", OURS)
    both = dialect.set(first, "second", OTHER)
    assert dialect.remove(both, "second") == first
    assert dialect.remove(dialect.remove(both, "first"), "second") == data


@each_good
def test_each_entry_can_get_another_value_in_its_place(dialect: Dialect, data: bytes, request: Any) -> None:
    for name, entry in dialect.read(data).items():
        for value in (OURS, OTHER):
            replaced = dialect.set(data, name, value)
            assert list(values(dialect, replaced).items()) == list({**values(dialect, data), name: value}.items())
            assert others(replaced) == others(data)
            if (request.node.callspec.id, name) not in SCATTERED:
                assert without(data, *entry.span) == without(replaced, *dialect.read(replaced)[name].span)


@each_good
def test_setting_what_is_there_changes_nothing(dialect: Dialect, data: bytes) -> None:
    added = dialect.set(data, "clock", OTHER)
    assert dialect.set(added, "clock", dict(reversed(OTHER.items()))) == added
    for name, value in values(dialect, data).items():
        if isinstance(value, dict):
            assert dialect.set(data, name, value) == data


@each_good
def test_removing_what_is_not_there_changes_nothing(dialect: Dialect, data: bytes) -> None:
    assert dialect.remove(data, "clock") == data


@each_good
def test_each_entry_can_be_removed(dialect: Dialect, data: bytes) -> None:
    for name in dialect.read(data):
        removed = dialect.remove(data, name)
        rest = {other: value for other, value in values(dialect, data).items() if other != name}
        assert values(dialect, removed) == rest
        assert others(removed) == others(data)
        assert is_subsequence(removed, data)


@each_good
def test_all_entries_can_be_removed_and_one_be_added(dialect: Dialect, data: bytes) -> None:
    emptied = data
    for name in dialect.read(data):
        emptied = dialect.remove(emptied, name)
    assert dialect.read(emptied) == {}
    assert values(dialect, dialect.set(emptied, "clock", OURS)) == {"clock": OURS}


@each_good
def test_each_entry_can_be_renamed_where_it_stands(dialect: Dialect, data: bytes) -> None:
    for name in dialect.read(data):
        renamed = dialect.rename(data, name, "an other", OURS)
        there = values(dialect, data)
        wanted = [("an other", OURS) if other == name else (other, value) for other, value in there.items()]
        assert sorted(values(dialect, renamed).items(), key=str) == sorted(wanted, key=str)
        assert others(renamed) == others(data)


@each_good
def test_every_entry_has_a_digest(dialect: Dialect, data: bytes) -> None:
    assert all(entry_digest(value) for value in values(dialect, data).values())


@each_good
def test_what_an_application_is_told_is_read_back(dialect: Dialect, data: bytes) -> None:
    shape = SHAPES["codex" if dialect is CODEX else "vibe"]
    for server in (STARTED, CONNECTED, Start(command="x")):
        data = dialect.set(data, "clock", shape.written(server))
        value = dialect.read(data)["clock"].value
        assert shape.read(value) == server
        assert value == shape.written(server)


@each_broken
@each_dialect
def test_a_file_that_does_not_parse_is_refused_with_its_place(dialect: Dialect, data: bytes) -> None:
    for attempt in (
        lambda: dialect.read(data, path="config.toml"),
        lambda: dialect.set(data, "clock", OURS, path="config.toml"),
        lambda: dialect.rename(data, "files", "clock", OURS, path="config.toml"),
        lambda: dialect.remove(data, "clock", path="config.toml"),
    ):
        with pytest.raises(Unparsable) as caught:
            attempt()
        assert re.match(r"config\.toml:\d+:\d+: ", str(caught.value))
        assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "line", "column", "why"),
    [
        ("merge-conflict", 1, 1, "it is not valid TOML 1.0: invalid statement"),
        ("truncated", 4, 14, "it is not valid TOML 1.0: unterminated string"),
        ("duplicate-table", 4, 19, "it is not valid TOML 1.0: mcp_servers.files stands there twice"),
        ("duplicate-key", 4, 6, "it is not valid TOML 1.0: cannot overwrite a value"),
        ("array-extended", 3, 14, "it is not valid TOML 1.0: mcp_servers stands there already"),
        ("not-utf8", 2, 6, "it is not UTF-8"),
        ("scalar", 2, 1, "mcp_servers is no table"),
    ],
)
def test_a_refusal_says_where_and_why(name: str, line: int, column: int, why: str) -> None:
    with pytest.raises(Unparsable) as caught:
        CODEX.read(BROKEN[name].read_bytes())
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.why.startswith(why)


@pytest.mark.parametrize(
    ("dialect", "text", "why"),
    [
        (CODEX, 'x = 1\n[[mcp_servers]]\nname = "a"\n', "mcp_servers is no table"),
        (CODEX, "mcp_servers = [] ", "mcp_servers is no table"),
        (VIBE, 'x = 1\n[mcp_servers.a]\ncommand = "a"\n', "mcp_servers is no array"),
        (VIBE, "mcp_servers = {}", "mcp_servers is no array"),
        (VIBE, "mcp_servers = 5", "mcp_servers is no array"),
    ],
)
def test_servers_in_the_other_ones_form_are_refused(dialect: Dialect, text: str, why: str) -> None:
    for attempt in (
        lambda: dialect.read(text.encode()),
        lambda: dialect.set(text.encode(), "clock", OURS),
        lambda: dialect.remove(text.encode(), "a"),
    ):
        with pytest.raises(Unparsable) as caught:
            attempt()
        assert caught.value.why == why
        assert caught.value.line == text.count("\n", 0, text.index("mcp_servers")) + 1


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000 + "]" * 100_000, "a = " + "[" * 250 + "]" * 250])
def test_a_document_that_would_exhaust_the_stack_is_refused(text: str) -> None:
    with pytest.raises(Unparsable, match="nested too deeply"):
        CODEX.read(text.encode())


def test_a_number_that_python_does_not_read_is_refused() -> None:
    with pytest.raises(Unparsable, match="exceeds the limit"):
        CODEX.set(b"a = " + b"1" * 5000, "clock", OURS)


@pytest.mark.parametrize("value", [{"a": None}, {"a": [{"b": None}]}, {"a": "\ud800"}, {"\udfff": 1}])
@each_dialect
def test_what_toml_has_no_word_for_is_refused(dialect: Dialect, value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="its file has no way to write"):
        dialect.set(b"", "clock", value)
    with pytest.raises(ValueError, match="its file has no way to write"):
        dialect.rename(dialect.set(b"", "old", OURS), "old", "clock", value)


@pytest.mark.parametrize("name", ["", "a.b", "a b", '"', "\\", "[x]", "日本語", "\n", "mcp_servers", "#"])
@each_dialect
def test_any_name_will_do(dialect: Dialect, name: str) -> None:
    for data in (b"", b'[mcp_servers.x]\ncommand="x"\n' if dialect is CODEX else b'[[mcp_servers]]\nname="x"\n'):
        added = dialect.set(data, name, OTHER)
        assert values(dialect, added)[name] == OTHER
        assert dialect.remove(added, name) == data
        assert values(dialect, dialect.rename(added, name, "plain", OURS))["plain"] == OURS


def test_an_edit_that_would_mean_anything_else_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b'[mcp_servers.a]\ncommand = "a"\n\n[mcp_servers.b]\ncommand = "b"\n'
    for damage in ("", "x = 1\n", data.decode(), "[mcp_servers.a]", "["):
        monkeypatch.setattr(toml_tables, "remove_run", lambda *_, damage=damage: damage)
        with pytest.raises(Unparsable, match="more than the entry would change"):
            CODEX.remove(data, "a")


@pytest.mark.parametrize(
    ("dialect", "text", "entry"),
    [
        (CODEX, "'é' = 1\n\n [mcp_servers.x] # x\n'ä' = 1 # y\n# z\n", "[mcp_servers.x] # x\n'ä' = 1"),
        (CODEX, "[mcp_servers.x]\na = 1\n# b\n[mcp_servers.x.b]\n", "[mcp_servers.x]\na = 1\n# b\n[mcp_servers.x.b]"),
        (CODEX, "[mcp_servers]\nx = { a = 1 } # x", "{ a = 1 }"),
        (CODEX, "mcp_servers.x.a = 1\nmcp_servers.x.b = 2\n", "mcp_servers.x.a = 1\nmcp_servers.x.b = 2"),
        (CODEX, "mcp_servers = { x.a = 1 }", "x.a = 1"),
        (CODEX, "mcp_servers = { x = [1] }", "[1]"),
        (VIBE, '# é\n[[mcp_servers]]\nname = "x"\n\n', '[[mcp_servers]]\nname = "x"'),
        (VIBE, 'mcp_servers = [{}, { name = "x" }, ]', '{ name = "x" }'),
    ],
)
def test_a_span_is_the_text_of_the_entry(dialect: Dialect, text: str, entry: str) -> None:
    data = text.encode()
    assert data[slice(*dialect.read(data)["x"].span)].decode() == entry


def test_of_elements_with_one_name_the_last_one_counts() -> None:
    for file in ("duplicates", "array-duplicates"):
        data = GOOD[f"vibe/{file}.toml"].read_bytes()
        assert values(VIBE, data)["files"] == {"command": "second"}
        replaced = VIBE.set(data, "files", OURS)
        assert b'"first"' in replaced
        assert b'"second"' not in replaced
        assert b'"first"' not in VIBE.rename(data, "files", "clock", OURS)


CLOCK = 'command = "hatchlock"\nargs = ["run", "clock"]\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[mcp_servers.clock]\n" + CLOCK),
        ("\ufeff", "\ufeff[mcp_servers.clock]\n" + CLOCK),
        ("# mine\n", "# mine\n\n[mcp_servers.clock]\n" + CLOCK),
        ("a = 1", "a = 1\n\n[mcp_servers.clock]\n" + CLOCK.rstrip()),
        ("a = 1\n\n\n", "a = 1\n\n[mcp_servers.clock]\n" + CLOCK + "\n\n"),
        (
            "[mcp_servers.a]\nx = 1\n# of a\n\n# of b\n[b]\n",
            "[mcp_servers.a]\nx = 1\n# of a\n\n[mcp_servers.clock]\n" + CLOCK + "\n# of b\n[b]\n",
        ),
        ("[mcp_servers]\n\n[b]\n", "[mcp_servers]\n\n[mcp_servers.clock]\n" + CLOCK + "\n[b]\n"),
        (
            "[mcp_servers.a] # a\n  x = 1 # x\n[b]\n",
            "[mcp_servers.a] # a\n  x = 1 # x\n\n[mcp_servers.clock]\n  "
            + CLOCK.replace("\n", "\n  ").rstrip(" ")
            + "[b]\n",
        ),
        (
            '[mcp_servers.a]\nx = """\n# """\n[b]\n',
            '[mcp_servers.a]\nx = """\n# """\n\n[mcp_servers.clock]\n' + CLOCK + "[b]\n",
        ),
        (
            "[mcp_servers.a]\n  [mcp_servers.a.env]\n  A = 1\n",
            "[mcp_servers.a]\n  [mcp_servers.a.env]\n  A = 1\n\n[mcp_servers.clock]\n" + CLOCK,
        ),
        ("mcp_servers = {}\n", 'mcp_servers = {clock = { command = "hatchlock", args = ["run", "clock"] }}\n'),
        (
            "mcp_servers = { a.x = 1 } # all\n",
            'mcp_servers = { a.x = 1, clock = { command = "hatchlock", args = ["run", "clock"] } } # all\n',
        ),
        ("mcp_servers.a.x = 1\nb = 2\n[c]\n", "mcp_servers.a.x = 1\nb = 2\n\n[mcp_servers.clock]\n" + CLOCK + "[c]\n"),
    ],
)
def test_an_entry_of_codex_is_added_behind_its_neighbours(before: str, after: str) -> None:
    assert CODEX.set(before.encode(), "clock", OURS).decode() == after
    assert CODEX.remove(after.encode(), "clock").decode() == before


ELEMENT = '{ name = "clock", command = "hatchlock", args = ["run", "clock"] }'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[[mcp_servers]]\nname = "clock"\n' + CLOCK),
        (
            '[[mcp_servers]]\nname = "a"\n[mcp_servers.env]\nA = "b"\n\n[c]\n',
            '[[mcp_servers]]\nname = "a"\n[mcp_servers.env]\nA = "b"\n\n[[mcp_servers]]\nname = "clock"\n'
            + CLOCK
            + "\n[c]\n",
        ),
        ("mcp_servers = []\n", f"mcp_servers = [{ELEMENT}]\n"),
        ("mcp_servers = [ ]\n", f"mcp_servers = [{ELEMENT} ]\n"),
        ("mcp_servers = [\n]\n", f"mcp_servers = [\n    {ELEMENT},\n]\n"),
        ("mcp_servers = [ # none\n]\n", f"mcp_servers = [ # none\n    {ELEMENT},\n]\n"),
        ("mcp_servers = [{}]\n", "mcp_servers = [{}, " + ELEMENT + "]\n"),
        ("mcp_servers = [{},]\n", "mcp_servers = [{}, " + ELEMENT + ",]\n"),
        ("mcp_servers = [\n  {}\n]\n", "mcp_servers = [\n  {},\n  " + ELEMENT + "\n]\n"),
        ("mcp_servers = [\n  {}, # c\n]\n", "mcp_servers = [\n  {}, # c\n  " + ELEMENT + ",\n]\n"),
        ("mcp_servers = [\n  {} # c\n  ]\n", "mcp_servers = [\n  {}, # c\n  " + ELEMENT + "\n  ]\n"),
        ("mcp_servers = [{} # c\n]\n", "mcp_servers = [{}, # c\n" + ELEMENT + "\n]\n"),
    ],
)
def test_an_entry_of_vibe_is_added_behind_its_neighbours(before: str, after: str) -> None:
    assert VIBE.set(before.encode(), "clock", OURS).decode() == after
    assert VIBE.remove(after.encode(), "clock").decode() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# above\n[mcp_servers.x] # beside\na = 1 # beside\n# below\n", "# above\n# below\n"),
        ("a = 1\n\n# above\n\n[mcp_servers.x]\n\n# about b\n[b]\n", "a = 1\n\n# above\n\n# about b\n[b]\n"),
        ("[mcp_servers.x]\na = 1\n\n[b]\n", "[b]\n"),
        ("\n[mcp_servers.x]\na = 1\n# of b\n[b]\n", "\n# of b\n[b]\n"),
        ("[a]\n[mcp_servers.x]\n[b]\n", "[a]\n[b]\n"),
        ("[a]\n\n\n[mcp_servers.x]\n\n\n[b]\n", "[a]\n\n\n\n[b]\n"),
        ("[a]\r\n\r\n[mcp_servers.x]\r\n\r\n[b]\r\n", "[a]\r\n\r\n[b]\r\n"),
        (
            "[mcp_servers.x]\na = 1\n# inside\n[mcp_servers.x.env]\nA = 1\n\n# of y\n[mcp_servers.y]\n",
            "# of y\n[mcp_servers.y]\n",
        ),
        ("[mcp_servers]\nx.a = 1\ny.a = 2\nx.b = 3 # b\n", "[mcp_servers]\ny.a = 2\n"),
        ("mcp_servers.x = {}\na = 1\n[b]\n", "a = 1\n[b]\n"),
        ("[mcp_servers]\n\nx = {}\n[b]\n", "[mcp_servers]\n\n[b]\n"),
        ("[mcp_servers]\nx = { a = [ # ]\n1] }\ny = 1\n", "[mcp_servers]\ny = 1\n"),
        ("mcp_servers = { x = 1, y = 2, x2 = 3 }", "mcp_servers = { y = 2, x2 = 3 }"),
        ("mcp_servers = { y = 2, x.a = 1, z = 3, x.b = 1 }", "mcp_servers = { y = 2, z = 3 }"),
    ],
)
def test_a_removed_entry_takes_only_its_lines(before: str, after: str) -> None:
    assert CODEX.remove(before.encode(), "x").decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('mcp_servers = [{ name = "x" }, { name = "y" }]', 'mcp_servers = [ { name = "y" }]'),
        ('mcp_servers = [ # c\n { name = "x" }, { name = "y" }]', 'mcp_servers = [ # c\n  { name = "y" }]'),
        ('mcp_servers = [{}, # c\n { name = "x" }]', "mcp_servers = [{} # c\n ]"),
        ('mcp_servers = [{}, { name = "x" } # c\n]', "mcp_servers = [{} # c\n]"),
        ('mcp_servers = [{ name = "x" } # c\n, {}, { name = "x" }]', "mcp_servers = [ # c\n {}]"),
    ],
)
def test_a_removed_item_takes_only_its_comma_and_line(before: str, after: str) -> None:
    assert VIBE.remove(before.encode(), "x").decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "[mcp_servers.x] # beside\n  a = 1\n\n  [mcp_servers.x.env] # env\n  A = 1 # A\n# below\n",
            "[mcp_servers.x] # beside\n  b = 2 # A\n# below\n",
        ),
        ("[mcp_servers.x] # beside\n[c]\n", "[mcp_servers.x] # beside\nb = 2\n[c]\n"),
        ("[ mcp_servers . 'x' ]\n[c]\n", "[ mcp_servers . 'x' ]\nb = 2\n[c]\n"),
        ("[mcp_servers.x.env]\nA = 1\n[c]\n[mcp_servers.x]\na = 1\n", "[mcp_servers.x]\nb = 2\n[c]\n"),
        ("[mcp_servers]\n'x'  =  5 # five\n", "[mcp_servers]\n'x'  =  { b = 2 } # five\n"),
        ("[mcp_servers]\nx.a = 5\nx.c = 6 # six\n", "[mcp_servers]\nx = { b = 2 } # six\n"),
        ("mcp_servers.x.a = 5\nc = 6\n[mcp_servers.x.env]\n", "mcp_servers.x = { b = 2 }\nc = 6\n"),
        ("mcp_servers = { 'x' = {}, x2.a = 1 }\n", "mcp_servers = { 'x' = { b = 2 }, x2.a = 1 }\n"),
        ("mcp_servers = { x.a = 1, x2.a = 1, x.b = 1 }\n", "mcp_servers = { x = { b = 2 }, x2.a = 1 }\n"),
    ],
)
def test_an_entry_gets_another_value_in_the_way_it_is_written(before: str, after: str) -> None:
    assert CODEX.set(before.encode(), "x", {"b": 2}).decode() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\n# x\n[mcp_servers.x] # c\na = 1\n", 'a = 1\n# x\n[mcp_servers."new one"] # c\nb = 2\n'),
        ("[mcp_servers]\nx = {} # c\n", '[mcp_servers]\n"new one" = { b = 2 } # c\n'),
        ("mcp_servers.x.a = 1\nc = 1\n", 'mcp_servers."new one" = { b = 2 }\nc = 1\n'),
        ("mcp_servers = { x = {}, y = {} }\n", 'mcp_servers = { "new one" = { b = 2 }, y = {} }\n'),
    ],
)
def test_an_entry_is_renamed_in_the_way_it_is_written(before: str, after: str) -> None:
    assert CODEX.rename(before.encode(), "x", "new one", {"b": 2}).decode() == after


@pytest.mark.parametrize("path", sorted(GOOD.values()), ids=lambda path: path.name)
def test_one_walk_finds_what_a_walk_for_each_would(path: Path) -> None:
    statements = toml_scan.scan(path.read_text())
    below = {(item.path[0], item.path[1]) for item in statements if len(item.path) > 1}
    for table in {first for first, _ in below}:
        found = toml_scan.first_runs(statements, (table,))
        assert set(found) == {part for first, part in below if first == table}
        for part, run in found.items():
            assert run == toml_scan.runs(statements, (table, part))[0]


def test_places_count_bytes() -> None:
    data = '[mcp_servers."é"]\ncommand = "ü"\n# ö\n[mcp_servers.b]\ncommand = "ä"\n'.encode()
    entries = CODEX.read(data)
    assert [data[slice(*entry.span)].decode() for entry in entries.values()] == [
        '[mcp_servers."é"]\ncommand = "ü"',
        '[mcp_servers.b]\ncommand = "ä"',
    ]
