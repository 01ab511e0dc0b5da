"""Edits of YAML files of clients, on documents that nobody has thought of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.yaml_servers import YamlServers

KEY = "servers"
MAPPING = YamlServers(KEY)
LIST = YamlServers(KEY, is_list=True)
OURS = "ours"
NAMES = st.sampled_from(["files", "notes db", "on", "12", "é", "a-b", "x: y", "#"])
SCALARS = st.sampled_from(
    [
        "x",
        "on",
        "~",
        "0o7",
        "2001-12-14",
        '"a # b"',
        "'it''s'",
        "a b",
        "http://x:1/#a",
        "&a x",
        "!t x",
        '"\\u00e9"',
        "é",
    ]
)
FLOWS = ["{}", "[]", "{a: b, c: [d, e]}", "[ {a: b} ]", '{"a": "b"}']
FLOW_LISTS = ["[]", "[ ]", '[{name: a}, {"name": "b"}]', "[\n  {name: a},\n ]", "[{name: a}, # c\n  {name: b}]"]
FLOW_MAPPINGS = ["{}", "{  }", '{a: {x: y}, "b": 1}', "{\n  a: {},\n }", "{a: {}, # c\n  b: }"]
TEXT = st.text(max_size=6)
ENTRY = st.fixed_dictionaries(
    {"command": TEXT, "args": st.lists(TEXT, max_size=3)},
    optional={
        "env": st.dictionaries(TEXT, TEXT, max_size=2),
        "on": st.booleans(),
        "n": st.integers() | st.floats(-9, 9),
    },
)


class Layout:
    """Lines of a document, laid out in any way that an application may accept."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.unit = draw(st.sampled_from([1, 2, 4]))
        self.offset = draw(st.sampled_from([0, self.unit]))
        self.has_comments = draw(st.booleans())
        self.anchors = 0

    def noise(self, column: int) -> list[str]:
        if not self.has_comments:
            return []
        comment = self.draw(st.sampled_from(["", "", "# c: [", "  # - d"]))
        return [" " * column + comment] if comment else [""] * self.draw(st.integers(0, 2))

    def tail(self) -> str:
        return self.draw(st.sampled_from(["", "  # tail"])) if self.has_comments else ""

    def scalar(self) -> str:
        self.anchors += 1
        return self.draw(SCALARS).replace("&a", f"&a{self.anchors}")

    def value(self, column: int, depth: int) -> list[str]:
        """Return what stands behind a colon, and the lines below it."""
        match self.draw(st.integers(0, 6 if depth else 3)):
            case 4:
                return [self.tail(), *self.members(column + self.unit, depth - 1)]
            case 5:
                return [self.tail(), *self.elements(column + self.offset, depth - 1)]
            case 6:
                return [" " + self.draw(st.sampled_from(["|", ">-", "|+"])), " " * (column + self.unit) + "t # x", ""]
            case 3:
                return [" " + self.draw(st.sampled_from(FLOWS)) + self.tail()]
            case 2:
                return [self.tail()]
        return [" " + self.scalar() + self.tail()]

    def key(self, name: str) -> str:
        is_quoted = name in {"#", "x: y"} or self.draw(st.booleans())
        return json.dumps(name, ensure_ascii=False) if is_quoted else name

    def members(self, column: int, depth: int, names: list[str] | None = None) -> list[str]:
        lines = []
        for name in names or self.draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
            first, *rest = self.value(column, depth)
            lines += [*self.noise(column), f"{' ' * column}{self.key(name)}:{first}", *rest]
        return lines

    def elements(self, column: int, depth: int) -> list[str]:
        lines = []
        for _ in range(self.draw(st.integers(1, 3))):
            gap = self.draw(st.integers(1, 3))
            inner = [f"{' ' * (column + 1 + gap)}{self.scalar()}{self.tail()}"]
            if depth and self.draw(st.booleans()):
                inner = self.members(column + 1 + gap, depth - 1)
            while not inner[0].strip() or inner[0].strip().startswith("# "):
                inner.pop(0)
            lines += [*self.noise(column), f"{' ' * column}-{' ' * gap}{inner[0].lstrip(' ')}", *inner[1:]]
        return lines

    def named(self, column: int) -> list[str]:
        lines = []
        for name in self.draw(st.lists(NAMES, min_size=1, max_size=3)):
            lines += [*self.noise(column), f"{' ' * column}- name: {json.dumps(name, ensure_ascii=False)}"]
            if self.draw(st.booleans()):
                first, *rest = self.value(column + 2, 2)
                lines += [f"{' ' * (column + 2)}command:{first}", *rest]
        return lines

    def section(self, *, is_list: bool) -> list[str]:
        if self.draw(st.integers(0, 3)) == 0:
            flow = self.draw(st.sampled_from(FLOW_LISTS if is_list else FLOW_MAPPINGS))
            return f"{KEY}: {flow}{self.tail()}".split("\n")
        return [f"{KEY}:{self.tail()}", *(self.named(self.offset) if is_list else self.members(self.unit, 2))]


