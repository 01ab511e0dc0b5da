"""How a text is spelled in a file: JSON, TOML and YAML have several ways to write a character, and each program its own habit.

A spelling is told by the characters that are not written as they are, so it says nothing of the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["is_form", "spell", "spelled"]

_SHORT = {character: f"\\{letter}" for character, letter in zip('\n\r\t\b\f\0\x1b"\\/', 'nrtbf0e"\\/', strict=True)}
_OCTETS = 256
_OTHERWISE = re.compile(r"(\d+)([uUwWxXsd])")


def spelled(text: str, within: str) -> Iterator[tuple[int, int, str]]:
    """Yield where a text stands within another one, however it is spelled there: begin, end, and the spelling for `spell`.

    Args:
        text: What is looked for; not empty.
        within: A part of a file.
    """
    ways = [_ways(character) for character in text]
    pattern = "".join(f"({'|'.join(map(re.escape, sorted(set(way.values()), key=len)))})" for way in ways)
    for match in re.finditer(pattern, within):
        found = zip(ways, match.groups(), strict=True)
        styles = [next(style for style, written in way.items() if written == part) for way, part in found]
        yield match.start(), match.end(), "".join(f"{at}{style}" for at, style in enumerate(styles) if style)


def spell(text: str, form: str) -> str:
    """Return a text as it was spelled. What another text, that is kept in its place by now, has at these places is left as it is.

    Args:
        text: The text.
        form: What `spelled` said.
    """
    styles = {int(at): style for at, style in _OTHERWISE.findall(form)}
    return "".join(
        _ways(character).get(styles[at], character) if at in styles else character for at, character in enumerate(text)
    )


def is_form(form: Any) -> bool:
    """Return whether something is what `spelled` says of a spelling."""
    return isinstance(form, str) and re.fullmatch(rf"(?:{_OTHERWISE.pattern})*", form) is not None


def _ways(character: str) -> dict[str, str]:
    """Return the ways to write a character, by one letter each; as it is first."""
    number, pairs = ord(character), character.encode("utf-16-be", errors="surrogatepass").hex()
    units = [pairs[at : at + 4] for at in range(0, len(pairs), 4)]
    ways = {
        "": character,
        "u": "".join(f"\\u{unit}" for unit in units),
        "U": "".join(f"\\u{unit.upper()}" for unit in units),
        "w": f"\\U{number:08x}",
        "W": f"\\U{number:08X}",
    }
    if number < _OCTETS:
        ways |= {"x": f"\\x{number:02x}", "X": f"\\x{number:02X}"}
    if character in _SHORT:
        ways["s"] = _SHORT[character]
    if character == "'":
        ways["d"] = "''"
    return ways
