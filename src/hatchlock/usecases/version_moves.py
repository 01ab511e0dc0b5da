"""Which packages and images a plan brings in other versions than the machine has: steps name environments by their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.lock.diff import Change
    from hatchlock.state.project import ProjectState

__all__ = ["version_moves"]

_VERSIONED = (*(f"{kind}:" for kind in Kind), "archive:")


def version_moves(state: ProjectState, number: int, lock: bytes) -> tuple[Change, ...]:
    """Return how the packages, images and archives of a lock differ from those of a generation, sorted.

    Nothing, where there is no such generation, or one of both locks is not readable by this version.

    Args:
        state: The project's state.
        number: The generation that the project is at; 0 for none.
        lock: The lock that is to be applied.
    """
    before = state.generations.lock(number) if number else None
    if before is None or before == lock:
        return ()
    from hatchlock.lock.diff import diff_locks
    from hatchlock.lock.store import loads

    try:
        changes = diff_locks(loads(before), loads(lock))
    except HatchlockError:
        return ()
    return tuple(change for change in changes if change.what.startswith(_VERSIONED))
