"""Values of documents from outside, which may be of any type: what is of the wrong one counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Document", "rows", "string", "strings", "table"]

Document = Mapping[str, Any]
"""A parsed TOML or JSON object."""


def table(value: object, *keys: str) -> Document:
    """Return the table at the end of a path of keys, or an empty one."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def string(value: object) -> str:
    """Return a string, or "" for anything else."""
    return value if isinstance(value, str) else ""


def strings(value: object) -> tuple[str, ...]:
    """Return the strings of a list, in order."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def rows(value: object) -> tuple[Document, ...]:
    """Return the tables of a list, in order."""
    return tuple(item for item in value if isinstance(item, Mapping)) if isinstance(value, list | tuple) else ()
