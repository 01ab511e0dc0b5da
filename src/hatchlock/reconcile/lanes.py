"""Which steps may be done at the same time. Pure.

Every kind has a lane, and a lane has a width: how many of its steps run at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from hatchlock.address import ResourceKind
from hatchlock.resources.base import Step

__all__ = ["LANES", "startable"]

LANES: Mapping[ResourceKind, int] = MappingProxyType(
    {
        ResourceKind.SYSTEM: 1,  # the host has one package database, with one lock
        ResourceKind.ENV: 4,  # each unpacks and compiles: more of them only fight over disk and processors
        ResourceKind.IMAGE: 4,  # the engine unpacks layers one after another, and what waits is in memory
        ResourceKind.CLIENT: 1,  # the order of entries in an application's file is the plan's
    }
)
"""Kinds whose steps are not all done at once; of the others as many as there are jobs."""

LAST = ResourceKind.CLIENT
"""The kind that waits until nothing else is running or could be: applications get entries of servers that are complete."""


def startable(ready: Sequence[Step], running: Iterable[ResourceKind], *, jobs: int) -> tuple[Step, ...]:
    """Return the steps to begin now.

    Args:
        ready: Those whose dependencies are done, in the plan's order, which is the order in which they are begun.
        running: The kinds of those that run.
        jobs: How many may run at once.
    """
    busy = Counter(running)
    others = [step for step in ready if step.address.kind is not LAST]
    chosen: list[Step] = []
    for step in others or (() if busy else ready[:1]):
        kind = step.address.kind
        if busy.total() >= jobs:
            break
        if busy[kind] < LANES.get(kind, jobs):
            busy[kind] += 1
            chosen.append(step)
    return tuple(chosen)
