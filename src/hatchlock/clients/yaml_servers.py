"""YAML files that list servers below one key of the root: by their names (Goose), or in a list (Continue).

An edit is handed out only if the parser reads in it what was meant, and everything else as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hatchlock.clients.dialect import Entry
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.yaml_edits import New, add, add_section, remove, replace
from hatchlock.clients.yaml_text import Document, Item, Kind, Node, is_merge, name_of, parse, refuse

__all__ = ["YamlServers"]


@dataclass(frozen=True, slots=True)
class YamlServers:
    """A `Dialect`: the members of a mapping, or the elements of a list that have a name.

    In a list, the last one of a name counts, and what has no name is left alone. A value lacks its name where that is the
    entry's.

    Attributes:
        key: The key of the root below which the servers are.
        is_list: Whether they are a list.
        name: The member of an entry with its name; in a mapping "" if there is none.
        head: What a file begins with that has nothing yet, because the application insists.
    """

    key: str
    is_list: bool = False
    name: str = "name"
    head: Mapping[str, Any] = field(default_factory=dict)

    def read(self, data: bytes, *, path: str = "") -> Mapping[str, Entry]:
        """See `Dialect.read`."""
        document = parse(data, path=path)
        section = self._section(document)
        return {
            name: Entry(
                value=self._value(item, name),
                span=_in_bytes(document.text, item.node),
                refusal=_refusal(document, section.node if section else item.node, item.node),
            )
            for name, item in self._entries(document)
        }

    def set(self, data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.set`.

        Raises:
            ValueError: YAML has no way to write the value.
        """
        document, new = parse(data, path=path), self._new(name, value)
        section, item = self._section(document), self._entry(document, name)
        if item and item.node.value == new.value:
            return data
        if section is None:
            text = add_section(document, self.key, new, self.head)
        elif item is None:
            _check_free(document, section.node)
            text = add(document, section, new)
        else:
            _check_free(document, section.node, item.node)
            text = replace(document, item, new)
        return self._judged(document, text, frozenset([name]), name, new)

    def rename(self, data: bytes, old: str, new: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.rename`.

        Raises:
            ValueError: YAML has no way to write the value.
        """
        document, wanted = parse(data, path=path), self._new(new, value)
        section, item = self._section(document), self._entry(document, old)
        if section is None or item is None:
            return data
        _check_free(document, section.node, item.node)
        text = replace(document, item, wanted)
        if self.is_list:
            text = self._without(parse(text.encode(), path=path), old)
        return self._judged(document, text, frozenset([old, new]), new, wanted)

    def remove(self, data: bytes, name: str, *, path: str = "") -> bytes:
        """See `Dialect.remove`. The mapping or the list itself stays, even empty."""
        document = parse(data, path=path)
        if self._entry(document, name) is None:
            return data
        return self._judged(document, self._without(document, name), frozenset([name]), name, None)

    @property
    def _kind(self) -> Kind:
        return "sequence" if self.is_list else "mapping"

    def _without(self, document: Document, name: str) -> str:
        while (section := self._section(document)) and (item := self._entry(document, name)):
            _check_free(document, section.node, item.node)
            text = remove(document, section, item)
            if not self.is_list:
                return text
            document = parse(text.encode(), path=document.path)
        return document.text

    def _section(self, document: Document) -> Item | None:
        items = document.root.items if document.root else ()
        found = next((item for item in items if item.key and name_of(item.key) == self.key), None)
        if found is None:
            for item in items:
                self._check_not_merged(document, item)
            return None
        if found.node.kind != self._kind and not found.node.is_nothing:
            what = "no list" if self.is_list else "no mapping"
            refuse(document.text, found.node.start, f"{self.key} is {what}", document.path)
        for item in found.node.items:
            self._check_not_merged(document, item)
        return found

    def _check_not_merged(self, document: Document, item: Item) -> None:
        if item.key and is_merge(item.key):
            why = f"{self.key} may be merged from elsewhere here, and applications differ on that"
            refuse(document.text, item.start, why, document.path)

    def _entries(self, document: Document) -> list[tuple[str, Item]]:
        section = self._section(document)
        named = [(self._name(item), item) for item in (section.node.items if section else ())]
        return [(name, item) for name, item in named if name is not None]

    def _entry(self, document: Document, name: str) -> Item | None:
        return next((item for other, item in reversed(self._entries(document)) if other == name), None)

    def _judged(self, document: Document, text: str, touched: frozenset[str], name: str, new: New | None) -> bytes:
        """Return the edited text's bytes, if it means what it should.

        Raises:
            Unparsable: It does not: the layout is one that these edits do not know. The file is not to suffer from it.
        """
        try:
            after = parse(text.encode(), path=document.path)
            item = self._entry(after, name)
            found = item.node.value if item else None
            is_meant = found == (new.value if new else None)
            is_meant &= not document.root or self._others(document, touched) == self._others(after, touched)
        except Unparsable:
            is_meant = False
        if not is_meant:
            section = self._section(document)
            at = section.start if section else document.end
            refuse(document.text, at, f"more than the entry would change below {self.key}", document.path)
        return text.encode()

    def _others(self, document: Document, touched: frozenset[str]) -> tuple[list[Any], list[Any]]:
        """Return what stands outside the section, and in it beside some entries."""
        section = self._section(document)
        outside = [item.form for item in document.root.items if item is not section] if document.root else []
        inside = section.node.items if section else ()
        return outside, [item.form for item in inside if self._name(item) not in touched]

    def _name(self, item: Item) -> str | None:
        if item.key:
            return name_of(item.key)
        name = item.node.value.get(self.name) if isinstance(item.node.value, dict) else None
        return name if isinstance(name, str) else None

    def _value(self, item: Item, name: str) -> Any:
        value = _plain(item.node.value)
        if isinstance(value, dict) and value.get(self.name) == name:
            del value[self.name]
        return value

    def _new(self, name: str, value: Mapping[str, Any]) -> New:
        named = {self.name: name} if self.name else {}
        return New(
            name=None if self.is_list else name, value=_plain({**named, **value, **(named if self.is_list else {})})
        )


def _check_free(document: Document, section: Node, item: Node | None = None) -> None:
    """Refuse what is tied to something elsewhere in the file: an edit would change that, or lose it."""
    tie = section.start if section.is_anchored else item.tie if item else None
    if tie is not None:
        refuse(document.text, tie, "an anchor, alias or merge key here ties the entry to others", document.path)


def _refusal(document: Document, section: Node, item: Node) -> Unparsable | None:
    try:
        _check_free(document, section, item)
    except Unparsable as error:
        return error
    return None


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def _in_bytes(text: str, node: Node) -> tuple[int, int]:
    if text.isascii():
        return node.start, node.end
    start = len(text[: node.start].encode())
    return start, start + len(text[node.start : node.end].encode())
