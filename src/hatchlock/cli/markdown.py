"""Markdown as pull requests show it. What others wrote stands in code, where it means nothing and cannot get out."""

from __future__ import annotations

import re

from hatchlock.cli.ui import printable

__all__ = ["block", "code"]

_BACKTICKS = re.compile(r"`+")
_SHORTEST_FENCE = 3


def code(text: str) -> str:
    """Return a text as a code span of one line."""
    shown = printable(text)
    if not shown.strip():
        return ""  # that is no span
    fence = "`" * (_longest(shown) + 1)
    blank = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def block(text: str) -> str:
    """Return lines as a block of code."""
    shown = "\n".join(map(printable, text.split("\n")))
    fence = "`" * max(_SHORTEST_FENCE, _longest(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}"


def _longest(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
