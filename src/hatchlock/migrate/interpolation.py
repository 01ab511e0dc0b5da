"""Variables in the texts of compose files, as https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md has them.

`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`, `${NAME:+other}` and their like, nested, and
`$$` for a dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Filled", "filled"]

_PART = re.compile(r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|(?P<open>\{))|\}")
_DEEPEST = 50
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:?[-?+])|(?=\}))")


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """A text with what its variables stand for.

    Attributes:
        value: The text; a variable that stands for nothing is left out.
        names: The variables that it names outside of others' defaults, in their order.
        missing: Those of all its variables that stand for nothing.
        needed: Those of these without which nothing is started (`${NAME:?error}`).
        defaults: Those for which a default stands.
        around: What stands before and behind the only variable of the text, if it has one and nothing else with a dollar.
    """

    value: str
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    around: tuple[str, str] = ("", "")


def filled(text: str, known: Mapping[str, str]) -> Filled:
    """Return a text with its variables put in.

    What is no variable, though it has a dollar sign, stays as it is, and so do defaults within defaults too deep for anyone.

    Args:
        text: The text.
        known: What variables stand for.
    """
    reader = _Reader(text, known)
    value, end = reader.text_to(0, closing=False)
    around = (text[: reader.spans[0][0]], text[reader.spans[0][1] :]) if len(reader.spans) == 1 else ("", "")
    return Filled(
        value=value + text[end:],
        names=tuple(reader.names),
        missing=tuple(dict.fromkeys(reader.missing)),
        needed=tuple(dict.fromkeys(reader.needed)),
        defaults=tuple(dict.fromkeys(reader.defaults)),
        around=around,
    )


class _Reader:
    def __init__(self, text: str, known: Mapping[str, str]) -> None:
        self.text = text
        self.known = known
        self.depth = 0
        self.names: list[str] = []
        self.missing: list[str] = []
        self.needed: list[str] = []
        self.defaults: list[str] = []
        self.spans: list[tuple[int, int]] = []

    def text_to(self, at: int, *, closing: bool) -> tuple[str, int]:
        """Return what stands from an offset on, up to the end or a closing brace, and where that ends."""
        found = ""
        while match := _PART.search(self.text, at):
            found += self.text[at : match.start()]
            if match[0] == "}":
                if closing:
                    return found, match.end()
                found, at = f"{found}}}", match.end()
                continue
            value, end = self.part(match)
            if not self.depth and not match["dollar"]:
                self.spans.append((match.start(), end))
            found, at = found + value, end
        return found + self.text[at:], len(self.text)

    def part(self, match: re.Match[str]) -> tuple[str, int]:
        if match["dollar"]:
            return "$", match.end()
        if match["bare"]:
            return self.variable(match["bare"], "", ""), match.end()
        inside = _INSIDE.match(self.text, match.end())
        if inside is None or self.depth == _DEEPEST:
            return match[0], match.end()
        if not inside["how"]:
            return self.variable(inside["name"], "", ""), inside.end() + 1
        return self.with_default(inside)

    def with_default(self, inside: re.Match[str]) -> tuple[str, int]:
        noted = (self.missing, self.needed, self.defaults)
        before = [len(names) for names in noted]
        self.depth += 1
        other, end = self.text_to(inside.end(), closing=True)
        self.depth -= 1
        inner = [names[count:] for names, count in zip(noted, before, strict=True)]
        for names, count in zip(noted, before, strict=True):
            del names[count:]
        value = self.variable(inside["name"], inside["how"], other)
        if value == other and inside["name"] in self.defaults:
            for names, found in zip(noted, inner, strict=True):
                names.extend(found)
        return value, end

    def variable(self, name: str, how: str, other: str) -> str:
        if not self.depth:
            self.names.append(name)
        value = self.known.get(name)
        is_set = bool(value) if how.startswith(":") else value is not None
        if how.endswith("+"):
            return other if is_set else ""
        if is_set:
            return value or ""
        if how.endswith("-"):
            self.defaults.append(name)
            return other
        self.missing.append(name)
        self.needed += [name] if how.endswith("?") else []
        return ""
