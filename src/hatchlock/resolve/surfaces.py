"""What was pinned of servers goes from lock to lock: as it is, for as long as the server is there, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hatchlock.lock.artefact import artefact_of, is_stale
from hatchlock.lock.model import Lock
from hatchlock.lock.surfaces import Surface
from hatchlock.manifest.handover import Handover

__all__ = ["surface_warnings", "with_surfaces"]


def with_surfaces(lock: Lock, before: Sequence[Lock], handover: Handover) -> Lock:
    """Return a lock with what earlier ones have pinned of its servers, under their names of now.

    Of a merge's two sides the one whose pin is of what is locked now goes before the other, else the first one.

    Args:
        lock: The new one.
        before: The lock so far; both sides of a merge.
        handover: Which servers had another name.
    """
    found = (_carried(lock, server.name, before, handover) for server in lock.servers)
    return replace(lock, surfaces=tuple(surface for surface in found if surface))


def surface_warnings(lock: Lock, before: Sequence[Lock], handover: Handover) -> Iterator[str]:
    """Yield, for people, which pins have become stale with this lock, and which of two were not kept."""
    for surface in lock.surfaces:
        name = surface.server
        known = [other for other in before if _named(other, name, handover)]
        others = [found for other in known if (found := _named(other, name, handover))]
        if any(_what(other) != _what(surface) for other in others):
            yield f"the two sides of the merge have pinned other tools of server:{name}; see `hatchlock pin --check {name}`"
        if is_stale(lock, name) and not any(is_stale(other, _known_as(other, name, handover)) for other in known):
            yield (
                f"what server:{name} is made of has changed since it was pinned: after `hatchlock apply`,"
                f" look at its tools again with `hatchlock pin {name}`"
            )


def _carried(lock: Lock, name: str, before: Sequence[Lock], handover: Handover) -> Surface | None:
    found = [replace(item, server=name) for other in before if (item := _named(other, name, handover))]
    artefact = artefact_of(lock, name) if len(found) > 1 else ""
    return next((item for item in found if item.artefact == artefact), next(iter(found), None))


def _named(lock: Lock, name: str, handover: Handover) -> Surface | None:
    return lock.surface(_known_as(lock, name, handover))


def _known_as(lock: Lock, name: str, handover: Handover) -> str:
    """Return the name under which a lock has pinned a server: its own, or the last one of those that it had."""
    names = (name, *handover.names_before(name))
    return next((item for item in names if lock.surface(item)), name)


def _what(surface: Surface) -> tuple[str, ...]:
    return surface.tools_sha256, surface.prompts_sha256, surface.instructions_sha256, *surface.varying
