"""YAML as text: where each value stands, and what it means. How ours are written is in `yaml_writing`.

PyYAML finds the positions; nothing is constructed, so no document can make an object. It reads YAML 1.1, the applications
read 1.2 (serde_yaml, npm's `yaml`), so plain words get their meaning here, by the core schema of 1.2: `on`, `no` and dates
are text, `0o7` is 7. Offsets count characters of the decoded text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NoReturn

from hatchlock.clients.file_text import BOM, Unparsable, decoded, line_start

__all__ = [
    "Document",
    "Item",
    "Kind",
    "Node",
    "column_of",
    "is_merge",
    "name_of",
    "parse",
    "refuse",
]

Kind = Literal["scalar", "mapping", "sequence", "alias"]

_DEEPEST = 100
_MOST = 100_000  # values of one entry, each alias counted with all that it stands for
_OPEN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
_WORDS = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_OTHER_BASE = re.compile(r"0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BREAKS_OF_1_1 = re.compile("[\x85\u2028\u2029]")
_DASH = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*|[&!][^ \t\r\n]*)*-")
_KEEPS_BREAKS = re.compile(r"[|>][0-9]?\+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A value and where it stands.

    Attributes:
        kind: What it is.
        value: As plain values. Tags of one's own are overlooked, `.inf` and `.nan` are text; an alias has the value that it
            stands for.
        start: The offset of its first character, or of its anchor's or tag's.
        end: The offset behind its last one; of a value in blocks, behind that of its last item.
        items: Of a mapping or a sequence, in the order of the file.
        is_flow: Whether it is written in brackets or braces.
        tie: The offset of the first anchor, alias or merge key in it, or None: what is tied cannot be edited alone.
        form: What it is for comparisons: what was written, without layout.
        weight: How many values it stands for.
    """

    kind: Kind
    value: Any
    start: int
    end: int
    items: tuple[Item, ...] = ()
    is_flow: bool = False
    tie: int | None = None
    form: Any
    weight: int = 1

    @property
    def is_anchored(self) -> bool:
        """Whether it has an anchor itself."""
        return self.kind != "alias" and self.form[2] is not None

    @property
    def is_nothing(self) -> bool:
        """Whether it is null, written out or not."""
        return self.kind == "scalar" and self.value is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item of a mapping or of a sequence.

    Attributes:
        start: The offset of its key, of its dash, or, of a sequence in brackets, of its value.
        key: Its key; None in a sequence.
        node: Its value.
    """

    start: int
    key: Node | None
    node: Node

    @property
    def form(self) -> Any:
        """What it is for comparisons."""
        return (self.key and self.key.form, self.node.form)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What a file holds.

    Attributes:
        text: All of it.
        path: Its name, for messages.
        root: Its value, a mapping; None if there is none.
        end: Where something can be appended: before the mark of the document's end, or at the end of the file.
    """

    text: str
    path: str
    root: Node | None
    end: int


@lru_cache(maxsize=4)  # a file is read, edited and read again: 500 lines take 0.1 s each time
def parse(data: bytes, *, path: str) -> Document:
    """Read a whole file. Nothing of the document may be changed.

    Raises:
        Unparsable: It is no YAML, or more than one document, or its value is no mapping; or its two versions read it
            differently.
    """
    text = decoded(data, path)
    if match := _BREAKS_OF_1_1.search(text):
        refuse(text, match.start(), "the versions of YAML differ on this character", path)
    return _Reader(text, path).document()


def refuse(text: str, at: int, why: str, path: str) -> NoReturn:
    """Raise `Unparsable` for what stands at an offset."""
    line = len(re.findall(r"\r\n|\r|\n", text[:at])) + 1
    raise Unparsable(path=path, line=line, column=column_of(text, at) + 1, why=why)


