"""Rules about a server's tools in one line. Every plan needs that, so nothing of locks is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping

from hatchlock.surface import SurfaceRules, set_hash

__all__ = ["surface_words"]

_SHOWN_DIGITS = 12


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
