"""What a model reads of a server: tool definition hash version 1, what was pinned of it, and which of it passes.

The recipe of the hash is public (mcp-pin): a definition is hashed whole, as it was sent, in the canonical form of
RFC 8785. Nothing is dropped, defaulted or normalised.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from hatchlock.digest import sha256_bytes

__all__ = [
    "Changed",
    "Pins",
    "SurfaceRules",
    "Unhashable",
    "definition_hash",
    "instructions_hash",
    "is_repeated",
    "is_torn",
    "parse_marked",
    "parse_strictly",
    "set_hash",
    "shown",
    "value_hash",
]

Changed = Literal["refuse", "filter", "warn"]
_SHORT = 15
"""Digits of an integer that is a double without loss, whatever they are."""
_DEEPEST = 100
"""Levels of a value. Where the parser, or the stack, has its end depends on who asks, and all have to say the same of a definition."""
_WILD = frozenset("*?[")
_FIRST_SURROGATE, _LAST_SURROGATE = "\ud800", "\udfff"


class Unhashable(ValueError):
    """A definition has no canonical form, so it has no hash and never matches one; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pins:
    """A server's surface as it was when it was pinned.

    Attributes:
        tools: Name -> definition hash (64 hex digits).
        prompts: Likewise.
        instructions: Hash of its instructions; "" for a server that has none.
        stale: What was pinned is another artefact than the one that is started now.
        varying: `tool NAME`, `prompt NAME`: what only some applications are shown, so that it may be missing.
    """

    tools: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    instructions: str = ""
    stale: bool = False
    varying: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `dataclasses.asdict` (through JSON) gave."""
        return cls(**{**data, "varying": tuple(data.get("varying", ()))})


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceRules:
    """Which of a server's tools its clients may see and call.

    Attributes:
        allow: Names of tools, in which `*` stands for anything; empty: every one.
        deny: Likewise; they go before `allow`.
        changed: What is done with a listing that differs from the pins: end the session, leave out what differs, or say so.
        pins: What was pinned; None when nothing was.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    changed: Changed = "refuse"
    pins: Pins | None = None

    def permits(self, tool: str) -> bool:
        """Whether a tool of that name may be listed and called, whatever its definition."""
        return not self.withheld_by(tool)

    def withheld_by(self, tool: str) -> Literal["", "allow", "deny"]:
        """Return which of the two keeps a tool of that name from clients; "" for neither."""
        if any(_matches(tool, pattern) for pattern in self.deny):
            return "deny"
        return "allow" if self.allow and not any(_matches(tool, pattern) for pattern in self.allow) else ""

    def unmatched(self, tools: Collection[str]) -> tuple[tuple[Literal["allow", "deny"], str], ...]:
        """Return what of the two is the name of none of a server's tools, as a slip of the pen is.

        A pattern that is denied may well be for tools that are still to come.
        """
        names: list[tuple[Literal["allow", "deny"], str]] = [("allow", text) for text in self.allow]
        names += [("deny", text) for text in self.deny if not _WILD.intersection(text)]
        return tuple((key, text) for key, text in names if not any(_matches(tool, text) for tool in tools))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `dataclasses.asdict` (through JSON) gave."""
        pins = Pins.from_dict(data["pins"]) if data.get("pins") else None
        return cls(allow=tuple(data["allow"]), deny=tuple(data["deny"]), changed=data["changed"], pins=pins)


def _matches(tool: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase  # noqa: PLC0415  few servers have rules

    return fnmatchcase(tool, pattern)


def parse_strictly(text: str | bytes) -> Any:
    """Return the value of a JSON text as hashing needs it: numbers as doubles, no member twice.

    Raises:
        Unhashable: A member name is repeated, a number is no double, or it is nested too deeply.
        ValueError: It is no JSON.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_members, parse_int=_double, parse_float=_double, parse_constant=_no_number
        )
    except RecursionError as error:
        raise Unhashable("it is nested too deeply") from error


