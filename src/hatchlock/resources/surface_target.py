"""Which tools of a server may pass on this machine: what the manifest says, and what the lock has pinned."""

from __future__ import annotations

from dataclasses import replace

from hatchlock.lock.artefact import is_stale
from hatchlock.lock.model import Lock
from hatchlock.surface import Pins, SurfaceRules

__all__ = ["surface_rules"]


def surface_rules(declared: SurfaceRules, lock: Lock, server: str, platform: str) -> SurfaceRules | None:
    """Return the rules of a server's launch record; None where anything may pass.

    Args:
        declared: Of the manifest, without pins.
        lock: Has what was pinned.
        server: The server's name.
        platform: This machine's.
    """
    surface = lock.surface(server)
    if surface is None:
        return declared if declared.allow or declared.deny else None
    pins = Pins(
        tools={item.name: item.sha256 for item in surface.tools},
        prompts={item.name: item.sha256 for item in surface.prompts},
        instructions=surface.instructions_sha256,
        stale=is_stale(lock, server, platform),
        varying=surface.varying,
    )
    return replace(declared, pins=pins)
