"""Editing a manifest's text: comments, order and formatting outside the edited server stay as they are, byte for byte.

Servers are cut out and put in as whole lines. Only where a server stands inside an inline table of several (`servers =
{ … }`) does the TOML library rewrite that table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import tomlkit
from tomlkit.items import InlineTable

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.manifest.lines import Statement, statements
from hatchlock.manifest.problem import did_you_mean
from hatchlock.manifest.read import parse
from hatchlock.paths import MANIFEST_NAME

__all__ = [
    "ServerExists",
    "UnknownServer",
    "add_server",
    "add_tables",
    "new_manifest",
    "remove_server",
    "remove_servers",
]

_WIDTH = 100
_PLAIN = re.compile(r"[ !#-\[\]-~]*")
"""Texts that stand in quotation marks as they are: nearly all, and tomlkit takes its time with each."""


@dataclass(kw_only=True, eq=False)
class ServerExists(HatchlockError):
    """The manifest has a server of this name already."""

    code: ClassVar[str] = "server-exists"

    name: str

    def __str__(self) -> str:
        return f"the manifest already has a server {self.name!r}"

    def _hint(self) -> str:
        return f"choose another name with --name, or `hatchlock remove {self.name}` first"


@dataclass(kw_only=True, eq=False)
class UnknownServer(HatchlockError):
    """The manifest has no server of this name."""

    code: ClassVar[str] = "unknown-server"

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"the manifest has no server {self.name!r}"

    def _hint(self) -> str:
        return did_you_mean(self.name, self.known, f"it has {', '.join(self.known)}" if self.known else "it has none")


def new_manifest(name: str, platforms: Iterable[str]) -> str:
    """Return the text of a manifest without servers.

    Args:
        name: The project's name.
        platforms: What is to be locked for; at least one.
    """
    listed = ", ".join(_quoted(platform) for platform in platforms)
    return f"""\
# What hatchlock keeps on this project's machines. `hatchlock add SOURCE` writes a server into it.

[project]
name = {_quoted(name)}
requires-hatchlock = ">=0.1"
platforms = [{listed}]
"""


def add_server(text: str, name: str, fields: Mapping[str, Any]) -> str:
    """Return the manifest with one more server, after the last one that it has (else at the end).

    Args:
        text: A manifest.
        name: The server's name.
        fields: Its keys, as in the manifest; tables become `[servers.NAME.KEY]`.

    Raises:
        ServerExists: It has a server of this name.
        ManyErrors: It is not valid TOML.
    """
    if name in _read(text).get("servers", {}):
        raise ServerExists(name=name, address=f"server:{name}")
    return add_tables(text, "servers", {name: fields})


def add_tables(text: str, kind: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the manifest with more `[KIND.NAME]`, after the last one of their kind (else at the end).

    Args:
        text: A manifest, which has none of these names.
        kind: `servers`, `environments` or `clients`.
        tables: Name -> its keys, as in the manifest; tables become `[KIND.NAME.KEY]`.

    Raises:
        ManyErrors: It is not valid TOML.
    """
    before = _read(text)
    if not tables:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    blocks = ["\n".join(_lines_of_table(kind, name, fields)) + "\n" for name, fields in tables.items()]
    block = "\n".join(blocks).replace("\n", newline)
    head, tail = _split_after(text, kind)
    if head and not head.endswith("\n"):
        head += newline
    gap = newline if head and not head.endswith(("\n\n", "\n\r\n")) else ""
    tail_gap = newline if tail.strip() and not tail.startswith(("\n", "\r\n")) else ""
    result = head + gap + block + tail_gap + tail
    wanted = {**before, kind: {**before.get(kind, {}), **tables}}
    return result if _means(result, wanted) else _add_inline(text, kind, tables)


def remove_server(text: str, name: str) -> str:
    """Return the manifest without a server: its tables, sub-tables, dotted keys, and the comment right above them.

    Args:
        text: A manifest.
        name: The server's name.

    Raises:
        UnknownServer: It has no server of this name.
        ManyErrors: It is not valid TOML.
    """
    before = _read(text)
    servers = _servers_in(before)
    if name not in servers:
        raise _unknown(name, servers)
    rest = {key: value for key, value in servers.items() if key != name}
    result = _without_lines(text, _lines_of_server(text, name))
    after = {**before, "servers": rest}
    if _means(result, after) or (not rest and _means(result, {**after, "servers": None})):
        return result
    return _remove_inline(text, name)


def remove_servers(text: str, names: Iterable[str]) -> str:
    """Return the manifest without several servers, as `remove_server` removes one.

    Args:
        text: A manifest.
        names: The servers' names; one that is said twice counts once.

    Raises:
        UnknownServer: It has no server of one of these names.
        ManyErrors: It has none of several; or it is not valid TOML.
    """
    servers, doomed = _servers_in(_read(text)), tuple(dict.fromkeys(names))
    unknown = tuple(_unknown(name, servers) for name in doomed if name not in servers)
    if unknown:
        raise ManyErrors(errors=unknown) if unknown[1:] else unknown[0]
    for name in doomed:
        text = remove_server(text, name)
    return text


