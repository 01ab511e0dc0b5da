"""Every kind of file that is no application's and that `import` reads: one module each, one line each."""

from __future__ import annotations

from hatchlock.migrate.compose import COMPOSE
from hatchlock.migrate.hatch import HATCH_ENVIRONMENTS, HATCH_PACKAGE
from hatchlock.migrate.model import Format

__all__ = ["FORMATS", "format_of"]

FORMATS: tuple[Format, ...] = (HATCH_ENVIRONMENTS, HATCH_PACKAGE, COMPOSE)
"""In the order in which a file is asked: the narrowest first, since the first that matches reads it."""


def format_of(name: str) -> Format | None:
    """Return the format of a name, or None if there is none."""
    return next((item for item in FORMATS if item.name == name), None)
