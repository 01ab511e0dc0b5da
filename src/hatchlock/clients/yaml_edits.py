"""Exact edits of one item of a mapping or a list in YAML: lines in and out, or members between braces or brackets.

Offsets are those of the parsed document, so each edit is made on a document of its own. What an edit leaves is not judged
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.clients.file_text import BOM, line_start, newline_of
from hatchlock.clients.yaml_text import Document, Item, Kind, Node, column_of, refuse
from hatchlock.clients.yaml_writing import Style, block, flow, written_key

__all__ = ["New", "add", "add_section", "remove", "replace"]

_REST_OF_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_LAST_BREAK = re.compile(r"(?:\r\n|\r|\n)\Z")
_COMMENT_LINE = re.compile(r"( *)#[^\r\n]*(?:\r\n|\r|\n|\Z)")
_COLON = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*:")
_COMMA = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*,")
_BRACKET = re.compile(r"[{[]")
_EMPTY = {"mapping": " {}", "sequence": " []"}


@dataclass(frozen=True, kw_only=True, slots=True)
class New:
    """An item to write.

    Attributes:
        name: Its key, in a mapping; None in a list.
        value: Its value; not empty.
    """

    name: str | None
    value: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """Of which the item is one."""
        return "sequence" if self.name is None else "mapping"

    def lines(self, style: Style) -> list[str]:
        """Return it in lines, the first of them at column 0."""
        lines = block(self.value, style=style)
        if self.name is None:
            return [("  " if index else "- ") + line for index, line in enumerate(lines)]
        return [f"{written_key(self.name)}:", *(" " * style.unit + line for line in lines)]

    def flow(self) -> str:
        """Return it as it stands in braces or brackets."""
        return flow(self.value) if self.name is None else f"{flow(self.name)}: {flow(self.value)}"

    def alone(self) -> str:
        """Return the collection on one line that has nothing but it."""
        return f"[{self.flow()}]" if self.name is None else f"{{{self.flow()}}}"


def add_section(document: Document, key: str, new: New, head: Mapping[str, Any]) -> str:
    """Return the text with a key at the root, and one item below it, at the end.

    Args:
        document: The document, which has no such key.
        key: The key.
        new: The item.
        head: What stands before it where the document has nothing yet.
    """
    text, root, style = document.text, document.root, _style_of(document)
    if root and root.is_flow:
        return _flow_add(text, root, f"{flow(key)}: {new.alone()}")
    column = column_of(text, root.items[0].start) if root and root.items else 0
    indent = " " * (style.unit if new.kind == "mapping" else style.offset)
    lines = [*(block(head, style=style) if head and not root else []), f"{written_key(key)}:"]
    lines += [indent + line for line in new.lines(style)]
    return _put(text, document.end, [" " * column + line for line in lines])


def add(document: Document, section: Item, new: New) -> str:
    """Return the text with an item at the end of a section, in the way in which the section is written.

    Args:
        document: The document.
        section: The section, an item of the root: a mapping or a list, or nothing yet.
        new: The item.
    """
    text, node, style = document.text, section.node, _style_of(document)
    column = column_of(text, section.start)
    is_inside_flow = document.root is not None and document.root.is_flow
    if is_inside_flow and node.is_nothing:
        return text[: node.start] + _space_before(text, node.start) + new.alone() + text[node.end :]
    colon = _behind_colon(text, section)
    if node.is_nothing or (text[colon : node.end] == _EMPTY[new.kind] and not is_inside_flow):
        start = max(colon, len(text[: node.start].rstrip(" ")))
        text = text[:start] + text[node.end :]
        columns = column + (style.unit if new.kind == "mapping" else style.offset)
        return _put(text, _behind_comments(text, start, column), [" " * columns + line for line in new.lines(style)])
    if node.is_flow:
        return _flow_add(text, node, new.flow())
    indent = " " * column_of(text, node.items[0].start)
    return _put(text, _behind_comments(text, node.end, column), [indent + line for line in new.lines(style)])


def replace(document: Document, item: Item, new: New) -> str:
    """Return the text with another key and value for an item, which stays where it stands."""
    text, node, style = document.text, item.node, _style_of(document)
    start, end = node.start, node.start + len(text[node.start : node.end].rstrip(" \r\n"))
    if node.kind == "mapping" and not node.is_flow:
        start = node.items[0].start
        value = (newline_of(text) + " " * column_of(text, start)).join(block(new.value, style=style))
    else:
        value = _space_before(text, start) + flow(new.value)
    text = text[:start] + value + text[end:]
    if item.key is None or new.name is None or item.key.value == new.name:
        return text
    is_quoted = text[item.key.start] in "\"'"
    name = flow(new.name) if is_quoted else written_key(new.name)
    return text[: item.key.start] + name + text[item.key.end :]


def remove(document: Document, section: Item, item: Item) -> str:
    """Return the text without an item of a section, and without the lines or the comma that it needed.

    The last one leaves an empty mapping or list behind: a key with nothing would be an error to some applications.

    Raises:
        Unparsable: Its lines are not its own.
    """
    text, node = document.text, section.node
    if node.is_flow:
        return _flow_remove(text, node, node.items.index(item))
    start, stop = line_start(text, item.start), _line_end(text, item.node.end)
    if text[start : item.start].strip(" "):
        refuse(text, item.start, "the entry begins behind something else on its line", document.path)
    if not _LAST_BREAK.search(text, 0, stop) and (last := _LAST_BREAK.search(text, 0, start)):
        start = last.start()
    if len(node.items) > 1:
        return text[:start] + text[stop:]
    colon = _behind_colon(text, section)
    return text[:colon] + _EMPTY[node.kind] + text[colon:start] + text[stop:]


def _style_of(document: Document) -> Style:
    """Return how a file is indented, as far as it shows that."""
    below = list(_indents(document.text, document.root)) if document.root else []
    unit = next((columns for kind, columns in below if kind == "mapping"), 2)
    return Style(unit=unit, offset=next((columns for kind, columns in below if kind == "sequence"), unit))


def _indents(text: str, node: Node) -> Iterator[tuple[Kind, int]]:
    for item in node.items:
        if item.key and item.node.items and not item.node.is_flow:
            yield item.node.kind, column_of(text, item.node.items[0].start) - column_of(text, item.start)
        yield from _indents(text, item.node)


def _put(text: str, at: int, lines: list[str]) -> str:
    newline = newline_of(text)
    added = newline.join(lines)
    if at == 0 or text[at - 1] in "\r\n" + BOM:
        return text[:at] + added + newline + text[at:]
    return text[:at] + newline + added + text[at:]


def _line_end(text: str, at: int) -> int:
    """Return where the next line begins; the same offset if one begins there."""
    if at and text[at - 1] in "\r\n":
        return at
    match = _REST_OF_LINE.match(text, at)
    return match.end() if match else at


def _behind_comments(text: str, at: int, column: int) -> int:
    """Return where the lines end that belong to what ends at an offset: its own, and comments deeper than a column."""
    at = _line_end(text, at)
    while (match := _COMMENT_LINE.match(text, at)) and len(match[1]) > column:
        at = match.end()
    return at


def _behind_colon(text: str, item: Item) -> int:
    end = item.key.end if item.key else item.start
    match = _COLON.match(text, end)
    return match.end() if match else end


def _space_before(text: str, at: int) -> str:
    return " " if text[at - 1] == ":" else ""


def _flow_add(text: str, node: Node, added: str) -> str:
    inside = _inside(text, node)
    if not node.items:
        return text[:inside] + added + text[inside:]
    last = node.items[-1]
    before = node.items[-2].node.end if len(node.items) > 1 else inside
    is_spread = any(character in text[before : last.start] for character in "\r\n")
    lead = newline_of(text) + " " * column_of(text, last.start) if is_spread else " "
    return f"{text[: last.node.end]},{lead}{added}{text[last.node.end :]}"


def _flow_remove(text: str, node: Node, index: int) -> str:
    item = node.items[index]
    start, end = item.start, item.node.end
    if index:
        before = node.items[index - 1].node.end
        if "#" not in text[before:start]:
            return text[:before] + text[end:]
        comma = _behind_comma(text, before)
        return text[: comma - 1] + text[comma:start] + text[end:]
    comma = _behind_comma(text, end)
    if len(node.items) > 1 and "#" not in text[end : node.items[1].start]:
        return text[:start] + text[node.items[1].start :]
    return text[:start] + (text[end : comma - 1] + text[comma:] if comma > end else text[end:])


def _behind_comma(text: str, at: int) -> int:
    match = _COMMA.match(text, at)
    return match.end() if match else at


def _inside(text: str, node: Node) -> int:
    match = _BRACKET.search(text, node.start)
    return match.end() if match else node.start
