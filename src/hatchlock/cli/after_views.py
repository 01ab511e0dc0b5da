"""How it is shown what people have to do after a change, before everything runs as it was applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchlock.usecases.seen import After

__all__ = ["after_blocks", "after_to_dict", "older_lines"]


def after_to_dict(after: After) -> dict[str, Any]:
    """Return what is to be done as JSON values."""
    return {"unseen": [asdict(item) for item in after.unseen], "older": [asdict(item) for item in after.older]}


def older_lines(after: After) -> Iterator[str]:
    """Yield each session that goes on with what was applied before."""
    for item in after.older:
        yield f"{item.server}: {item}; it goes on like that until it is started again there"


def after_blocks(after: After) -> Iterator[str]:
    """Yield the blocks of `status`: what applications have not seen, and what goes on as it was before."""
    if after.unseen:
        yield "\n".join(["NOT SEEN YET", *map(str, after.unseen)])
    if after.older:
        yield "\n".join(["AS IT WAS BEFORE", *older_lines(after)])
