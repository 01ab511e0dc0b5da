"""Which packages and images a plan brings in other versions than there were: steps name environments by their keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.lock.diff import Change
    from hatchlock.lock.model import Lock
    from hatchlock.state.project import ProjectState

__all__ = ["NO_MOVES", "VersionMoves", "moves_between", "version_moves"]

_VERSIONED = (*(f"{kind}:" for kind in Kind), "archive:")


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionMoves:
    """How the packages, images and archives of a lock differ from those of another one.

    Attributes:
        since: The other one, as people call it; "" for none.
        changes: The differences, sorted.
    """

    since: str = ""
    changes: tuple[Change, ...] = ()


NO_MOVES = VersionMoves()
"""Nothing has moved."""


def version_moves(state: ProjectState, number: int, lock: bytes) -> VersionMoves:
    """Return how a lock differs from that of a generation.

    Nothing, where there is no such generation, or one of both locks is not readable by this version.

    Args:
        state: The project's state.
        number: The generation that the project is at; 0 for none.
        lock: The lock that is to be applied.
    """
    before = state.generations.lock(number) if number else None
    if before is None or before == lock:
        return NO_MOVES
    from hatchlock.lock.store import loads

    try:
        return moves_between(loads(before), loads(lock), since=f"generation {number}")
    except HatchlockError:
        return NO_MOVES


def moves_between(before: Lock, after: Lock, *, since: str) -> VersionMoves:
    """Return how a lock differs from another one, which people call `since`."""
    from hatchlock.lock.diff import diff_locks

    changes = tuple(change for change in diff_locks(before, after) if change.what.startswith(_VERSIONED))
    return VersionMoves(since=since, changes=changes) if changes else NO_MOVES
