"""Debian's control files, deb822: paragraphs of fields, as in Packages, Release, dpkg's status and apt's sources."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["fields_of", "paragraphs"]

_FIELD = re.compile(r"^([!-9;-~]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_COMMENT = re.compile(r"^#.*\n?", re.MULTILINE)
_BETWEEN = re.compile(r"\n(?:[ \t]*\n)+")


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Yield the paragraphs of a control file, field -> value; comments are left out.

    Names of fields are in lower case. A folded value keeps its line breaks, and the blanks behind them.
    """
    for part in _BETWEEN.split(_COMMENT.sub("", text)):
        found = fields_of(part)
        if found:
            yield found


def fields_of(paragraph: str) -> dict[str, str]:
    """Return the fields of one paragraph that has no comments; see `paragraphs`."""
    return {name.lower(): value.rstrip() for name, value in _FIELD.findall(paragraph)}
