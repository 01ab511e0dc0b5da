"""Edits of TOML files, on documents that nobody has thought of: any layout that TOML allows."""

from __future__ import annotations

import tomllib
from random import Random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hatchlock.clients.dialect import Dialect
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.toml_tables import TomlArray, TomlTables
from hatchlock.lock.toml import dump_key, dump_value

CODEX = TomlTables("mcp_servers")
VIBE = TomlArray("mcp_servers")
OURS = "ours"

NAMES = ("files", "notes", "mcp_servers", "name", "a.b", "é", "", "ключ", "#", '"', "x\ty")
TEXTS = (
    *NAMES,
    "npx",
    '"""',
    "# x",
    "[mcp_servers.files]",
    "'''",
    "]",
    "\r\n",
    "\\",
    "a\nb",
    "{",
    "=",
    "🙂",
    "\x00\x7f",
)


class Writer:
    """Makes documents and writes them in any layout that TOML has; a number decides on everything."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.newline = self.one("\n", "\r\n")

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def maybe(self) -> bool:
        return self.random.random() < 0.5

    def up_to(self, most: int) -> range:
        return range(self.random.randint(0, most))

    # What is written.

    def item(self, depth: int = 0) -> Any:
        match self.random.randint(0, 4 if depth < 3 else 2):
            case 0:
                return self.random.randint(-9, 99)
            case 1:
                return self.maybe()
            case 2:
                return self.one(*TEXTS)
            case 3:
                return [self.item(depth + 1) for _ in self.up_to(3)]
        return self.table(depth + 1)

    def table(self, depth: int = 0) -> dict[str, Any]:
        return {self.one(*NAMES): self.item(depth) for _ in self.up_to(2)}

    def entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"command": self.one(*TEXTS), "args": [self.one(*TEXTS) for _ in self.up_to(2)]}
        return {**entry, "env": {self.one(*NAMES): self.one(*TEXTS) for _ in self.up_to(2)}} if self.maybe() else entry

    # How it is written.

    def key(self, *parts: str) -> str:
        return self.one(".", ".", " . ").join(map(self.part, parts))

    def part(self, name: str) -> str:
        return dump_value(name) if self.maybe() else dump_key(name)

    def value(self, item: Any) -> str:
        if isinstance(item, dict):
            pairs = [f"{self.key(name)}{self.one(' = ', '=')}{self.value(inner)}" for name, inner in item.items()]
            return "{" + self.one("", " ") + self.one(", ", " ,").join(pairs) + self.one("", " ") + "}"
        if isinstance(item, list):
            return self.array([self.value(inner) for inner in item])
        if isinstance(item, str) and self.maybe():
            text = dump_value(item)[1:-1].replace("\\r\\n", self.newline)
            return f'"""{self.newline}{text}"""'
        return dump_value(item)

    def array(self, texts: list[str]) -> str:
        blank = ("", "", " ", self.newline, f"{self.newline}  ", f" # c ]{self.newline}\t")
        parts = [self.one(*blank) + text + self.one(*blank) for text in texts]
        comma = "," + self.one(*blank) if texts and self.maybe() else ""
        return "[" + ",".join(parts) + comma + self.one(*blank) + "]"

    def line(self, text: str) -> str:
        return self.one("", "", "  ", "\t") + text + self.one("", "", " ", " # [mcp_servers.c]") + self.newline

    def gap(self) -> str:
        return "".join(self.one("", "  ", "# comment", "  # c ] = 1") + self.newline for _ in self.up_to(2))

    def pairs(self, prefix: tuple[str, ...], table: dict[str, Any]) -> list[str]:
        """Write the members of a table as lines; those that are tables inline, or with dotted keys."""
        lines = []
        for name, item in table.items():
            if isinstance(item, dict) and item and self.maybe():
                lines += self.pairs((*prefix, name), item)
            else:
                lines.append(self.gap() + self.line(f"{self.key(*prefix, name)} = {self.value(item)}"))
        return lines

    def tables(self, header: str, path: tuple[str, ...], table: dict[str, Any]) -> list[str]:
        """Write a table under a header, with some of its tables under headers of their own."""
        below = {name: item for name, item in table.items() if isinstance(item, dict) and self.maybe()}
        beside = {name: item for name, item in table.items() if name not in below}
        lines = [self.gap() + self.line(header) + "".join(self.pairs((), beside))]
        for name, item in below.items():
            lines += self.tables(f"[{self.key(*path, name)}]", (*path, name), item)
        return lines

    def document(self, root: list[str], sections: list[list[str]]) -> bytes:
        """Put a document together, between whatever else there is; the parts of sections come in any order."""
        root += self.pairs((), {self.one("x", "y", "é"): self.item() for _ in self.up_to(2)})
        self.random.shuffle(root)
        names = {self.one("a", "b", "features"): self.table() for _ in self.up_to(2)}
        sections += [self.tables(f"[{name}]", (name,), table) for name, table in names.items()]
        parts: list[str] = []
        while sections := [section for section in sections if section]:
            parts.append(self.random.choice(sections).pop(0))
        text = self.one("", "", "\ufeff") + "".join(root) + self.gap() + "".join(parts) + self.gap()
        return (text.removesuffix(self.newline) if self.maybe() else text).encode()

    def codex(self) -> bytes:
        """Write a file of Codex, with servers in one of the ways that there are."""
        servers = {self.one(*NAMES): self.entry() if self.random.random() < 0.8 else self.item() for _ in self.up_to(3)}
        match self.random.randint(0, 5):
            case 0:
                return self.document([self.line(f"mcp_servers = {self.value(servers)}")], [])
            case 1:
                return self.document(self.pairs(("mcp_servers",), servers), [])
            case 2:
                return self.document([], [self.tables("[mcp_servers]", ("mcp_servers",), servers)])
        tables = [(("mcp_servers", name), entry) for name, entry in servers.items() if isinstance(entry, dict)]
        return self.document([], [self.tables(f"[{self.key(*path)}]", path, entry) for path, entry in tables])

    def vibe(self) -> bytes:
        """Write a file of Vibe, with an array of tables or one in brackets; some elements have no name."""
        elements = [{**self.entry(), "name": self.one(*NAMES)} if self.maybe() else self.entry() for _ in self.up_to(3)]
        if self.maybe():
            return self.document(
                [self.line(f"mcp_servers = {self.array([self.value(each) for each in elements])}")], []
            )
        parts = [self.tables("[[mcp_servers]]", ("mcp_servers",), element) for element in elements]
        return self.document([], [[part for element in parts for part in element]])


def case_of(seed: int) -> tuple[Dialect, bytes]:
    writer = Writer(seed)
    return (CODEX, writer.codex()) if writer.maybe() else (VIBE, writer.vibe())


SEEDS = st.integers(0, 2**40)
DOCUMENTS = SEEDS.map(case_of).filter(lambda case: is_valid(case[1]))
ENTRIES = SEEDS.map(lambda seed: Writer(seed).entry())


def values(dialect: Dialect, data: bytes) -> dict[str, Any]:
    return {name: entry.value for name, entry in dialect.read(data).items()}


def rest_of(data: bytes) -> dict[str, Any]:
    document = tomllib.loads(data.decode("utf-8-sig"))
    document.pop("mcp_servers", None)
    return document


def is_valid(data: bytes) -> bool:
    try:
        tomllib.loads(data.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError:  # a table may be extended where TOML does not allow it
        return False
    return True


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, ENTRIES, ENTRIES)
def test_add_change_and_remove_gives_the_same_bytes(
    case: tuple[Dialect, bytes], first: dict[str, Any], second: dict[str, Any]
) -> None:
    dialect, data = case
    assume(OURS not in dialect.read(data))
    added = dialect.set(data, OURS, first)
    assert values(dialect, added) == {**values(dialect, data), OURS: first}
    assert rest_of(added) == rest_of(data)
    assert dialect.set(added, OURS, first) == added
    changed = dialect.set(added, OURS, second)
    (start, end), (same_start, new_end) = (dialect.read(each)[OURS].span for each in (added, changed))
    assert same_start == start
    assert (changed[:start], changed[new_end:]) == (added[:start], added[end:])
    for each in (added, changed, dialect.rename(added, OURS, "a new one", second)):
        assert dialect.remove(dialect.remove(each, OURS), "a new one") == data


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, ENTRIES, st.data())
def test_any_entry_can_be_changed_and_removed_and_only_bytes_of_its_own_go(
    case: tuple[Dialect, bytes], entry: dict[str, Any], choice: st.DataObject
) -> None:
    dialect, data = case
    before = values(dialect, data)
    assume(before)
    name = choice.draw(st.sampled_from(sorted(before)))
    changed = dialect.set(data, name, entry)
    assert values(dialect, changed) == {**before, name: entry}
    assert rest_of(changed) == rest_of(data)
    removed = dialect.remove(data, name)
    assert values(dialect, removed) == {other: value for other, value in before.items() if other != name}
    assert rest_of(removed) == rest_of(data)
    rest = iter(data)
    assert all(byte in rest for byte in removed)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.data())
def test_a_damaged_file_is_refused_or_still_understood(case: tuple[Dialect, bytes], choice: st.DataObject) -> None:
    dialect, data = case
    at = choice.draw(st.integers(0, len(data)))
    damaged = data[:at] + choice.draw(st.binary(max_size=2)) + data[at + choice.draw(st.integers(0, 3)) :]
    try:
        before = values(dialect, damaged)
    except Unparsable:
        return
    assert values(dialect, dialect.set(damaged, OURS, {"command": "x"})) == {**before, OURS: {"command": "x"}}