def column_of(text: str, at: int) -> int:
    """Return how many characters stand before an offset on its line; a byte order mark is none."""
    start = line_start(text, at)
    return at - start - text.startswith(BOM, start, at)


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        import yaml  # noqa: PLC0415  it takes its time, and most projects have no application with such a file

        self.yaml: Any = yaml
        self.text = text
        self.path = path
        self.events = self._events()
        self.anchors: dict[str, Node] = {}

    def _events(self) -> Iterator[Any]:
        try:
            yield from self.yaml.parse(self.text, Loader=self.yaml.SafeLoader)
        except self.yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            refuse(self.text, mark.index if mark else 0, f"it is no YAML: {error.problem or error.context}", self.path)
        except self.yaml.reader.ReaderError as error:
            refuse(self.text, error.position, f"it is no YAML: {error.reason}", self.path)

    def refuse(self, at: int, why: str) -> NoReturn:
        refuse(self.text, at, why, self.path)

    def document(self) -> Document:
        root, end, is_there = None, len(self.text), False
        for event in self.events:
            match event:
                case self.yaml.DocumentStartEvent() if is_there:
                    self.refuse(event.start_mark.index, "it holds more than one document")
                case self.yaml.DocumentStartEvent():
                    is_there = True
                case self.yaml.DocumentEndEvent() if event.explicit:
                    end = event.start_mark.index
                case self.yaml.NodeEvent():
                    root = self.node(event, 0)
        if root is not None and root.is_nothing:
            if root.tie is not None or self.text[root.start : root.end]:
                self.refuse(root.start, "its root is no mapping")
            root = None
        if root is not None and root.kind != "mapping":
            self.refuse(root.start, "its root is no mapping")
        return Document(text=self.text, path=self.path, root=root, end=end)

    def node(self, event: Any, depth: int) -> Node:
        start = event.start_mark.index
        if depth > _DEEPEST:
            self.refuse(start, "it is nested too deeply")
        if isinstance(event, self.yaml.AliasEvent):
            return self.alias(event)
        if isinstance(event, self.yaml.ScalarEvent):
            node = self.scalar(event)
        elif isinstance(event, self.yaml.MappingStartEvent):
            node = self.mapping(event, depth)
        else:
            node = self.sequence(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        start, meant = event.start_mark.index, self.anchors.get(event.anchor)
        if meant is None:
            self.refuse(start, f"*{event.anchor} stands for nothing that is complete before it")
        form = ("alias", event.anchor)
        end = event.end_mark.index
        return Node(kind="alias", value=meant.value, start=start, end=end, tie=start, form=form, weight=meant.weight)

    def scalar(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        is_plain = event.style is None
        if event.style in {"|", ">"} and not _KEEPS_BREAKS.search(self.text, start, end):
            end = start + len(self.text[start:end].rstrip(" \r\n"))
        is_open = event.tag in _OPEN_TAGS or (is_plain and event.tag is None)
        value = _meaning(event.value) if is_open else event.value
        form = ("scalar", event.tag, event.anchor, event.value, is_plain)
        return Node(kind="scalar", value=value, start=start, end=end, tie=_tie(event, []), form=form)

    def mapping(self, event: Any, depth: int) -> Node:
        items: list[Item] = []
        known: set[tuple[str, str]] = set()
        for first in self.until(self.yaml.MappingEndEvent):
            key = self.node(first, depth + 1)
            node = self.node(next(self.events), depth + 1)
            same = (type(key.value).__name__, name_of(key))
            if same in known:
                self.refuse(key.start, "this key is there twice")
            known.add(same)
            if node.start == node.end and ":" not in self.text[key.end : node.start]:
                node = Node(kind="scalar", value=None, start=key.end, end=key.end, tie=node.tie, form=node.form)
            items.append(Item(start=key.start, key=key, node=node))
        value = {name_of(item.key): item.node.value for item in items if item.key}
        return self.collection(event, "mapping", value, items)

    def sequence(self, event: Any, depth: int) -> Node:
        items: list[Item] = []
        at = event.start_mark.index
        for first in self.until(self.yaml.SequenceEndEvent):
            node = self.node(first, depth + 1)
            dash = None if event.flow_style else _DASH.match(self.text, at)
            items.append(Item(start=dash.end() - 1 if dash else node.start, key=None, node=node))
            at = node.end
        return self.collection(event, "sequence", [item.node.value for item in items], items)

    def until(self, end: type) -> Iterator[Any]:
        for event in self.events:
            self.last = event
            if isinstance(event, end):
                return
            yield event

    def collection(self, event: Any, kind: Kind, value: Any, items: list[Item]) -> Node:
        start, is_flow = event.start_mark.index, bool(event.flow_style)
        end = self.last.end_mark.index if is_flow or not items else items[-1].node.end
        weight = 1 + sum(item.node.weight for item in items)
        if weight > _MOST:
            self.refuse(start, "its aliases stand for too much")
        form = (kind, event.tag, event.anchor, tuple(item.form for item in items))
        tie = _tie(event, items)
        return Node(
            kind=kind,
            value=value,
            start=start,
            end=end,
            items=tuple(items),
            is_flow=is_flow,
            tie=tie,
            form=form,
            weight=weight,
        )


def _tie(event: Any, items: list[Item]) -> int | None:
    if event.anchor is not None:
        return int(event.start_mark.index)
    for item in items:
        if item.key is not None and (item.key.tie is not None or is_merge(item.key)):
            return item.key.start
        if item.node.tie is not None:
            return item.node.tie
    return None


def is_merge(key: Node) -> bool:
    """Return whether a key is `<<`, which some take for an order to merge."""
    return key.kind == "scalar" and key.form[3:] == ("<<", True)


def name_of(key: Node) -> str:
    """Return a key as text."""
    return str(key.form[3]) if key.kind == "scalar" else json.dumps(key.value, default=str)


def _meaning(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
