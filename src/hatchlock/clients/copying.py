"""One application's entry as another one writes it: what of it is carried over, and what is not. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hatchlock.clients.catalogue import Client
from hatchlock.clients.shape import Address, Shape, Start, UrlShape

__all__ = ["Copy", "NotCopied", "copied"]

_ASKED = re.compile(r"\$\{(?:input|prompt|secret):")
"""What an application asks its user for, or keeps: nobody else has it."""
_NAMED = re.compile(r"\$\{?[A-Za-z_]|\{(?:env|file):")
"""A value that names a variable or a file, each application in its own way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """An entry in another application's form.

    Attributes:
        value: The entry. It has the same secrets as the one that it was made from.
        left: What is not carried over, by name.
        notes: What may mean something else there, a clause each.
    """

    value: Mapping[str, Any] = field(repr=False)
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NotCopied:
    """Why an application cannot have an entry.

    Attributes:
        why: As a clause.
    """

    why: str


def copied(value: Any, source: Client, target: Client) -> Copy | NotCopied:
    """Return an entry as another application writes it.

    Args:
        value: The entry, as its file has it.
        source: The application whose file that is.
        target: The one that is to have it; the same one keeps every field.
    """
    server = source.shape.read(value)
    if server is None:
        return NotCopied(why=f"{source.title} starts nothing and connects to nothing by it")
    if _is_off(value):
        return NotCopied(why=f"it is switched off in {source.title}, and a copy of it would not be")
    if source.name == target.name:
        return Copy(value=value)
    texts = list(_texts(server))
    if any(_ASKED.search(text) for text in texts):
        return NotCopied(why=f"{source.title} asks for a value of it, or keeps one, that nobody else has")
    try:
        written = target.shape.written(server)
    except ValueError as error:
        return NotCopied(why=f"{target.title}: {error}")
    notes = ("what it refers to by name is looked for in another way there",) if any(map(_NAMED.search, texts)) else ()
    return Copy(value=written, left=tuple(_left(value, source.shape, server)), notes=notes)


_SWITCHES: Mapping[str, bool] = {"disabled": False, "enabled": True}
"""Members by which applications switch a server off, and what they are of one that is on."""


def _is_off(value: Any) -> bool:
    return any(value.get(name, on) is (not on) for name, on in _SWITCHES.items())


def _left(value: Mapping[str, Any], shape: Shape, server: Start | Address) -> Iterator[str]:
    """Yield the members that the other application does not get; of tables those of their items."""
    carried = set(shape.fixed)
    tables: dict[str, Mapping[str, str]] = {}
    if isinstance(server, Start):
        carried |= {shape.command, shape.args, shape.cwd}
        tables[shape.env] = server.env
    else:
        known = shape.http if server.transport == "http" else shape.sse
        url = known or UrlShape()
        carried |= url.members
        tables[url.headers] = server.headers
        below = value.get(url.below) if url.below else None
        yield from (f"{url.below}.{key}" for key in below or () if key not in {url.headers, *url.beside})
    for name, item in value.items():
        if name in tables:
            items = item if isinstance(item, Mapping) else {"": item}
            yield from (f"{name}.{key}" if key else name for key in items if key not in tables[name])
        elif name not in carried and item is not _SWITCHES.get(name):
            yield name


def _texts(server: Start | Address) -> Iterator[str]:
    if isinstance(server, Start):
        yield from (server.command, *server.args, *server.env.values())
    else:
        yield from (server.url, *server.headers.values())
