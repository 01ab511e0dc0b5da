"""The words by which people say which servers they mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hatchlock.errors import UsageError

__all__ = ["matcher"]


def matcher(patterns: Sequence[str] | None) -> Callable[[str], bool]:
    """Return whether a name is one of some, or is matched by one as a whole; without any, every name is.

    Raises:
        UsageError: One is no regular expression, and so is meant as a name; but names have no such characters.
    """
    if not patterns:
        return lambda _: True
    compiled = [_compiled(pattern) for pattern in patterns]
    return lambda name: name in patterns or any(pattern.fullmatch(name) for pattern in compiled)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        what = f"{pattern!r} is no regular expression: {error}"
        raise UsageError(what=what, advice="write a name, or all of it as a pattern: 'git.*'") from None
