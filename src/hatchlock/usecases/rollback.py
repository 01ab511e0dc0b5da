"""`rollback`: back to what an earlier apply left, by a plan towards it. It makes no generation, and moves one pointer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatchlock.address import ResourceKind
from hatchlock.events import Sink, discard
from hatchlock.usecases.generations import NoSuchGeneration, is_same, project_at, target_at
from hatchlock.usecases.plan import Planned, make_plan, project_state

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.carry_out import Pace
    from hatchlock.usecases.consent import Consent
    from hatchlock.usecases.project import Project

__all__ = ["DATA", "Return", "RolledBack", "carry_back", "plan_return", "roll_back"]

DATA = frozenset({ResourceKind.VOLUME})
"""What stays although a generation does not have it: nobody has said that it is to be lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Return:
    """The way back to a generation.

    Attributes:
        number: Which.
        current: The one that the project is at.
        then: The project, with the files that it had then.
        planned: The plan towards it.
        beyond: What it does not bring back, a sentence each.
    """

    number: int
    current: int
    then: Project
    planned: Planned
    beyond: tuple[str, ...]

    @property
    def is_settled(self) -> bool:
        """Whether neither the world nor the pointer has to change."""
        return not self.planned.plan.steps and self.number == self.current and self.planned.interrupted is None


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledBack:
    """What `rollback` did.

    Attributes:
        way: What was to be done.
        outcome: What became of the steps; None when there was nothing to do.
    """

    way: Return
    outcome: Outcome | None

    @property
    def is_there(self) -> bool:
        """Whether the project is at the generation now."""
        return self.outcome is None or (self.outcome.is_complete and not self.way.planned.plan.problems)


def plan_return(
    project: Project, number: int | None = None, *, offline: bool = False, lock_timeout: float = 0, emit: Sink = discard
) -> Return:
    """Plan the way back to a generation. Reads only.

    Data is left alone: a volume that the generation does not have stays.

    Args:
        project: Whose.
        number: Which; None for the last one before the current one that is not the same.
        offline: Whether what it needs may not be fetched.
        lock_timeout: Seconds to wait for locks, when it is carried out.
        emit: Told for whom its resources wait.

    Raises:
        NoSuchGeneration: There is none of that number, or none before the current one.
        BoundElsewhere: The project belongs to another directory.
        HatchlockError: What planning raises.
    """
    from hatchlock.usecases.beyond import beyond_return
    from hatchlock.usecases.run import project_name

    name = project_name(project.manifest)
    state = project_state(project, name)
    state.check_binding(name, project.directory)
    chosen = _chosen(name, state, number)
    then = project_at(project, state, chosen)
    planned = make_plan(
        then,
        purpose="rollback",
        lock_timeout=lock_timeout,
        offline=offline,
        target=target_at(then, state, chosen),
        spared=DATA,
        emit=emit,
    )
    return Return(
        number=chosen,
        current=state.current(),
        then=then,
        planned=replace(planned, plan=replace(planned.plan, held=0)),  # where it is does not matter to where it goes
        beyond=tuple(beyond_return(planned, chosen, project.home)),
    )


def roll_back(
    project: Project,
    number: int | None = None,
    *,
    consent: Consent,
    confirm: Callable[[Return], bool] | None = None,
    show: Callable[[Return], None] | None = None,
    offline: bool = False,
    lock_timeout: float = 60.0,
    emit: Sink = discard,
    pace: Pace | None = None,
) -> RolledBack:
    """Bring environments, images, launch records and entries to what a generation left.

    What is missing is made again from the store, and fetched by the generation's lock. From then on the project is held at
    the generation until the next `apply`. After a kill, the same command goes on.

    Args:
        project: Whose.
        number: As for `plan_return`.
        consent: What was agreed to beforehand.
        confirm: Shows the way and asks; None when there is nobody to ask.
        show: Shows it without asking, where a consent is missing.
        offline: Fetch nothing.
        lock_timeout: Seconds to wait for an apply that is running.
        emit: Told about progress.
        pace: How the steps are done; None for the usual.

    Raises:
        RefusedError: A consent is missing; nothing was done.
        StalePlan: The world changed while the user was asked; nothing was done.
        LeaseHeld: An apply did not end in time.
        HatchlockError: What `plan_return` and fetching raise. Errors of steps are in the outcome instead.
    """
    from hatchlock.usecases.carry_out import put_aside_damaged
    from hatchlock.usecases.consent import check_consent
    from hatchlock.usecases.leases import project_lease
    from hatchlock.usecases.saved import check_same

    way = plan_return(project, number, offline=offline, lock_timeout=lock_timeout, emit=emit)
    if way.is_settled:
        return RolledBack(way=way, outcome=None)
    if way.planned.plan.steps:
        check_consent(way.planned.plan, consent, confirm and (lambda: confirm(way)), show=show and (lambda: show(way)))
    name, state = way.planned.target.project, way.planned.state
    with project_lease(project.home, name, state, purpose="rollback", timeout=lock_timeout, emit=emit):
        put_aside_damaged(state, emit)
        now = plan_return(project, way.number, offline=offline, lock_timeout=lock_timeout, emit=emit)
        if now.planned.plan != way.planned.plan:
            check_same(way.planned.plan, now.planned.plan, yes=consent.yes)
            check_consent(now.planned.plan, consent, None)
        if now.is_settled:
            return RolledBack(way=now, outcome=None)
        return carry_back(now, offline=offline, emit=emit, pace=pace)


def carry_back(way: Return, *, offline: bool, emit: Sink, pace: Pace | None = None) -> RolledBack:
    """Go the way back. The caller holds the project's lease.

    Raises:
        HatchlockError, OSError: What is missing cannot be fetched; nothing was changed.
    """
    from hatchlock.usecases.carry_out import USUAL, carry_out
    from hatchlock.usecases.fetch import fetch_for
    from hatchlock.usecases.launcher import write_launcher

    planned = way.planned

    def prepare(told: Sink) -> None:
        fetch_for(way.then, planned, offline=offline, emit=told)
        write_launcher(way.then.home)

    def settle(outcome: Outcome) -> None:
        if outcome.is_complete and not planned.plan.problems:
            planned.state.generations.hold(way.number)

    outcome = carry_out(
        planned, command=f"rollback {way.number}", prepare=prepare, settle=settle, emit=emit, pace=pace or USUAL
    )
    return RolledBack(way=way, outcome=outcome)


def _chosen(project: str, state: ProjectState, number: int | None) -> int:
    known = state.generations.numbers()
    if number is not None:
        if number not in known:
            raise NoSuchGeneration(project=project, wanted=str(number), known=known, is_begun=bool(state.active()))
        return number
    if (begun := _begun(state)) in known:
        return begun
    current = state.current()
    before = [item for item in known if item < current]
    if not before:
        wanted = f"before {current}" if current else "to go back to"
        raise NoSuchGeneration(project=project, wanted=wanted, known=known, is_begun=bool(state.active()))
    # an apply after a rollback leaves once more what had been there: going back to that would change nothing
    others = [item for item in before if not is_same(state.generations, item, current)]
    return (others or before)[-1]


def _begun(state: ProjectState) -> int:
    """Return where a rollback was going that did not end: the same command goes on to there, and no further; 0 for none."""
    from hatchlock.state.journal import read_interrupted

    left = read_interrupted(state.journal_path)
    name, _, number = left.command.partition(" ") if left else ("", "", "")
    return int(number) if name == "rollback" else 0
