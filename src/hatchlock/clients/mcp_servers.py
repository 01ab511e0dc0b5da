"""The dialect `mcpServers`: a JSON object with one member per server, as Claude Code, Cursor and most others read it.

Pure functions from bytes to bytes. Every byte that is not part of the named entry, or of the comma that it needs, stays
as it is: comments, order, indentation, line ends, byte order mark, unknown and duplicate names. Only the object at the
root counts; objects of the same name elsewhere (`projects[…].mcpServers`) are never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.clients.json_text import (
    Member,
    Node,
    Unparsable,
    append,
    newline_of,
    parse,
    remove,
    rename,
    render,
    replace,
)

__all__ = ["Entry", "Unparsable", "read_entries", "remove_entry", "rename_entry", "set_entry"]

_ROOT = "mcpServers"
_BOM = "\ufeff"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One server in a client's file.

    Attributes:
        value: What stands there; an object, unless somebody made a mistake.
        span: The offsets, in bytes, of the value's first byte and behind its last one.
    """

    value: Any
    span: tuple[int, int]


def read_entries(data: bytes, *, path: str = "") -> Mapping[str, Entry]:
    """Return the entries of a file by name, in its order; of duplicates the last one. An empty file has none.

    Args:
        data: The file's bytes.
        path: Its name, for messages.

    Raises:
        Unparsable: It is not JSON in UTF-8, or `mcpServers` is no object.
    """
    text = _decode(data, path)
    if _is_blank(text):
        return {}
    _, servers = _locate(text, path)
    members = servers.node.members if servers else ()
    return {member.name: Entry(value=member.node.value, span=_span(text, member.node)) for member in members}


def set_entry(data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
    """Return the file with an entry added at the end, or with the value of the existing one replaced.

    An empty file becomes a minimal document. A value that is already there leaves the bytes as they are.

    Raises:
        Unparsable: As `read_entries`.
    """
    text = _decode(data, path)
    if _is_blank(text):
        document = render({_ROOT: {name: value}}, newline=newline_of(text), indent="", unit="  ")
        return (text[: text.startswith(_BOM)] + document + newline_of(text)).encode()
    root, servers = _locate(text, path)
    if servers is None:
        return append(text, root=root, parent=root, name=_ROOT, value={name: value}).encode()
    member = servers.node.member(name)
    if member is None:
        return append(text, root=root, parent=servers.node, name=name, value=value).encode()
    if member.node.value == value:
        return data
    return replace(text, root=root, member=member, value=value).encode()


def rename_entry(data: bytes, old: str, new: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
    """Return the file with an entry under another name, where it stands, and with another value.

    There is such an entry, and none of the new name. Duplicates of the old name go.

    Raises:
        Unparsable: As `read_entries`.
    """
    text = set_entry(data, old, value, path=path).decode()
    _, servers = _locate(text, path)
    if servers and (member := servers.node.member(old)):
        text = rename(text, member=member, name=new)
    return remove_entry(text.encode(), old, path=path)


def remove_entry(data: bytes, name: str, *, path: str = "") -> bytes:
    """Return the file without an entry (and without its duplicates); the same bytes if there is none.

    What `set_entry` added to an existing `mcpServers` goes away without a trace. `mcpServers` itself stays, even empty.

    Raises:
        Unparsable: As `read_entries`.
    """
    text = _decode(data, path)
    if _is_blank(text):
        return data
    while (servers := _locate(text, path)[1]) and (member := servers.node.member(name)):
        text = remove(text, parent=servers.node, member=member)
    return text.encode()


def _decode(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise Unparsable(path=path, line=line, column=column, why="it is not UTF-8") from error


def _is_blank(text: str) -> bool:
    return not text.removeprefix(_BOM).strip(" \t\r\n")


def _locate(text: str, path: str) -> tuple[Node, Member | None]:
    root = parse(text, path=path, inside=(_ROOT,))
    servers = root.member(_ROOT)
    if not isinstance(root.value, dict):
        _refuse(text, root, "its root is no object", path)
    if servers and not isinstance(servers.node.value, dict):
        _refuse(text, servers.node, f"{_ROOT} is no object", path)
    return root, servers


def _refuse(text: str, node: Node, why: str, path: str) -> None:
    line = text.count("\n", 0, node.start) + 1
    raise Unparsable(path=path, line=line, column=node.start - text.rfind("\n", 0, node.start), why=why)


def _span(text: str, node: Node) -> tuple[int, int]:
    if text.isascii():
        return node.start, node.end
    start = len(text[: node.start].encode())
    return start, start + len(text[node.start : node.end].encode())
