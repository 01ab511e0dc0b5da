"""TOML text for the lock's values: one form for one value, so that equal locks are equal bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["dump_key", "dump_value", "hyphened", "literal", "quoted", "table"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_SPECIAL = re.compile(r'["\\\x00-\x1f\x7f]')
_SHORT = 100
_BASIC_PLANE = 0xFFFF


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character < " " or character == "\x7f":
        return f"\\u{ord(character):04x}"
    return character


def _string(text: str) -> str:
    if not _SPECIAL.search(text):
        return f'"{text}"'
    return '"' + "".join(map(_escape, text)) + '"'


def dump_key(name: str) -> str:
    """Return a key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else _string(name)


def hyphened(name: str) -> str:
    """Return the key that a field of one of the lock's values is written as: `tree-hash` for `tree_hash`."""
    return name.rstrip("_").replace("_", "-")


def dump_value(value: Any) -> str:
    """Return a value as inline TOML.

    Args:
        value: A string, boolean, integer, float, sequence or mapping of these.

    Raises:
        TypeError: It is something else.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return repr(value)
        case Mapping():
            pairs = [f"{dump_key(key)} = {dump_value(item)}" for key, item in value.items()]
            return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
        case Sequence():
            return "[" + ", ".join(map(dump_value, value)) + "]"
    raise TypeError(type(value).__name__)


def _array(items: Sequence[Any]) -> str:
    line = dump_value(items)
    if len(line) <= _SHORT:
        return line
    return "[\n" + "".join(f"    {dump_value(item)},\n" for item in items) + "]"


def table(header: str, values: Mapping[str, Any]) -> str:
    """Return a table: its header line, then a line per value; long arrays get a line per item, so that merges are local.

    Values that are empty ("", 0, empty arrays and mappings, None) are left out: the reader puts the defaults back. Booleans
    are always written.

    Args:
        header: `[name]` or `[[name]]`; "" for the top of the file.
        values: In the order to write them.
    """
    lines = [header] if header else []
    for key, value in values.items():
        if not isinstance(value, bool) and not value:
            continue
        text = _array(value) if isinstance(value, (list, tuple)) else dump_value(value)
        lines.append(f"{dump_key(key)} = {text}")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    r"""Return a string of somebody else's as TOML that shows all of it: what is invisible or turns direction is escaped.

    A text of several lines gets a line for each.
    """
    if "\n" not in text:
        return f'"{_all_shown(text)}"'
    return '"""\n' + "\n".join(map(_all_shown, text.split("\n"))) + '"""'


def literal(text: str) -> str:
    """Return text as TOML that is taken as it stands, lines and backslashes included.

    Args:
        text: Of ASCII without control characters but line feeds, and without three apostrophes in a row.
    """
    return f"'''\n{text}'''"


def _all_shown(text: str) -> str:
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _BASIC_PLANE else f"\\U{code:08x}"
