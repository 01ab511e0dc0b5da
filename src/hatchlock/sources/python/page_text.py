"""Where the files are in the JSON text of a project's page (PEP 691), found without decoding them.

A page can have 15,000 files, of which a resolution looks at ten, and decoding them all takes longer than fetching them. So
their places are found by searching the text, and what is asked for is decoded then. An unescaped quote in a JSON text
begins or ends a string, so `}, {"url":` can only stand between two objects, and `"filename":` only be (the end of) a key.
Counting them tells whether each file is where it seems to be; a text that fails a check is left to a whole decoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat
from operator import contains

__all__ = ["Outline", "Place", "outline"]

_FILES = re.compile(rb'"files":[ \t\r\n]*\[[ \t\r\n]*(?=\{")')
_SEPARATOR = re.compile(rb'\},[ \t\r\n]*\{(?=")')
_NAME = re.compile(rb'"filename":[ \t\r\n]*"(\w[\w.!+-]*)"')
_FIRST_KEYS = (b'"filename":', b'"core-metadata":', b'"data-dist-info-metadata":', b'"dist-info-metadata":', b'"url":')

Place = tuple[str, int, int]
"""A file of a page: its name, and where its JSON object begins and ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """A page whose files are not decoded yet.

    Attributes:
        api: The version of the API that it speaks.
        places: Its files, in their order.
    """

    api: str
    places: Iterator[Place]


def outline(text: bytes) -> Outline | None:
    """Return where the files of a page are, or None if that cannot be told without decoding it.

    If every place holds a JSON object, then these are the files that decoding the whole text gives.
    """
    opening = _FILES.search(text)
    if opening is None or text.count(b'"files":') != 1:
        return None
    between = _SEPARATOR.search(text, opening.end())
    separator = between[0] if between else b"},{"
    pieces = text[opening.end() + 1 :].split(separator)
    names: list[bytes] = _NAME.findall(text, opening.end())
    if not len(pieces) == len(names) == text.count(b'"filename":'):
        return None
    # as many names as pieces, and one in each: so exactly one in each
    if not all(map(contains, pieces, repeat(b'"filename":'))):
        return None
    if text.find(separator, 0, opening.end()) >= 0 or not _begin_files(text, separator, len(pieces) - 1):
        return None
    starts = list(accumulate((len(piece) + len(separator) for piece in pieces[:-1]), initial=opening.end()))
    closing = _end_of_object(text, starts[-1])
    ends = [*(start - len(separator) + 2 for start in starts[1:]), closing]
    api = _api(text[: opening.end()] + text[closing:])
    return Outline(api=api, places=zip(b"\n".join(names).decode().split(), starts, ends, strict=True)) if api else None


def _begin_files(text: bytes, separator: bytes, times: int) -> bool:
    found = 0
    for key in _FIRST_KEYS:
        if found < times:
            found += text.count(separator + key)
    return found == times


def _end_of_object(text: bytes, start: int) -> int:
    try:
        rest = text[start:].decode()
        _, end = json.JSONDecoder().raw_decode(rest)
    except ValueError:
        return start
    return start + len(rest[:end].encode())


def _api(without_files: bytes) -> str:
    try:
        page = json.loads(without_files)
        return str(page["meta"]["api-version"]) if page["files"] == [] else ""
    except (ValueError, KeyError, TypeError):
        return ""
