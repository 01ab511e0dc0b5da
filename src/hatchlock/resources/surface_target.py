"""Which tools of a server may pass on this machine: what the manifest says, and what the lock has pinned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hatchlock.lock.artefact import is_stale
from hatchlock.lock.model import Lock
from hatchlock.surface import Pins, SurfaceRules, set_hash

__all__ = ["surface_rules", "surface_words"]

_SHOWN_DIGITS = 12


def surface_rules(declared: SurfaceRules, lock: Lock, server: str) -> SurfaceRules | None:
    """Return the rules of a server's launch record; None where anything may pass.

    Args:
        declared: Of the manifest, without pins.
        lock: Has what was pinned.
        server: The server's name.
    """
    surface = lock.surface(server)
    if surface is None:
        return declared if declared.allow or declared.deny else None
    pins = Pins(
        tools={item.name: item.sha256 for item in surface.tools},
        prompts={item.name: item.sha256 for item in surface.prompts},
        instructions=surface.instructions_sha256,
        stale=is_stale(lock, server),
    )
    return replace(declared, pins=pins)


def surface_words(rules: SurfaceRules | None) -> str:
    """Return rules in one line for people, with no text of a server's in it; "" where anything may pass."""
    if rules is None:
        return ""
    parts = [
        f"only {', '.join(rules.allow)}" if rules.allow else "",
        f"never {', '.join(rules.deny)}" if rules.deny else "",
        _pinned(rules),
    ]
    return "; ".join(part for part in parts if part)


def _pinned(rules: SurfaceRules) -> str:
    pins = rules.pins
    if pins is None:
        return ""
    parts = [_listed(pins.tools, "tool"), _listed(pins.prompts, "prompt") if pins.prompts else ""]
    parts.append(f"instructions ({pins.instructions[:_SHOWN_DIGITS]})" if pins.instructions else "")
    others = {"refuse": "", "filter": ", what differs is left out", "warn": ", what differs is told of"}[rules.changed]
    return f"{', '.join(item for item in parts if item)} pinned{', stale' if pins.stale else ''}{others}"


def _listed(pinned: Mapping[str, str], word: str) -> str:
    number = len(pinned)
    return f"{number} {word}{'' if number == 1 else 's'} ({set_hash(pinned.items())[:_SHOWN_DIGITS]})"
