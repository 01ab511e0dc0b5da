"""JSON5 as text: what its specification (https://spec.json5.org, 1.0.0) allows beside JSON with comments.

Names without quotes, single quotes, line continuations and more escapes in strings, hexadecimal numbers, `+1`, `.5`, `5.`,
`Infinity` and `NaN`, and every blank that ECMAScript has. Only reading differs; the edits are those of `json_text`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar

from hatchlock.clients.json_text import BROKEN_STRING, Node, Reader

__all__ = ["parse"]

_BLANKS = "\\t\\n\\v\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000\\ufeff"
_BLANK = re.compile(rf"(?:[{_BLANKS}]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_SEPARATOR = re.compile("[\u2028\u2029]")
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<hex>0[xX][0-9a-fA-F]+)|(?P<word>Infinity|NaN)"
    r"|(?P<decimal>(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))"
)
_WORD = re.compile(r"true|false|null")
_WORDS = {"true": True, "false": False, "null": None}
_GOOD_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|0(?![0-9])|\r\n|[^ux0-9])"
_STRINGS = {
    quote: re.compile(rf"{quote}((?:[^{quote}\\\r\n]|{_GOOD_ESCAPE})*){quote}", re.DOTALL) for quote in ('"', "'")
}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|.))", re.DOTALL)
_MEANT: dict[str, str] = {
    **dict(zip("bfnrtv0", "\b\f\n\r\t\v\0", strict=True)),
    **dict.fromkeys(["\r\n", "\n", "\r", "\u2028", "\u2029"], ""),
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_LETTER = re.compile(r"\\u([0-9a-fA-F]{4})|.")
_FIRST = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"}
_LATER = _FIRST | {"Mn", "Mc", "Nd", "Pc"}


def parse(text: str, *, path: str, inside: tuple[str, ...] = ()) -> Node:
    """Read a whole document; see `json_text.parse`.

    The line separators U+2028 and U+2029 are refused outside of strings: they end a comment for JSON5, and for no editor.

    Raises:
        Unparsable: It is not JSON5.
    """
    return _Reader(text, path).document(inside)


class _Reader(Reader):
    no_name: ClassVar[str] = "a name is expected here"

    def skip(self, at: int, blank: re.Pattern[str] = _BLANK) -> int:
        end = super().skip(at, blank)
        if separator := _SEPARATOR.search(self.text, at, end + 1):
            self.fail(separator.start(), "there is a line separator (U+2028 or U+2029) outside of a string")
        return end

    def scalar(self, at: int) -> Node | None:
        if pattern := _STRINGS.get(self.text[at : at + 1]):
            string = pattern.match(self.text, at)
            if string is None:
                self.fail(at, BROKEN_STRING)
            return Node(value=_unescaped(string[1]), start=at, end=string.end())
        if word := _WORD.match(self.text, at):
            return Node(value=_WORDS[word[0]], start=at, end=word.end())
        number = _NUMBER.match(self.text, at)
        return number and _number(number)

    def name(self, at: int) -> Node | None:
        return self.scalar(at) if self.text[at : at + 1] in _STRINGS else self._identifier(at)

    def _identifier(self, at: int) -> Node | None:
        letters: list[str] = []
        end = at
        while match := _LETTER.match(self.text, end):
            letter = chr(int(match[1], 16)) if match[1] else match[0]
            if not _may_stand(letter, _LATER if letters else _FIRST):
                break
            letters.append(letter)
            end = match.end()
        return Node(value="".join(letters), start=at, end=end) if letters else None


def _may_stand(letter: str, categories: set[str]) -> bool:
    """Whether a name without quotes may have a letter, by ECMAScript 5.1, 7.6."""
    return (
        letter in "$_"
        or (letter in "\u200c\u200d" and categories is _LATER)
        or unicodedata.category(letter) in categories
    )


def _number(match: re.Match[str]) -> Node | None:
    sign = -1 if match["sign"] == "-" else 1
    value: int | float
    if match["hex"]:
        value = int(match["hex"], 16)
    elif match["word"]:
        value = float(match["word"])
    else:
        try:
            value = int(match["decimal"]) if match["decimal"].isdecimal() else float(match["decimal"])
        except ValueError:  # more digits than Python converts
            return None
    return Node(value=sign * value, start=match.start(), end=match.end())


def _unescaped(body: str) -> str:
    if "\\" not in body:
        return body
    text = _ESCAPE.sub(_meant, body)
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _meant(escape: re.Match[str]) -> str:
    if digits := escape[1] or escape[2]:
        return chr(int(digits, 16))
    return _MEANT.get(escape[3], escape[3])
