"""All checks, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Sequence

from hatchlock.security.audit.facts import Facts
from hatchlock.security.audit.model import Check, State, Verdict, worst
from hatchlock.security.audit.profile import PROFILE
from hatchlock.security.audit.secrecy import SECRECY
from hatchlock.security.audit.supply import SUPPLY
from hatchlock.security.audit.upkeep import UPKEEP

__all__ = ["CHECKS", "evaluate", "state_of_point"]

CHECKS: tuple[Check, ...] = (*SECRECY, *PROFILE, *SUPPLY, *UPKEEP)


def evaluate(facts: Facts) -> tuple[Verdict, ...]:
    """Make every check."""
    return tuple(Verdict(check=check, outcome=check.decide(facts)) for check in CHECKS)


def state_of_point(point: str, verdicts: Sequence[Verdict], address: str = "") -> State:
    """Return the worst state among the checks that answer a point; with an address, as far as that is concerned."""
    chosen = [item.outcome for item in verdicts if point in item.check.points]
    return worst(item.state_of(address) if address else item.state for item in chosen)
