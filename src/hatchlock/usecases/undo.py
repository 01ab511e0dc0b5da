"""`apply --rollback-on-failure`: what an apply did is undone by planning towards what was there before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError, SystemProblem
from hatchlock.events import Sink
from hatchlock.usecases.plan import Planned, make_plan
from hatchlock.usecases.rollback import DATA, carry_back, plan_return, roll_back

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.usecases.carry_out import Pace
    from hatchlock.usecases.consent import Consent
    from hatchlock.usecases.project import Project

__all__ = ["Undone", "undo_applied", "undo_failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """How an apply that failed was undone.

    Attributes:
        generation: The generation that the project is at again; 0 for nothing at all, since there was none before.
        outcome: What became of the steps; None when there was nothing to undo, or none of it may be.
        beyond: What stays all the same, a sentence each.
        problem: Why it could not be undone; None if it could.
    """

    generation: int
    outcome: Outcome | None = None
    beyond: tuple[str, ...] = ()
    problem: HatchlockError | None = None

    @property
    def is_back(self) -> bool:
        """Whether everything is as it was before, but for what is beyond."""
        return self.problem is None and (self.outcome is None or self.outcome.is_complete)


def undo_failed(
    project: Project, planned: Planned, *, before: int, consent: Consent, offline: bool, emit: Sink, pace: Pace
) -> Undone:
    """Undo an apply of which a step failed. The caller holds the project's lease.

    Where nothing was applied before, what was made is removed, volumes excepted. Nothing is lost for it that nobody has agreed
    to lose.

    Args:
        project: Whose.
        planned: What was applied.
        before: The generation that the project was at; 0 for none.
        consent: What was agreed to for the apply.
        offline: Fetch nothing.
        emit: Told about progress.
        pace: How the steps are done.
    """
    try:
        if not before:
            return _to_nothing(project, planned, consent=consent, emit=emit, pace=pace)
        way = plan_return(project, before, offline=offline, emit=emit)
        if not way.planned.plan.steps:
            return Undone(generation=before, beyond=way.beyond)
        _check(way.planned, consent)
        outcome = carry_back(way, offline=offline, emit=emit, pace=pace).outcome
        return Undone(generation=before, outcome=outcome, beyond=way.beyond)
    except (HatchlockError, OSError) as error:
        return Undone(generation=before, problem=SystemProblem.known(error))


def undo_applied(
    project: Project, *, before: int, consent: Consent, offline: bool, lock_timeout: float, emit: Sink, pace: Pace
) -> Undone:
    """Go back from an apply that did all its steps, after which a server does not answer.

    Raises nothing: what hinders it is in the answer. Where nothing was applied before, there is nothing to go back to.

    Args:
        project: Whose.
        before: The generation that the project was at.
        consent: What was agreed to for the apply.
        offline: Fetch nothing.
        lock_timeout: Seconds to wait for another apply.
        emit: Told about progress.
        pace: How the steps are done.
    """
    try:
        done = roll_back(
            project,
            before,
            consent=replace(consent, yes=True, mass_removal=True),
            offline=offline,
            lock_timeout=lock_timeout,
            emit=emit,
            pace=pace,
        )
    except (HatchlockError, OSError) as error:
        return Undone(generation=before, problem=SystemProblem.known(error))
    return Undone(generation=before, outcome=done.outcome, beyond=done.way.beyond)


def _to_nothing(project: Project, planned: Planned, *, consent: Consent, emit: Sink, pace: Pace) -> Undone:
    from hatchlock.usecases.beyond import beyond_nothing
    from hatchlock.usecases.carry_out import carry_out
    from hatchlock.usecases.destroy import without_anything

    back = make_plan(project, purpose="apply", target=without_anything(planned.target), spared=DATA, emit=emit)
    beyond = tuple(beyond_nothing(back))
    if not back.plan.steps:
        return Undone(generation=0, beyond=beyond)
    _check(back, consent)
    outcome = carry_out(back, command="apply", settle=lambda _: None, emit=emit, pace=pace)
    return Undone(generation=0, outcome=outcome, beyond=beyond)


def _check(planned: Planned, consent: Consent) -> None:
    from hatchlock.usecases.consent import check_consent

    check_consent(planned.plan, replace(consent, yes=True, mass_removal=True), None)
