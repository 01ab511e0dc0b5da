"""YAML of other tools, with the line of every key and item.

Plain words have the meaning of YAML 1.2, as for the tools themselves. Aliases stand for their values, and `<<` merges a
mapping, or a list of them, below the keys of its own; what is merged has the lines of where it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.yaml_text import Node, is_merge, name_of, parse
from hatchlock.manifest.problem import KeyPath
from hatchlock.migrate.document import Document, Unreadable
from hatchlock.place import Lines, Place

__all__ = ["load"]

_LARGEST = 4 << 20  # bytes; no such file is near it, and each million takes a second
_MOST = 200_000  # values; aliases of aliases stand for more than any file can hold


def load(data: bytes, *, file: str) -> Document:
    """Read a file with one document, whose root is a mapping; an empty file is an empty one.

    Args:
        data: What it holds.
        file: Its name, as it is shown.

    Raises:
        Unreadable: It is no such YAML; with the line.
    """
    if len(data) > _LARGEST:
        raise Unreadable(place=Place(file=file, line=1), why=f"it is larger than {_LARGEST} bytes")
    try:
        document = parse(data, path=file)
    except Unparsable as problem:
        raise Unreadable(place=Place(file=file, line=problem.line), why=problem.why) from problem
    if document.root is None:
        return Document(file=file, value={}, lines={})
    walk = _Walk(document.text, file, document.root)
    return Document(file=file, value=walk.meaning(document.root, ()), lines=walk.lines)


def _aliases(node: Node, anchors: dict[str, Node]) -> Iterator[tuple[int, Node]]:
    """Yield which node each alias stands for: the last one before it that has this anchor."""
    if node.kind == "alias":
        yield id(node), anchors[node.form[1]]
    for item in node.items:
        for part in (item.key, item.node):
            if part is not None:
                yield from _aliases(part, anchors)
    if node.is_anchored:
        anchors[node.form[2]] = node


class _Walk:
    def __init__(self, text: str, file: str, root: Node) -> None:
        self.file = file
        self.lines: dict[KeyPath, int] = {}
        self.aliases = dict(_aliases(root, {}))
        self.text_lines = Lines(text)
        self.count = 0

    def meaning(self, node: Node, path: KeyPath) -> Any:
        """Return what a node stands for, and note the lines of what is in it."""
        node = self.aliases.get(id(node), node)
        self.count += 1
        if self.count > _MOST:
            raise Unreadable(place=self.place(node), why="its aliases stand for too much")
        match node.kind:
            case "mapping":
                return self.mapping(node, path)
            case "sequence":
                return list(self.items(node, path))
        return node.value

    def mapping(self, node: Node, path: KeyPath) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        pairs = [(item.key, item.node) for item in node.items if item.key is not None]
        for key, value in pairs:
            if is_merge(key):
                merged |= self.merge(value, path)
        for key, value in pairs:
            if not is_merge(key):
                name = name_of(key)
                self.lines[(*path, name)] = self.line(key)
                own[name] = self.meaning(value, (*path, name))
        return own | {name: value for name, value in merged.items() if name not in own}

    def merge(self, node: Node, path: KeyPath) -> dict[str, Any]:
        """Return what `<<` brings: of several mappings the first one's keys count."""
        found = self.aliases.get(id(node), node)
        sources = [item.node for item in found.items] if found.kind == "sequence" else [found]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            value = self.meaning(source, path)
            if not isinstance(value, Mapping):
                raise Unreadable(place=self.place(node), why="`<<` can merge mappings only")
            merged |= value
        return merged

    def items(self, node: Node, path: KeyPath) -> Iterator[Any]:
        for index, item in enumerate(node.items):
            self.lines[(*path, index)] = self.line(item.node)
            yield self.meaning(item.node, (*path, index))

    def line(self, node: Node) -> int:
        return self.text_lines.at(node.start)

    def place(self, node: Node) -> Place:
        return Place(file=self.file, line=self.line(node))
