"""What `tomllib` says of a broken file, in the words of this project: its own show Python's tuples, and never a way out."""

from __future__ import annotations

import ast
import re

from hatchlock.manifest.problem import dotted

__all__ = ["toml_words"]

_CLOSED = "Cannot mutate immutable namespace"
_NAMED = re.compile(
    r"(?P<what>Cannot declare|Cannot mutate immutable namespace|Cannot redefine namespace) (?P<key>\(.*\))( twice)?",
    re.DOTALL,
)
_BACKSLASH = r"write '...' around a text with backslashes, or \\ for each of them"
_HINTS = {
    "Invalid value": 'text stands in quotes: name = "value"',
    "Cannot overwrite a value": "a key stands once in its table: delete one of both",
    "Invalid statement": 'a line is a table, [servers.time], or a key with its value, name = "value"',
    "Expected '=' after a key in a key/value pair": 'write key = "value"',
    "Unclosed array": "a list has commas between its items, and ends with ]",
    "Unclosed inline table": "a table in a line has commas between its keys, and ends with }",
    "Expected newline or end of document after a statement": (
        "one key with its value a line; text, also a date or a version, stands in quotes"
    ),
    "Invalid initial character for a key part": (
        "a table in { } is one line without a comma at its end; other signs than A-Z a-z 0-9 - _ in a key need quotes"
    ),
    "Unescaped '\\' in a string": _BACKSLASH,
    "Invalid hex value": _BACKSLASH,
    "Illegal character '\\n'": "end the text with the quotes that it begins with, on its line",
    "Unterminated string": "end the text with the quotes that it begins with",
    "Expected ']' at the end of a table declaration": "end the line of the table with ]",
}
_TWICE = "put what both say into one table, or give one of them another name"


def toml_words(sentence: str) -> tuple[str, str]:
    """Return a sentence of `tomllib`, without its position, as a clause, and a hint or "".

    A key that it names as a Python tuple is named as it is written: `servers.time`.
    """
    if (named := _NAMED.fullmatch(sentence)) is not None:
        is_value = named["what"] == _CLOSED
        return f"{_key(named['key'])} stands there {'already' if is_value else 'twice'}", _TWICE
    return f"{sentence[:1].lower()}{sentence[1:]}", _HINTS.get(sentence, "")


def _key(text: str) -> str:
    try:
        parts = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return dotted(tuple(map(str, parts)))
