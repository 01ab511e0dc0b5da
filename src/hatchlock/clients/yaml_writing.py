"""Values as YAML: quoted, so that they mean the same in its versions 1.1 and 1.2."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Style", "block", "flow", "written_key"]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS_OF_1_1 = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How a file is indented.

    Attributes:
        unit: By how many columns a mapping below a key is.
        offset: By how many the dashes below a key are.
    """

    unit: int = 2
    offset: int = 2


def written_key(name: str) -> str:
    """Return a key, quoted where a version of YAML would not take it for that text."""
    is_plain = _PLAIN_KEY.fullmatch(name) and name.lower() not in _WORDS_OF_1_1
    return name if is_plain else flow(name)


def flow(value: Any) -> str:
    """Return a JSON value on one line, which is JSON and YAML of both versions.

    Raises:
        ValueError: There is no way to write it: half a character, or a number that is none.
    """
    match value:
        case str():
            return '"' + "".join(_escaped(character) for character in value) + '"'
        case Mapping():
            return "{" + ", ".join(f"{flow(str(name))}: {flow(item)}" for name, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(flow(item) for item in value) + "]"
        case float():
            text = json.dumps(value, allow_nan=False)
            return text if "." in text else text.replace("e", ".0e")  # 1.1 takes 1e5 for text
    return json.dumps(value)


def block(value: Mapping[str, Any], *, style: Style) -> list[str]:
    """Return the lines of a mapping that is not empty, the first of them at column 0."""
    lines: list[str] = []
    for name, item in value.items():
        key = written_key(str(name))
        if isinstance(item, Mapping) and item:
            lines += [f"{key}:", *(" " * style.unit + line for line in block(item, style=style))]
        elif isinstance(item, list | tuple) and item:
            lines += [f"{key}:", *(f"{' ' * style.offset}- {flow(each)}" for each in item)]
        else:
            lines.append(f"{key}: {flow(item)}")
    return lines


def _escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004  the surrogates
        raise ValueError("its file has no way to write half a character")
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  the first plane