def parse_marked(text: str | bytes) -> Any:
    """Return the value of a JSON text of which some parts may have no hash: each of these is marked, and the rest has one.

    So one definition of a listing that cannot be hashed does not hide the others. Of a repeated member the last one stays.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_marked_members, parse_int=_marked, parse_float=_marked, parse_constant=_NoDouble
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_repeated(value: Any) -> bool:
    """Whether a value that `parse_marked` gave is an object of which a member name is repeated; not what is inside of it."""
    return isinstance(value, _Repeated)


def is_torn(text: str) -> bool:
    """Whether a text has half of a character in it, a surrogate that stands alone, so that no file of text can hold it."""
    return any(_FIRST_SURROGATE <= character <= _LAST_SURROGATE for character in text)


def definition_hash(definition: Any) -> str:
    """Return the hash of a definition that `parse_strictly` or `parse_marked` gave (64 lowercase hex digits).

    Raises:
        Unhashable: It has no string `name`, or something in it was marked.
    """
    if not isinstance(definition, Mapping) or not isinstance(definition.get("name"), str):
        raise Unhashable("it has no name")
    return value_hash(definition)


def value_hash(value: Any) -> str:
    """Return the SHA-256 of the canonical form (RFC 8785) of a value that `parse_strictly` or `parse_marked` gave.

    Raises:
        Unhashable: It has none.
    """
    try:
        return sha256_bytes(_canonical(value).encode())
    except RecursionError as error:
        raise Unhashable("it is nested too deeply") from error


def set_hash(hashes: Iterable[tuple[str, str]]) -> str:
    """Return the hash of a whole listing, all its pages together.

    Args:
        hashes: Name and hash of each definition, in any order.
    """
    lines = sorted(hashes, key=lambda item: (_code_units(item[0]), item[1]))
    return sha256_bytes(_utf8("\n".join(f"{name}:{digest}" for name, digest in lines)))


def instructions_hash(instructions: Any) -> str:
    """Return the hash of a server's instructions; "" when they are no string, which the recipe calls null."""
    return sha256_bytes(_utf8(instructions)) if isinstance(instructions, str) else ""


def shown(text: str) -> str:
    r"""Return untrusted text as one line in which nothing is invisible, moves the cursor or turns direction.

    Everything outside printable characters is written as in JSON: `\u202e`, `\n`.
    """
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return short or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")  # noqa: PLR2004  the basic plane


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unhashable("a member name is repeated")
    return members


def _double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Unhashable("a number is too large")
    return number


class _Repeated(dict[str, Any]):
    """The members of an object of which a name is repeated."""


class _NoDouble(str):
    """A number, as it was written, that is no double."""

    __slots__ = ()


def _marked_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _Repeated(members)


def _marked(text: str) -> float | str:
    if len(text) <= _SHORT and (whole := int(text) if text.lstrip("-").isdigit() else None) is not None:
        return whole  # the same hash as its double, and people read it as it was written
    number = float(text)
    return _NoDouble(text) if math.isinf(number) else number


def _no_number(text: str) -> float:
    raise Unhashable(f"{text} is no number of JSON")


def _canonical(value: Any, levels: int = _DEEPEST) -> str:
    if not levels:
        raise Unhashable("it is nested too deeply")
    if isinstance(value, _Repeated):
        raise Unhashable("a member name is repeated")
    if isinstance(value, _NoDouble):
        raise Unhashable(f"{value[:_SHORT]} is no number of JSON, or too large")
    if isinstance(value, Mapping):
        names = sorted(value, key=_code_units)
        return "{" + ",".join(f"{_canonical(name)}:{_canonical(value[name], levels - 1)}" for name in names) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_canonical(item, levels - 1) for item in value) + "]"
    import rfc8785  # noqa: PLC0415  only who hashes needs it

    if isinstance(value, str) and is_torn(value):
        # outside of what RFC 8785 takes; the recipe writes it as a lowercase escape
        pieces = (_piece(character) for character in value)
        return '"' + "".join(pieces) + '"'
    return rfc8785.dumps(value).decode()


def _piece(character: str) -> str:
    if _FIRST_SURROGATE <= character <= _LAST_SURROGATE:
        return f"\\u{ord(character):04x}"
    return _canonical(character)[1:-1]


def _utf8(text: str) -> bytes:
    """As the WHATWG's Encoding Standard has it, which the recipe names: a lone surrogate becomes U+FFFD."""
    return "".join("\ufffd" if _FIRST_SURROGATE <= item <= _LAST_SURROGATE else item for item in text).encode()


def _code_units(name: str) -> bytes:
    return name.encode("utf-16-be", errors="surrogatepass")
