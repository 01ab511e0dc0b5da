"""TOML files that list servers as tables of one table (Codex), or as an array of tables that bear their names (Mistral Vibe).

An entry is edited in the way in which it stands there: under headers of its own, with dotted keys, or inline. An edit is
handed out only if `tomllib` reads in it what was meant, and everything else as before.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from itertools import pairwise
from math import isfinite
from typing import Any, NoReturn

from hatchlock.clients.dialect import Entry
from hatchlock.clients.file_text import BOM, Unparsable, decoded
from hatchlock.clients.toml_scan import Span, Statement, first_runs, items, members, runs, scan
from hatchlock.clients.toml_text import (
    add_block,
    add_item,
    add_member,
    remove_item,
    remove_member,
    remove_run,
    replace_table,
)
from hatchlock.lock.toml import dump_key, dump_value
from hatchlock.manifest.read import check_depth
from hatchlock.manifest.toml_words import toml_words

__all__ = ["TomlArray", "TomlTables"]

_POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class TomlTables:
    """A `Dialect`: the tables below one table, `[TABLE.NAME]`, however they are written.

    The span of an entry that has headers begins with the first of them. Of an entry that stands in several places it is the
    first place; the others are edited too.

    Attributes:
        table: The key of the table.
    """

    table: str

    def read(self, data: bytes, *, path: str = "") -> Mapping[str, Entry]:
        """See `Dialect.read`."""
        file = _parsed(data, path)
        servers = self._servers(file)
        spans = self._spans(file) if servers else {}
        places = _in_bytes(file.text, [spans[name] for name in servers])
        return {
            name: Entry(value=value, span=span) for (name, value), span in zip(servers.items(), places, strict=True)
        }

    def set(self, data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.set`.

        Raises:
            ValueError: TOML has no such value.
        """
        file, value = _parsed(data, path), _writable(value)
        servers = self._servers(file)
        if name not in servers:
            text = self._added(file, name, value)
        elif servers[name] == _plain(value):
            return data
        else:
            text = self._replaced(file.text, name, name, value)
        return _judged(file, text, self.table, {**servers, name: value})

    def rename(self, data: bytes, old: str, new: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.rename`.

        Raises:
            ValueError: TOML has no such value.
        """
        file, value = _parsed(data, path), _writable(value)
        others = {name: item for name, item in self._servers(file).items() if name != old}
        return _judged(file, self._replaced(file.text, old, new, value), self.table, {**others, new: value})

    def remove(self, data: bytes, name: str, *, path: str = "") -> bytes:
        """See `Dialect.remove`. A header of all servers stays, and so does a table that is written inline, even empty."""
        file = _parsed(data, path)
        others = {other: item for other, item in self._servers(file).items() if other != name}
        return _judged(file, self._reduced(file.text, name, to=0), self.table, others)

    def _servers(self, file: _File) -> dict[str, Any]:
        servers = file.value.get(self.table, {})
        if not isinstance(servers, dict):
            _refuse(file, self.table, "no table")
        return servers

    def _spans(self, file: _File) -> dict[str | int, Span]:
        if container := _inline(file.statements, self.table):
            found: dict[str | int, Span] = {}
            for member in members(file.text, container):
                whole = Span(start=member.start, end=member.value.end)
                found.setdefault(member.key[0], member.value if len(member.key) == 1 else whole)
            return found
        return {
            name: run.first.value
            if run.first.value and run.first.path == (self.table, name)
            else Span(start=run.first.start, end=run.last.end)
            for name, run in first_runs(file.statements, (self.table,)).items()
        }

    def _header(self, name: str) -> str:
        return f"[{dump_key(self.table)}.{dump_key(name)}]"

    def _added(self, file: _File, name: str, value: Mapping[str, Any]) -> str:
        if container := _inline(file.statements, self.table):
            return add_member(file.text, container, _pair(name, value))
        return add_block(file.text, file.statements, self.table, self._header(name), _pairs(value))

    def _replaced(self, text: str, old: str, new: str, value: Mapping[str, Any]) -> str:
        text = self._reduced(text, old, to=1)
        statements = scan(text)
        if container := _inline(statements, self.table):
            member = next(member for member in members(text, container) if member.key[0] == old)
            place = Span(start=member.start, end=member.value.end)
            return _put(text, place, member.value if member.key == (new,) else None, new, value)
        run = runs(statements, (self.table, old))[0]
        first, is_same = run.first, run.first.path == (self.table, new)
        if first.is_header:
            return replace_table(text, run, "" if is_same else self._header(new), _pairs(value))
        place = Span(start=first.start, end=run.last.end)
        outer = "" if first.depth else f"{dump_key(self.table)}."
        return _put(text, place, first.value if is_same else None, new, value, outer=outer)

    def _reduced(self, text: str, name: str, *, to: int) -> str:
        """Return the text in which an entry stands in so many places at most; the first ones stay."""
        statements = scan(text)
        container = _inline(statements, self.table)
        if container is None:
            return _reduced(text, statements, (self.table, name), to=to)
        found = [index for index, member in enumerate(members(text, container)) if member.key[0] == name]
        for index in reversed(found[to:]):
            text = remove_member(text, container, index)
        return text


@dataclass(frozen=True, slots=True)
class TomlArray:
    """A `Dialect`: the elements of an array of tables, `[[ARRAY]]`, that have a name; or of one in brackets.

    Of elements with one name the last one counts. What has no name is left alone.

    Attributes:
        array: The key of the array.
        name: The member with an element's name.
    """

    array: str
    name: str = "name"

    def read(self, data: bytes, *, path: str = "") -> Mapping[str, Entry]:
        """See `Dialect.read`."""
        file = _parsed(data, path)
        named = self._named(self._elements(file))
        spans = self._spans(file) if named else {}
        places = _in_bytes(file.text, [spans[index] for index, _ in named])
        return {
            element[self.name]: Entry(
                value={key: value for key, value in element.items() if key != self.name}, span=span
            )
            for (_, element), span in zip(named, places, strict=True)
        }

    def set(self, data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.set`.

        Raises:
            ValueError: TOML has no such value.
        """
        file, wanted = _parsed(data, path), self._element(name, value)
        elements = self._elements(file)
        found = self._indices(elements, name)
        if not found:
            return _judged(file, self._added(file, wanted), self.array, [*elements, wanted])
        index = found[-1]
        if elements[index] == _plain(wanted):
            return data
        text = self._replaced(file.text, index, wanted)
        return _judged(file, text, self.array, [*elements[:index], wanted, *elements[index + 1 :]])

    def rename(self, data: bytes, old: str, new: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.rename`.

        Raises:
            ValueError: TOML has no such value.
        """
        file, wanted = _parsed(data, path), self._element(new, value)
        elements = self._elements(file)
        *others, last = self._indices(elements, old)
        text = self._replaced(file.text, last, wanted)
        renamed = [wanted if index == last else item for index, item in enumerate(elements) if index not in others]
        return _judged(file, self._without(text, others), self.array, renamed)

    def remove(self, data: bytes, name: str, *, path: str = "") -> bytes:
        """See `Dialect.remove`. An array in brackets stays, even empty."""
        file = _parsed(data, path)
        elements = self._elements(file)
        doomed = self._indices(elements, name)
        rest = [item for index, item in enumerate(elements) if index not in doomed]
        return _judged(file, self._without(file.text, doomed), self.array, rest)

    def _elements(self, file: _File) -> list[Any]:
        elements = file.value.get(self.array, [])
        if not isinstance(elements, list):
            _refuse(file, self.array, "no array")
        return elements

    def _named(self, elements: list[Any]) -> list[tuple[int, dict[str, Any]]]:
        return [
            (index, element)
            for index, element in enumerate(elements)
            if isinstance(element, dict) and isinstance(element.get(self.name), str)
        ]

    def _indices(self, elements: list[Any], name: str) -> list[int]:
        return [index for index, element in self._named(elements) if element[self.name] == name]

    def _element(self, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        return {self.name: name, **{key: item for key, item in _writable(value).items() if key != self.name}}

    def _spans(self, file: _File) -> dict[str | int, Span]:
        if container := _inline(file.statements, self.array):
            return {index: item.value for index, item in enumerate(items(file.text, container))}
        return {
            index: Span(start=run.first.start, end=run.last.end)
            for index, run in first_runs(file.statements, (self.array,)).items()
        }

    def _added(self, file: _File, element: Mapping[str, Any]) -> str:
        if container := _inline(file.statements, self.array):
            return add_item(file.text, container, dump_value(element))
        header = f"[[{dump_key(self.array)}]]"
        return add_block(file.text, file.statements, self.array, header, _pairs(element))

    def _replaced(self, text: str, index: int, element: Mapping[str, Any]) -> str:
        if container := _inline(scan(text), self.array):
            item = items(text, container)[index].value
            return text[: item.start] + dump_value(element) + text[item.end :]
        text = _reduced(text, scan(text), (self.array, index), to=1)
        return replace_table(text, runs(scan(text), (self.array, index))[0], "", _pairs(element))

    def _without(self, text: str, indices: list[int]) -> str:
        for index in reversed(indices):
            statements = scan(text)
            if container := _inline(statements, self.array):
                text = remove_item(text, container, index)
            else:
                text = _reduced(text, statements, (self.array, index), to=0)
        return text


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    path: str
    text: str
    value: dict[str, Any]
    statements: tuple[Statement, ...]


def _parsed(data: bytes, path: str) -> _File:
    text = decoded(data, path)
    return _File(path=path, text=text, value=_loaded(text, path), statements=scan(text))


def _loaded(text: str, path: str) -> dict[str, Any]:
    try:
        check_depth(text)
        value: dict[str, Any] = _plain(tomllib.loads(text.removeprefix(BOM)))
    except RecursionError as error:
        raise Unparsable(path=path, line=1, column=1, why="it is nested too deeply") from error
    except ValueError as error:  # also a number that is too long for Python
        message = str(error)
        match = _POSITION.search(message)
        last = text.rstrip("\n")
        at_end = (last.count("\n") + 1, len(last) - last.rfind("\n"))
        line, column = (int(match[1]), int(match[2])) if match and match[1] else at_end
        words, _ = toml_words(_POSITION.sub("", message))
        raise Unparsable(path=path, line=line, column=column, why=f"it is not valid TOML 1.0: {words}") from error
    return value


def _reduced(text: str, statements: tuple[Statement, ...], prefix: tuple[str | int, ...], *, to: int) -> str:
    """Return the text in which a table stands in so many places at most; the first ones stay."""
    for run in reversed(runs(statements, prefix)[to:]):
        text = remove_run(text, run)
    return text


def _put(text: str, place: Span, old: Span | None, name: str, value: Mapping[str, Any], *, outer: str = "") -> str:
    """Return the text with another value for a key; with the key as well, if it does not have that value alone."""
    if old:
        return text[: old.start] + dump_value(value) + text[old.end :]
    return text[: place.start] + outer + _pair(name, value) + text[place.end :]


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value without what only TOML has: dates, and what is no number, become text."""
    if depth > _DEEPEST:
        raise RecursionError
    match value:
        case dict():
            return {name: _plain(item, depth + 1) for name, item in value.items()}
        case list():
            return [_plain(item, depth + 1) for item in value]
        case date() | time():
            return value.isoformat()
        case float() if not isfinite(value):
            return str(value)
    return value


def _writable(value: Any) -> Any:
    match value:
        case Mapping():
            return {_writable(name): _writable(item) for name, item in value.items()}
        case list() | tuple():
            return [_writable(item) for item in value]
        case None:
            raise ValueError("its file has no way to write null")
        case str() if _HALF_CHARACTER.search(value):
            raise ValueError("its file has no way to write half a character")
    return value


def _pair(name: str, value: Any) -> str:
    return f"{dump_key(name)} = {dump_value(value)}"


def _pairs(value: Mapping[str, Any]) -> list[str]:
    return [_pair(name, item) for name, item in value.items()]


def _inline(statements: tuple[Statement, ...], name: str) -> Span | None:
    """Return the value of a key at the top, where all of it is written as one value."""
    return next((statement.value for statement in statements if statement.path == (name,)), None)


def _refuse(file: _File, name: str, what: str) -> NoReturn:
    statement = next(statement for statement in file.statements if statement.path[0] == name)
    line = file.text.count("\n", 0, statement.start) + 1
    column = statement.start - file.text.rfind("\n", 0, statement.start)
    raise Unparsable(path=file.path, line=line, column=column, why=f"{name} is {what}")


def _judged(file: _File, text: str, name: str, servers: dict[str, Any] | list[Any]) -> bytes:
    """Return the edited text's bytes, if it means what it should.

    Raises:
        Unparsable: It does not. That would be a mistake of ours, and the file is not to suffer from it.
    """
    wanted = {**file.value, name: _plain(servers)}
    try:
        found = _loaded(text, file.path)
    except Unparsable:
        found = {}
    if not servers and name not in found:
        del wanted[name]
    if found != wanted:
        raise Unparsable(path=file.path, line=1, column=1, why="more than the entry would change")
    return text.encode()


def _in_bytes(text: str, spans: Sequence[Span]) -> list[tuple[int, int]]:
    if text.isascii():
        return [(span.start, span.end) for span in spans]
    sizes = {0: 0}
    for before, at in pairwise(sorted({0, *(at for span in spans for at in (span.start, span.end))})):
        sizes[at] = sizes[before] + len(text[before:at].encode())
    return [(sizes[span.start], sizes[span.end]) for span in spans]
