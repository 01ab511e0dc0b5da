"""What belongs to the manifest but not yet to this version: it is reported, never ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hatchlock.address import Kind
from hatchlock.manifest.problem import KeyPath

__all__ = ["Later", "matches", "not_yet"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """Something that this version cannot do.

    Attributes:
        path: Where the document asks for it.
        what: The sentence.
        advice: What to use instead, or "".
    """

    path: KeyPath
    what: str
    advice: str = ""


_When = Callable[[Any], bool]
_Rule = tuple[str, _When, str]
"""A pattern of dotted keys (`*` is any key or list item), what its value must be for the rule to hold, and a hint."""


def _always(_value: object) -> bool:
    return True


def _kind_outside(*kinds: Kind) -> _When:
    def check(value: object) -> bool:
        head = value.partition(":")[0] if isinstance(value, str) else ""
        return head in set(Kind) - set(kinds)

    return check


def _is_running(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("container:", "network:"))


_ADOPTED_NOW = "this version takes client: and volume: over; declare what runs there as a server"

_PACKAGES: tuple[_Rule, ...] = (
    ("constraints.*", _kind_outside(Kind.PYPI, Kind.NPM), "constraints are about pypi: and npm:"),
    ("overrides.*", _kind_outside(Kind.PYPI, Kind.NPM), "overrides are about pypi: and npm:"),
)

_SERVER: tuple[_Rule, ...] = (
    *_PACKAGES,
    ("source.*", _kind_outside(Kind.URL), "a table of platforms is about url:"),
    ("files", _always, "use sandbox.mounts with a file of the project"),
)

_RULES: tuple[_Rule, ...] = (
    *((f"environments.*.{key}", when, advice) for key, when, advice in _PACKAGES),
    *((f"{table}.{key}", when, advice) for table in ("defaults", "servers.*") for key, when, advice in _SERVER),
    *((f"indexes.{kind}.packages", _always, "it serves every name of its kind") for kind in ("debian", "mcp", "conda")),
    ("indexes.debian.mirrors", _always, "name the mirror itself as its url"),
    *((table, _always, "") for table in ("policy", "targets")),
    ("adopt.*.address", _is_running, _ADOPTED_NOW),
)


def matches(value: Any, pattern: str) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the places of a document, with their values, that a pattern of dotted keys names; `*` is any key or item.

    Whatever does not have the shape that the pattern expects is passed over.
    """
    yield from _matches(value, tuple(pattern.split(".")), ())


def _matches(value: Any, parts: tuple[str, ...], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if not parts:
        yield path, value
        return
    head, rest = parts[0], parts[1:]
    if head == "*":
        items: list[tuple[str | int, Any]] = []
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, list):
            items = list(enumerate(value))
        for key, item in items:
            yield from _matches(item, rest, (*path, key))
    elif isinstance(value, dict) and head in value:
        yield from _matches(value[head], rest, (*path, head))


def not_yet(document: Any) -> Iterator[Later]:
    """Yield everything in a document, valid or not, that this version cannot do."""
    for pattern, when, advice in _RULES:
        for path, value in matches(document, pattern):
            if when(value):
                yield Later(path=path, what=_sentence(path, value, when), advice=advice)


def _sentence(path: KeyPath, value: Any, when: _When) -> str:
    if when is _always:
        return f"{path[-1]!r} is not yet supported"
    if isinstance(value, str):
        return f"{value!r} is not yet supported"
    return f"{'a list' if isinstance(value, list) else 'a table'} is not yet supported here"
