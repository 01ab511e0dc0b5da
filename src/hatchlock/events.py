"""What happens while a command works, as values. Whoever starts the work decides where they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Event", "Sink", "discard"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        name: A stable dotted word, for example `step.done`, `fetch.done`, `warning`.
        address: What it is about; "" if nothing in particular.
        message: A short sentence for people.
        data: Facts for programs: strings, numbers and booleans only, never a secret.
    """

    name: str
    address: str = ""
    message: str = ""
    data: Mapping[str, str | int | float | bool] = field(default_factory=dict)


Sink = Callable[[Event], None]
"""Takes events, from any thread, and does not raise."""


def discard(event: Event) -> None:
    """Do nothing with an event."""
