"""What happens while a command works, as values. Whoever starts the work decides where they go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "FETCH_PROGRESS",
    "STEP_PROGRESS",
    "Event",
    "Fact",
    "Sink",
    "discard",
    "event_to_dict",
    "is_progress",
    "rfc3339",
]

FETCH_PROGRESS = "fetch.progress"
STEP_PROGRESS = "step.progress"
"""How much of something is done: only for those who look on, so no log keeps these."""

Fact = str | int | float | bool
"""What an event may say to programs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        name: A stable dotted word, for example `step.done`, `fetch.done`, `warning`.
        address: What it is about; "" if nothing in particular.
        message: A short sentence for people.
        data: Facts for programs: strings, numbers and booleans only, never a secret.
        at: When, in seconds since 1970.
    """

    name: str
    address: str = ""
    message: str = ""
    data: Mapping[str, Fact] = field(default_factory=dict)
    at: float = field(default_factory=time.time, compare=False)


Sink = Callable[[Event], None]
"""Takes events, from any thread, and does not raise."""


def discard(event: Event) -> None:
    """Do nothing with an event."""


def is_progress(event: Event) -> bool:
    """Return whether an event only says how much of something is done."""
    return event.name in {FETCH_PROGRESS, STEP_PROGRESS}


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON values: the line of a stream, but for its format's version."""
    named = {"event": event.name, "time": rfc3339(event.at), "address": event.address, "message": event.message}
    return {**named, **event.data}


def rfc3339(seconds: float) -> str:
    """Return a time in UTC, to the millisecond."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandths:03}Z"
