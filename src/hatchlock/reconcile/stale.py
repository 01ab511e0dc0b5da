"""How two plans of one project differ: what was planned, and what would be planned now. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Step

__all__ = ["differences"]

_SHOWN_DIGITS = 12
_DIGEST = re.compile(r"[0-9a-f]{20,}")


def differences(planned: Plan, now: Plan) -> tuple[str, ...]:
    """Return a line for each address whose step is not the same in both plans, sorted by address; none if all are."""
    return tuple(_differences(planned, now))


def _differences(planned: Plan, now: Plan) -> Iterator[str]:
    before = {step.address: step for step in planned.steps}
    after = {step.address: step for step in now.steps}
    problems = {problem.address: problem.what for problem in now.problems}
    for address in sorted({*before, *after}, key=lambda item: item.order):
        old, new = before.get(address), after.get(address)
        if old == new:
            continue
        is_now = f"{_shown(new)}, {new.cause}" if new else problems.get(address, "nothing to do")
        if old and new and _shown(old) == _shown(new):
            is_now = f"the same with another {', '.join(_other_fields(old, new))}"
        yield f"{address}  planned: {_shown(old) if old else 'nothing to do'}; now: {is_now}"


def _shown(step: Step) -> str:
    return f"{step.action} ({_key(step.before)} -> {_key(step.after)})"


def _key(key: str) -> str:
    return _DIGEST.sub(lambda match: match[0][:_SHOWN_DIGITS], key) or "nothing"


def _other_fields(old: Step, new: Step) -> list[str]:
    names = (field.name for field in fields(Step))
    return [name.replace("_", " ") for name in names if getattr(old, name) != getattr(new, name)]
