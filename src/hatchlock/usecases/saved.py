"""Saved plans: what they are bound to, and whether they still are what would be planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.reconcile.plan import Plan
    from hatchlock.reconcile.planfile import SavedPlan
    from hatchlock.reconcile.select import Selection
    from hatchlock.usecases.plan import Planned
    from hatchlock.usecases.project import Project

__all__ = ["StalePlan", "check_same", "plan_bindings", "saved_selection", "staleness"]

_WORDS = {"target": "this machine", "engine": "the engine", "first": "the project's state"}
"""What bindings are called where their own names say nothing to people."""
_FIRST = "it was made before anything had been applied, and something has been since"


@dataclass(kw_only=True, eq=False)
class StalePlan(HatchlockError):
    """A plan is not what would be planned now.

    Attributes:
        changed: What is not the same, in words.
        differences: The steps that are not the same, and how: a line each.
    """

    code: ClassVar[str] = "stale-plan"

    changed: tuple[str, ...]
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = f"the plan is stale: {', '.join(self.changed)} changed since it was made; nothing was done"
        return "\n  ".join([what, *self.differences])

    def _hint(self) -> str:
        return "run `hatchlock plan` again, and look at it"


def plan_bindings(project: Project, planned: Planned) -> dict[str, str]:
    """Return what a saved plan is bound to: it can be applied only where and when all of it is the same.

    Raises:
        EngineFailed: The engine of the project does not say what it is.
    """
    from hatchlock.resources.target import target_to_dict
    from hatchlock.usecases.plan import Connection

    target = planned.target
    return {
        "project": target.project,
        "directory": str(project.directory),
        "home": str(project.home.root),
        "manifest": sha256_bytes(project.manifest_bytes),
        "overlay": sha256_bytes(project.overlay_bytes),
        "lock": sha256_bytes(project.lock_bytes or b""),
        "target": sha256_bytes(canonical_json(target_to_dict(target))),
        **({"engine": Connection(target)().id()} if target.engine else {}),
        # one number for all steps would make plans stale that have nothing to do with each other; these have preconditions
        **({"first": "yes"} if planned.state.serial() == 0 else {}),
    }


def saved_selection(saved: SavedPlan) -> Selection | None:
    """Return what of the whole plan a saved one is; None if it is whole."""
    from hatchlock.reconcile.select import Selection
    from hatchlock.resources.base import Action

    plan = saved.plan
    again = tuple(str(step.address) for step in plan.steps if step.action is Action.REPLACE)
    return Selection(only=plan.only, again=again) if plan.only or again else None


def check_same(shown: Plan, current: Plan, *, yes: bool) -> None:
    """Refuse what the user was not shown.

    Args:
        shown: The plan that was agreed to.
        current: What would be done now.
        yes: It was agreed to beforehand, whatever would be planned.

    Raises:
        StalePlan: They differ; nothing was done.
    """
    from hatchlock.reconcile.stale import differences

    if shown != current and not yes:
        raise StalePlan(changed=("the world",), differences=differences(shown, current))


def staleness(saved: SavedPlan, project: Project, planned: Planned) -> StalePlan | None:
    """Return how a saved plan differs from what is planned now, or None if it does not.

    Args:
        saved: The saved plan.
        project: Where it is to be applied.
        planned: What is planned there now, of the same selection.

    Raises:
        EngineFailed: The engine of the project does not say what it is.
    """
    from hatchlock.reconcile.stale import differences

    now = plan_bindings(project, planned)
    # what an older hatchlock did not bind its plans to says nothing
    names = [name for name in now if name in saved.bindings or name not in {"engine", "first"}]
    names += [name for name in saved.bindings if name not in now]
    changed = [name for name in names if saved.bindings.get(name) != now.get(name)]
    steps = differences(saved.plan, planned.plan)
    if changed != ["target"] and "target" in changed:
        changed.remove("target")  # it follows from the others
    if not changed and not steps:
        return None
    lines = (*([_FIRST] if "first" in changed else []), *steps)
    return StalePlan(changed=tuple(_WORDS.get(name, name) for name in changed) or ("the world",), differences=lines)
