"""`logs NAME`: what a server wrote to stderr, and the log of a build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from hatchlock.files import read_optional
from hatchlock.state.stamps import since

__all__ = ["last", "read_log"]

_Item = TypeVar("_Item")


def read_log(path: Path, *, start: str = "") -> Sequence[str]:
    """Return the lines of a log, those of the file before it included, the oldest first, as they were written.

    Args:
        path: The log; it may not be there yet.
        start: Only from this moment on, as `audit_log.moment_of` gives it; "" for all. A line that does not say when it
            was written is as old as the one before it; where that is not known either, it is older than any moment.
    """
    older = path.with_name(f"{path.name}.1")
    data = b"".join(read_optional(file) or b"" for file in (older, path))
    return [*since(data.decode(errors="replace").splitlines(), start)]


def last(items: Sequence[_Item], most: int | None) -> Sequence[_Item]:
    """Return the last of some items; all of them for None."""
    return items if most is None else items[max(len(items) - max(most, 0), 0) :]
