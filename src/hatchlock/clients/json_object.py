"""JSON files that list servers as the members of one object, at the root or elsewhere.

`mcpServers` at the root is how Claude Code, Cursor and most others read it; others have `servers`, `mcp.servers`, or
`amp.mcpServers` as one name. Only the object at its own place counts; objects of the same name elsewhere
(`projects[…].mcpServers`) and its neighbours (VS Code's `inputs`) are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hatchlock.clients import json5_text
from hatchlock.clients.dialect import Entry
from hatchlock.clients.file_text import BOM, Unparsable, decoded, newline_of
from hatchlock.clients.json_text import (
    Member,
    Node,
    append,
    parse,
    remove,
    rename,
    render,
    replace,
)

__all__ = ["Form", "JsonObject"]

Form = Literal["jsonc", "json5"]


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A `Dialect`: the members of one object of a JSON document.

    Attributes:
        place: The names that lead from the root to that object.
        form: What the application reads: JSON, with comments and trailing commas as most of them tolerate, or JSON5. What we
            write is plain JSON in both.
    """

    place: tuple[str, ...]
    form: Form = "jsonc"

    def read(self, data: bytes, *, path: str = "") -> Mapping[str, Entry]:
        """See `Dialect.read`."""
        text = decoded(data, path)
        if _is_blank(text):
            return {}
        chain = self._chain(text, path)
        members = chain[-1].members if len(chain) > len(self.place) else ()
        return {member.name: Entry(value=member.node.value, span=_span(text, member.node)) for member in members}

    def set(self, data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.set`."""
        text = decoded(data, path)
        if _is_blank(text):
            document = render(_within(self.place, {name: value}), newline=newline_of(text), indent="", unit="  ")
            return (text[: text.startswith(BOM)] + document + newline_of(text)).encode()
        chain = self._chain(text, path)
        root, parent, missing = chain[0], chain[-1], self.place[len(chain) - 1 :]
        if missing:
            made = _within(missing[1:], {name: value})
            return append(text, root=root, parent=parent, name=missing[0], value=made).encode()
        member = parent.member(name)
        if member is None:
            return append(text, root=root, parent=parent, name=name, value=value).encode()
        if member.node.value == value:
            return data
        return replace(text, root=root, member=member, value=value).encode()

    def rename(self, data: bytes, old: str, new: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.rename`."""
        text = self.set(data, old, value, path=path).decode()
        if member := self._member(text, old, path)[1]:
            text = rename(text, member=member, name=new)
        return self.remove(text.encode(), old, path=path)

    def remove(self, data: bytes, name: str, *, path: str = "") -> bytes:
        """See `Dialect.remove`. The object itself stays, even empty, and so do those around it, whoever made them."""
        text = decoded(data, path)
        if _is_blank(text):
            return data
        while True:
            parent, member = self._member(text, name, path)
            if member is None:
                return text.encode()
            text = remove(text, parent=parent, member=member)

    def _member(self, text: str, name: str, path: str) -> tuple[Node, Member | None]:
        chain = self._chain(text, path)
        return chain[-1], chain[-1].member(name) if len(chain) > len(self.place) else None

    def _chain(self, text: str, path: str) -> list[Node]:
        """Return the root and the objects below it that lead to the servers, as far as they are there."""
        read = json5_text.parse if self.form == "json5" else parse
        node = read(text, path=path, inside=self.place)
        if not isinstance(node.value, dict):
            _refuse(text, node, "its root is no object", path)
        chain = [node]
        for name in self.place:
            member = node.member(name)
            if member is None:
                break
            node = member.node
            if not isinstance(node.value, dict):
                _refuse(text, node, f"{name} is no object", path)
            chain.append(node)
        return chain


def _within(names: tuple[str, ...], value: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in reversed(names):
        value = {name: value}
    return value


def _is_blank(text: str) -> bool:
    return not text.removeprefix(BOM).strip(" \t\r\n")


def _refuse(text: str, node: Node, why: str, path: str) -> None:
    line = text.count("\n", 0, node.start) + 1
    raise Unparsable(path=path, line=line, column=node.start - text.rfind("\n", 0, node.start), why=why)


def _span(text: str, node: Node) -> tuple[int, int]:
    if text.isascii():
        return node.start, node.end
    start = len(text[: node.start].encode())
    return start, start + len(text[node.start : node.end].encode())