@st.composite
def documents(draw: st.DrawFn, *, is_list: bool) -> bytes:
    layout = Layout(draw)
    others = draw(st.lists(NAMES, max_size=3, unique=True))
    place = draw(st.integers(0, len(others)))
    before, after = (layout.members(0, 2, names) if names else [] for names in (others[:place], others[place:]))
    lines = [*before, *layout.noise(0), *layout.section(is_list=is_list), *after, *layout.noise(0)]
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    ends = [("", ""), ("", newline), ("\ufeff", newline), (f"---{newline}", f"{newline}...{newline}")]
    if any(line.endswith(("|", ">-", "|+")) for line in lines):
        ends = ends[1:]  # a text in lines that the end of the file cuts off changes when anything follows
    first, last = draw(st.sampled_from(ends))
    return (first + newline.join(lines) + last).encode()


def values(dialect: YamlServers, data: bytes) -> dict[str, Any]:
    return {name: entry.value for name, entry in dialect.read(data).items()}


def outside(data: bytes) -> list[tuple[str, str]]:
    """Return what PyYAML's own composer finds beside the servers."""
    root: Any = yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    return [(key.value, yaml.serialize(node)) for key, node in root.value if key.value != KEY]


def is_tied(value: bytes) -> bool:
    return b"&a" in value


def each_form(law: Callable[[YamlServers, bytes, st.DataObject], None]) -> Callable[[], None]:
    @settings(max_examples=40, deadline=None)
    @given(st.booleans(), st.data())
    def test(is_list: bool, data: st.DataObject) -> None:
        document = data.draw(documents(is_list=is_list))
        law(LIST if is_list else MAPPING, document, data)

    return test


def add_then_remove_gives_the_same_bytes(dialect: YamlServers, document: bytes, data: st.DataObject) -> None:
    entry = data.draw(ENTRY)
    added = dialect.set(document, OURS, entry)
    assert values(dialect, added) == {**values(dialect, document), OURS: entry}
    assert outside(added) == outside(document)
    assert dialect.set(added, OURS, entry) == added
    assert dialect.remove(added, OURS) == document


def a_replaced_value_is_all_that_differs(dialect: YamlServers, document: bytes, data: st.DataObject) -> None:
    first = dialect.set(document, OURS, data.draw(ENTRY))
    entry = data.draw(ENTRY)
    second = dialect.set(dialect.set(first, "behind", {"x": 1}), OURS, entry)
    (start, end), (same, new_end) = (dialect.read(each)[OURS].span for each in (first, second))
    assert (same, second[:start]) == (start, first[:start])
    assert dialect.remove(second, "behind")[new_end:] == first[end:]
    assert values(dialect, second)[OURS] == entry


def any_entry_can_be_removed_or_is_refused(dialect: YamlServers, document: bytes, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*dialect.read(document), "absent"]))
    rest = {other: value for other, value in values(dialect, document).items() if other != name}
    try:
        removed = dialect.remove(document, name)
    except Unparsable:
        assert is_tied(document)
        return
    assert values(dialect, removed) == rest
    assert outside(removed) == outside(document)
    fewer = iter(document)
    left = removed if rest else removed.replace(b" {}", b"").replace(b" []", b"")
    assert all(byte in fewer for byte in left)


def a_damaged_file_is_refused_or_still_understood(dialect: YamlServers, document: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(document)))
    damage = data.draw(
        st.binary(max_size=2) | st.sampled_from([b"&a ", b"*a", b"<<: ", b"\t", b"? ", b"- ", b"{", b"\n"])
    )
    damaged = document[:at] + damage + document[at + data.draw(st.integers(0, 3)) :]
    try:
        before = values(dialect, damaged)
        added = dialect.set(damaged, "other", {"command": "x"})
    except Unparsable:
        return
    assert values(dialect, added) == {**before, "other": {"command": "x"}}


test_add_then_remove = each_form(add_then_remove_gives_the_same_bytes)
test_replace = each_form(a_replaced_value_is_all_that_differs)
test_remove = each_form(any_entry_can_be_removed_or_is_refused)
test_damage = each_form(a_damaged_file_is_refused_or_still_understood)