def _servers_in(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    servers = manifest.get("servers", {})
    return servers if isinstance(servers, dict) else {}


def _unknown(name: str, servers: Mapping[str, Any]) -> UnknownServer:
    return UnknownServer(name=name, known=tuple(sorted(servers)), address=f"server:{name}")


def _read(text: str) -> dict[str, Any]:
    toml = parse(text.encode(), shown=MANIFEST_NAME)
    if toml.broken:
        raise ManyErrors(errors=(toml.broken,))
    return toml.data


def _means(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == {key: value for key, value in wanted.items() if value is not None}
    except tomllib.TOMLDecodeError:
        return False


def _quoted(text: str) -> str:
    return tomlkit.string(text).as_string()


def _lines_of_table(kind: str, name: str, fields: Mapping[str, Any]) -> Iterable[str]:
    table = f"{kind}.{name if re.fullmatch('[A-Za-z0-9_-]+', name) else _quoted(name)}"
    yield f"[{table}]"
    yield from (f"{key} = {_value(value)}" for key, value in fields.items() if not isinstance(value, Mapping))
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield f"\n[{table}.{key}]"
            yield from (f"{_key(inner)} = {_value(item)}" for inner, item in value.items())


def _key(text: str) -> str:
    return text if re.fullmatch("[A-Za-z0-9_-]+", text) else _quoted(text)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        items = [_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) <= _WIDTH else "[\n" + "".join(f"  {item},\n" for item in items) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return f'"{value}"'
    return str(tomlkit.item(value).as_string())


def _split_after(text: str, table: str) -> tuple[str, str]:
    """Split before the first table that follows the last one of a kind, and before the comment that belongs to it."""
    found = statements(text)
    mine = (index for index, item in enumerate(found) if item.header and item.path[:1] == (table,))
    last = max(mine, default=None)
    following = [] if last is None else [item for item in found[last + 1 :] if item.header]
    if not following:
        return text, ""
    lines = _lines(text)
    at = _with_comment_above(lines, following[0].first) - 1
    return "".join(lines[:at]), "".join(lines[at:])


def _with_comment_above(lines: list[str], first: int) -> int:
    """Return the first line of the comment that stands directly above a line, or that line."""
    while first > 1 and lines[first - 2].lstrip().startswith("#"):
        first -= 1
    return first


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _lines_of_server(text: str, name: str) -> set[int]:
    """Return the numbers of the lines that say something about a server, and of the comments that belong to them."""
    lines = _lines(text)
    doomed: set[int] = set()
    for section in _sections(statements(text)):
        mine = [item for item in section if item.path[:2] == ("servers", name)]
        for item in mine:
            doomed.update(range(_with_comment_above(lines, item.first), item.last + 1))
        if mine and mine[0].header:
            first, last = section[0].first, section[-1].last
            doomed.update(range(first, _end_of_section(lines, last) + 1))
    return doomed


def _sections(found: Iterable[Statement]) -> list[list[Statement]]:
    """Group statements by the table header that they stand under."""
    sections: list[list[Statement]] = [[]]
    for item in found:
        if item.header:
            sections.append([])
        sections[-1].append(item)
    return sections


def _end_of_section(lines: list[str], last: int) -> int:
    """Return the last line that a section takes with it: comments right below it, unless they lead to the next one."""
    end = last
    while end < len(lines) and lines[end].lstrip().startswith("#"):
        end += 1
    if end < len(lines) and lines[end].strip():
        return last
    while end < len(lines) and not lines[end].strip():
        end += 1
    return end


def _without_lines(text: str, doomed: set[int]) -> str:
    lines = _lines(text)
    kept = [line for number, line in enumerate(lines, start=1) if number not in doomed]
    at_end = bool(lines) and len(lines) in doomed
    while at_end and kept and not kept[-1].strip():
        kept.pop()
    return "".join(kept)


def _add_inline(text: str, kind: str, tables: Mapping[str, Mapping[str, Any]]) -> str:
    document = tomlkit.parse(text)
    there: Any = document[kind]
    for name, fields in tables.items():
        there[name] = _inline(fields)
    return tomlkit.dumps(document)


def _remove_inline(text: str, name: str) -> str:
    document = tomlkit.parse(text)
    servers: Any = document["servers"]
    del servers[name]
    return tomlkit.dumps(document)


def _inline(fields: Mapping[str, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    for key, value in fields.items():
        table[key] = _inline(value) if isinstance(value, Mapping) else value
    return table
