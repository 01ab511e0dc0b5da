"""Drift: what somebody else has changed since it was applied, and what is recorded so that it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.resources.base import Step
    from hatchlock.state.applied import AppliedKeys
    from hatchlock.usecases.plan import Planned

__all__ = ["every_difference", "is_recorded", "record_applied"]


def every_difference(planned: Planned) -> Mapping[Address, Step]:
    """Return what is not as it should be, whatever is to be done about it: steps of the plan, and of what it leaves alone.

    What cannot be planned, and what is not to be touched besides (`[[forget]]`, `--only`), is as in the plan.
    """
    from dataclasses import replace

    from hatchlock.reconcile.diff import diff

    steps = {step.address: step for step in planned.plan.steps}
    if not planned.target.drift:
        return steps
    whole = diff(
        [replace(item, drift="correct") for item in planned.desired],
        [replace(item, policy="correct") for item in planned.observed],
        planned.plan.problems,
        applied=planned.applied.keys,
    )
    return {step.address: step for step in whole.steps if step.drift} | steps


def is_recorded(planned: Planned) -> bool:
    """Return whether what is there stands in the project's state already."""
    from hatchlock.state.groups import read_groups

    same = dict(read_groups(planned.state.root)) == dict(planned.target.groups)
    return same and _found(planned, None) == planned.applied


def record_applied(planned: Planned, outcome: Outcome | None = None) -> None:
    """Record what is there when steps have ended, or when there were none.

    What is as it should be has its key; what was changed by somebody else, and stays so, has the one that it had. What a
    step has left that failed nobody knows. What is neither declared nor there any more is forgotten.

    Args:
        planned: What was observed before, and what should be.
        outcome: What became of the steps; None when there were none.

    Raises:
        PermissionProblem: It cannot be written.
    """
    from hatchlock.state.applied import write_applied
    from hatchlock.state.groups import write_groups

    write_groups(planned.state.root, planned.target.groups)
    write_applied(planned.state.root, _found(planned, outcome))


def _found(planned: Planned, outcome: Outcome | None) -> AppliedKeys:
    from hatchlock.state.applied import OF_SESSIONS, AppliedKeys

    wanted = {item.address: item.key for item in planned.desired}
    present = {item.address: item.key for item in planned.observed}
    formers = {item.address: item.former for item in planned.observed if item.former}
    there = {*wanted, *present, *formers.values()}
    keys = {address: key for address, key in planned.applied.keys.items() if address in there}
    keys |= {address: key for address, key in wanted.items() if present.get(address) == key}
    for step in outcome.done if outcome else ():
        keys.pop(step.address, None)
        keys.pop(formers.get(step.address, step.address), None)
        if step.after:
            keys[step.address] = step.after
    for step, _ in outcome.failed if outcome else ():
        keys.pop(step.address, None)
    kept = {address: key for address, key in keys.items() if address.kind not in OF_SESSIONS}
    return AppliedKeys(keys=kept, images=planned.world.tags.ids, engine=planned.target.engine)
