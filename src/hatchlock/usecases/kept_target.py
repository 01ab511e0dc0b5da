"""What a generation has kept of its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.resources.target import Target
    from hatchlock.state.generations import Generations

__all__ = ["kept_target"]


def kept_target(generations: Generations, number: int) -> Target | None:
    """Return the target that a generation has kept; None where it has none of this version."""
    from hatchlock.resources.target import TARGET_FORMAT, target_from_dict

    document = generations.target(number)
    if document is None or document.get("target_format") != TARGET_FORMAT:
        return None
    try:
        return target_from_dict(document["target"])
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
