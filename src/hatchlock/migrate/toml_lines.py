"""TOML of other tools, with the line of every key and item."""

from __future__ import annotations

from hatchlock.manifest.lines import lines
from hatchlock.manifest.read import parse
from hatchlock.migrate.document import Document, Unreadable

__all__ = ["load"]


def load(data: bytes, *, file: str) -> Document:
    """Read a file.

    Args:
        data: What it holds.
        file: Its name, as it is shown.

    Raises:
        Unreadable: It is no TOML; with the line.
    """
    toml = parse(data, shown=file)
    if toml.broken:
        raise Unreadable(place=toml.broken.place, why=toml.broken.what) from toml.broken
    return Document(file=file, value=toml.data, lines=lines(toml.text))
