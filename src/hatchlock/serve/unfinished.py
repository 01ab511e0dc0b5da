"""A server's environment that somebody is just making, or has not made to its end: nothing is started from a half-made one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.store.receipts import finished, using

if TYPE_CHECKING:
    from hatchlock.events import Event
    from hatchlock.launch import LaunchRecord

__all__ = ["EnvironmentUnfinished", "await_finished", "finished_paths"]

_LOCKS = {"envs": "env", "conda": "conda", "pythons": "python"}
"""Directory of the store -> what the lease of each tree in it begins with."""
_PATIENCE = 600.0
"""Seconds that a build may take; whoever waits for us has lost patience long before."""


@dataclass(kw_only=True, eq=False)
class EnvironmentUnfinished(HatchlockError):
    """What a server runs from is not complete."""

    code: ClassVar[str] = "environment-unfinished"

    path: str
    why: str

    def __str__(self) -> str:
        return f"what it runs from, {self.path}, is not complete: {self.why}"

    def _hint(self) -> str:
        return (
            "run `hatchlock apply` in the project's directory, which makes what is missing, and start the server again"
        )


def await_finished(record: LaunchRecord, store: Path, *, stderr: int, patience: float = _PATIENCE) -> None:
    """Wait while somebody makes an environment that a server runs from; stderr says for what and for whom.

    To be called before signals are handled: they end the waiting as they end any program. Costs a stat for each directory
    of the store that the server needs.

    Args:
        record: The server's.
        store: The store's root.
        stderr: Where that is said.
        patience: Seconds to wait at most.

    Raises:
        EnvironmentUnfinished: Nobody makes it, or not in time.
        PermissionProblem: It is half-made, and whether somebody is at it cannot be seen.
    """
    for tree in _unfinished(record, store):
        _await(tree, store, stderr, patience)
    _check(record, store)


@contextlib.contextmanager
def finished_paths(record: LaunchRecord, store: Path) -> Iterator[None]:
    """Keep what a server runs from as it is inside the block (`store.receipts.using`); it was waited for before.

    Raises:
        EnvironmentUnfinished: Somebody has just begun to make it anew.
    """
    with using(map(Path, record.read_only_paths)):
        _check(record, store)
        yield


def _check(record: LaunchRecord, store: Path) -> None:
    for tree in _unfinished(record, store):
        if tree.is_dir():  # one that is gone altogether is told of as every directory is
            raise EnvironmentUnfinished(path=str(tree), why="whoever made it was ended, or has just begun again")


def _unfinished(record: LaunchRecord, store: Path) -> list[Path]:
    trees = map(Path, record.read_only_paths)
    return [tree for tree in trees if _is_ours(tree, store) and not finished(tree)]


def _is_ours(tree: Path, store: Path) -> bool:
    return tree.parent.name in _LOCKS and tree.parent.parent == store


def _await(tree: Path, store: Path, stderr: int, patience: float) -> None:
    from hatchlock.state.lease import LeaseHeld, lease  # noqa: PLC0415  few starts have to wait

    def tell(event: Event) -> None:
        os.write(stderr, f"hatchlock: waiting for {event.message}\n".encode())

    path = store / "locks" / f"{_LOCKS[tree.parent.name]}-{tree.name}.lock"
    what = f"the environment {tree.name}, which is being made"
    try:
        with lease(path, what=what, purpose="run", timeout=patience, emit=tell):
            pass
    except LeaseHeld as error:
        raise EnvironmentUnfinished(path=str(tree), why=str(error)) from error
