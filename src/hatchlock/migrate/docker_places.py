"""The places of Docker's MCP catalogue that are filled from a user's configuration: `{{filesystem.paths|volume|into}}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Filled", "FilledList", "filled", "filled_list"]

_PLACE = re.compile(r"\{\{\s*(?P<path>[^{}|\s]+)\s*(?P<filters>(?:\|[^{}|]*)*)\}\}")
_INTO = "into"


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """A text with its places filled.

    Attributes:
        text: The text; "" where a place of it could not be filled.
        lost: Clauses that say why not.
    """

    text: str
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FilledList:
    """Several texts with their places filled.

    Attributes:
        texts: The texts, without those of which a place could not be filled.
        lost: Clauses that say why not.
    """

    texts: tuple[str, ...]
    lost: tuple[str, ...] = ()


def filled(text: str, given: Mapping[str, Any]) -> Filled:
    """Return a text with its places filled.

    Args:
        text: The text.
        given: Server -> its configuration.
    """
    found = filled_list([text], given)
    return Filled(text=" ".join(found.texts), lost=found.lost)


def filled_list(texts: Iterable[str], given: Mapping[str, Any]) -> FilledList:
    """Return texts with their places filled; one that is a list put `into` the others becomes several.

    Args:
        texts: The texts.
        given: Server -> its configuration.
    """
    kept: list[str] = []
    lost: list[str] = []
    for text in texts:
        try:
            kept += _several(text, given)
        except LookupError as error:
            lost.append(str(error.args[0]))
    return FilledList(texts=tuple(kept), lost=tuple(dict.fromkeys(lost)))


def _several(text: str, given: Mapping[str, Any]) -> Iterator[str]:
    whole = _PLACE.fullmatch(text.strip())
    if whole is None:
        yield _PLACE.sub(lambda match: " ".join(_value(match, given)), text)
        return
    yield from _value(whole, given)


def _value(match: re.Match[str], given: Mapping[str, Any]) -> list[str]:
    """Return what a place is filled with.

    Raises:
        LookupError: Nothing is set there, or it is changed in a way that only Docker knows; with a clause.
    """
    value: Any = given
    for part in match["path"].split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value in (None, "", []):
        raise LookupError(f"{match['path']} is not set")
    every = [_text(item) for item in value] if isinstance(value, list) else [_text(value)]
    filters = [word.strip() for word in match["filters"].split("|") if word.strip()]
    for name in filters:
        if name == "volume":
            every = [item if ":" in item else f"{item}:{item}" for item in every]
        elif name == "volume-target":
            every = [item.partition(":")[2] or item for item in every]
        elif name != _INTO:
            raise LookupError(f"{match['path']} is changed by Docker's own {name.partition(':')[0]!r}")
    return every


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
