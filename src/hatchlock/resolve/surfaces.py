"""What was pinned of servers goes from lock to lock: as it is, for as long as the server is there, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hatchlock.lock.artefact import artefact_of, artefacts_of, stale_on
from hatchlock.lock.model import Lock
from hatchlock.lock.surfaces import Surface
from hatchlock.manifest.handover import Handover

__all__ = ["surface_warnings", "with_surfaces"]


def with_surfaces(lock: Lock, before: Sequence[Lock], handover: Handover) -> Lock:
    """Return a lock with what earlier ones have pinned of its servers, under their names of now.

    Of a merge's two sides the one whose pin is of what is locked now goes before the other, else the first one. A pin of which
    only some platforms have become something else gets the digests of each: on the others it goes on to count.

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
        stale = stale_on(lock, name)
        if stale and not any(set(stale) <= set(stale_on(other, _known_as(other, name, handover))) for other in known):
            where = "" if stale == lock.platforms else f" on {', '.join(stale)}"
            yield (
                f"what server:{name} is made of{where} has changed since it was pinned: after `hatchlock apply`"
                f"{' there' if where else ''}, look at its tools again with `hatchlock pin {name}`"
            )


def _carried(lock: Lock, name: str, before: Sequence[Lock], handover: Handover) -> Surface | None:
    found = [(other, item) for other in before if (item := _named(other, name, handover))]
    if not found:
        return None
    artefact = artefact_of(lock, name)
    other, surface = next(((other, item) for other, item in found if item.artefact == artefact), found[0])
    if surface.artefact != artefact and not surface.artefacts:
        surface = replace(surface, artefacts=_parts(lock, name, other, surface))
    return replace(surface, server=name)


def _parts(lock: Lock, name: str, before: Lock, surface: Surface) -> dict[str, str]:
    """Return what a pin was of on each platform, if that is the same on some of them; the lock that it is from still says."""
    if surface.artefact != artefact_of(before, surface.server):
        return {}
    pinned, now = artefacts_of(before, surface.server), artefacts_of(lock, name)
    return pinned if any(now.get(platform) == digest for platform, digest in pinned.items()) else {}


def _named(lock: Lock, name: str, handover: Handover) -> Surface | None:
    return lock.surface(_known_as(lock, name, handover))


def _known_as(lock: Lock, name: str, handover: Handover) -> str:
    """Return the name under which a lock has pinned a server: its own, or the last one of those that it had."""
    names = (name, *handover.names_before(name))
    return next((item for item in names if lock.surface(item)), name)


def _what(surface: Surface) -> tuple[str, ...]:
    return surface.tools_sha256, surface.prompts_sha256, surface.instructions_sha256, *surface.varying
