"""A check, what it found, and how that is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from hatchlock.security.audit.facts import Facts

__all__ = ["LEVELS", "STATES", "Check", "Finding", "Level", "Outcome", "State", "Verdict", "worst"]

Level = Literal["note", "warning", "error"]
State = Literal["fail", "warn", "unknown", "pass", "not-applicable"]

LEVELS: tuple[Level, ...] = ("note", "warning", "error")
"""From what is worth knowing, over what was declared and opens something, to what nobody declared or nobody should."""
STATES: tuple[State, ...] = ("fail", "warn", "unknown", "pass", "not-applicable")
"""The worst first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is not as it could be.

    Attributes:
        address: What it is about: `server:time`, `container:NAME`, `pypi:anyio`, `store`.
        level: How much it matters.
        what: The sentence; it may hold a stranger's text.
        hint: What to do about it; "" where there is nothing to do.
        key: Where in the manifest it was said, as a path of keys; empty where it was not said there.
    """

    address: str
    level: Level
    what: str
    hint: str = ""
    key: tuple[str | int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a check found.

    Attributes:
        looked_at: The addresses that it looked at; empty: there is nothing of that sort here.
        findings: In the order of the addresses.
        unknown: Why it, or a part of it, cannot be evaluated, as a clause; "" if it can.
    """

    looked_at: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unknown: str = ""

    @property
    def state(self) -> State:
        """Failed by an error, else warned by a warning; notes pass."""
        levels = {item.level for item in self.findings}
        if "error" in levels:
            return "fail"
        if "warning" in levels:
            return "warn"
        if self.unknown:
            return "unknown"
        return "pass" if self.looked_at else "not-applicable"

    def state_of(self, address: str) -> State:
        """Return the state as far as one address is concerned."""
        if address not in self.looked_at:
            return "not-applicable"
        own = tuple(item for item in self.findings if item.address == address)
        return Outcome(looked_at=(address,), findings=own).state


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A question with an answer that can be seen here and now.

    Attributes:
        id: Its stable name.
        title: What holds if it passes.
        points: The ids of the points that it answers (`points.POINTS`).
        decide: Facts -> what was found.
    """

    id: str
    title: str
    points: tuple[str, ...]
    decide: Callable[[Facts], Outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A check that was made."""

    check: Check
    outcome: Outcome


def worst(states: Iterable[State]) -> State:
    """Return the worst of several states; of none that there is nothing."""
    found = set(states)
    return next((state for state in STATES if state in found), "not-applicable")
