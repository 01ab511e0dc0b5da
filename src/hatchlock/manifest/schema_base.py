"""What the tables of the manifest's document have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Table", "key", "table_or_list", "word_or_list", "word_or_table"]


def _hyphens(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class Table(BaseModel):
    """A closed table, whose keys have hyphens where Python's names have underscores."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, alias_generator=_hyphens)


def key(description: str, **limits: Any) -> Any:
    """Describe a key that may be absent."""
    return Field(default=None, description=description, **limits)


def word_or_list(value: object) -> str:
    """Tell a list from anything else, by the tags of a union."""
    return "a list" if isinstance(value, list) else "a word"


def table_or_list(value: object) -> str:
    """Tell a list from anything else, by the tags of a union."""
    return "a list" if isinstance(value, list) else "a table"


def word_or_table(value: object) -> str:
    """Tell a table from anything else, by the tags of a union."""
    return "a table" if isinstance(value, dict) else "a word"
