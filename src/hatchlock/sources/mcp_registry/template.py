"""`{name}` and `${NAME}` in the values of an entry."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["fill", "names_in", "rewrite"]

_PLACE = re.compile(r"\$?\{([A-Za-z_][A-Za-z0-9_.-]*)\}")


def names_in(template: str) -> tuple[str, ...]:
    """Return the names that stand in a value, each once, in order. Braces around anything else are text."""
    return tuple(dict.fromkeys(_PLACE.findall(template)))


def rewrite(template: str, replace: Callable[[str], str]) -> str:
    """Return a value with something else for every `{name}`."""
    return _PLACE.sub(lambda match: replace(match[1]), template)


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a value with those names replaced that `values` has; what they bring in is not looked at again."""
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)
