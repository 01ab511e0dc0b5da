"""Variables in the words of a Dockerfile, replaced as its builder does. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["CannotReplace", "replaced"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODIFIER = re.compile(r":?[-+]")


class CannotReplace(Exception):
    """A variable has no value, or is used in a form that not every builder knows; the message is a clause."""


def replaced(text: str, variables: Mapping[str, str], *, escape: str = "\\") -> str:
    """Return a word with its variables replaced, and without its quotes and escapes.

    `$NAME`, `${NAME}`, `${NAME:-word}` and `${NAME:+word}` are known, the latter two also without their colon.

    Args:
        text: As written.
        variables: Name -> value.
        escape: The Dockerfile's escape character.

    Raises:
        CannotReplace: A variable has no value, or the word is malformed.
    """
    word, rest = _word(text, variables, escape, until="")
    if rest:
        raise CannotReplace(f"{text} cannot be read")
    return word


def _word(text: str, variables: Mapping[str, str], escape: str, *, until: str) -> tuple[str, str]:
    """Return what a word means up to an unquoted `until`, and what is left from there."""
    result, quote = "", ""
    while text:
        character = text[0]
        if character == until and not quote:
            return result, text
        if quote == "'" and character != "'":
            result, text = result + character, text[1:]
        elif character == quote:
            quote, text = "", text[1:]
        elif character in "\"'" and not quote:
            quote, text = character, text[1:]
        elif character == escape and len(text) > 1:
            result, text = result + text[1], text[2:]
        elif character == "$":
            value, text = _variable(text[1:], variables, escape)
            result += value
        else:
            result, text = result + character, text[1:]
    if quote or until:
        raise CannotReplace(f"{quote or until} is missing")
    return result, ""


def _variable(text: str, variables: Mapping[str, str], escape: str) -> tuple[str, str]:
    braced = text.startswith("{")
    match = _NAME.match(text, int(braced))
    if match is None:
        raise CannotReplace(f"${text[:1]} is no variable")
    name, rest = match[0], text[match.end() :]
    if not braced:
        return _value(name, variables), rest
    if rest.startswith("}"):
        return _value(name, variables), rest[1:]
    modifier = _MODIFIER.match(rest)
    if modifier is None:
        raise CannotReplace(f"${{{name}{rest[:1]}…}} is a form that not every builder knows")
    word, rest = _word(rest[modifier.end() :], variables, escape, until="}")
    is_set = bool(variables.get(name)) if modifier[0].startswith(":") else name in variables
    if modifier[0].endswith("+"):
        return word if is_set else "", rest[1:]
    return variables[name] if is_set else word, rest[1:]


def _value(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise CannotReplace(f"${name} has no value")
    return variables[name]
