"""`apply`: does exactly what the plan says, after the consents that it needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.usecases.audit_trail import note
from hatchlock.usecases.carry_out import USUAL, Pace, put_aside_damaged
from hatchlock.usecases.consent import Consent, check_consent
from hatchlock.usecases.drift import is_recorded
from hatchlock.usecases.launcher import write_launcher
from hatchlock.usecases.plan import Planned, make_plan
from hatchlock.usecases.saved import check_same, saved_selection, staleness

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.reconcile.execute import Outcome
    from hatchlock.reconcile.planfile import SavedPlan
    from hatchlock.reconcile.select import Selection
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.undo import Undone

__all__ = ["Applied", "apply_project"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What `apply` did.

    Attributes:
        planned: The plan and its world.
        outcome: What became of the steps; None when there were none.
        generation: The number of the generation that it left; 0 when it did not finish, or there is none yet.
        changed_servers: Names of servers whose launch record, environment or image changed, sorted.
        before: The number of the generation that the project was at; 0 for none.
        undone: How it was undone, where a step failed and that was asked for.
    """

    planned: Planned
    outcome: Outcome | None
    generation: int
    changed_servers: tuple[str, ...]
    before: int = 0
    undone: Undone | None = None


def apply_project(
    project: Project,
    *,
    consent: Consent,
    confirm: Callable[[Planned], bool] | None = None,
    saved: SavedPlan | None = None,
    selection: Selection | None = None,
    takeover: bool = False,
    offline: bool = False,
    bundle: Path | None = None,
    lock_timeout: float = 60.0,
    undo: bool = False,
    pace: Pace = USUAL,
    emit: Sink = discard,
) -> Applied:
    """Bring this machine to what the lock says.

    Everything that the steps need is fetched and checked before the first of them begins.

    Args:
        project: Whose.
        consent: What was agreed to beforehand.
        confirm: Shows the plan and asks; None when there is nobody to ask.
        saved: Apply exactly this plan.
        selection: What of the plan is wanted, and what is to be made anew; a saved plan has its own.
        takeover: Bind the project to this directory.
        offline: Fetch nothing.
        bundle: What `fetch --to` wrote; its files are taken into the store first.
        lock_timeout: Seconds to wait for another apply.
        undo: If a step fails, go back to what was there before.
        pace: How the steps are done.
        emit: Told about progress.

    Raises:
        RefusedError: A consent is missing; nothing was done.
        StalePlan: The saved or confirmed plan is not what would be planned now; nothing was done.
        LeaseHeld: Another apply did not end in time.
        HatchlockError: What planning and fetching raise. Errors of steps are in the outcome instead.
    """
    if bundle is not None:
        from hatchlock.store.blobs import Blobs
        from hatchlock.usecases.bundle import import_bundle

        import_bundle(bundle, project, Blobs(project.home.blobs))
    if saved is not None:
        selection = saved_selection(saved)
    planned = _plan(project, takeover, lock_timeout, offline=offline, selection=selection, emit=emit)
    _check_saved(saved, project, planned)
    if _is_settled(project, planned) and is_recorded(planned):
        return _unchanged(project, planned)
    if planned.plan.steps:
        check_consent(planned.plan, consent, confirm and (lambda: confirm(planned)))
    from hatchlock.usecases.drift import record_applied
    from hatchlock.usecases.leases import project_lease
    from hatchlock.usecases.project import reread

    name = planned.target.project
    with project_lease(project.home, name, planned.state, purpose="apply", timeout=lock_timeout, emit=emit):
        project = reread(project)
        is_mended = put_aside_damaged(planned.state, emit)
        current = _plan(project, takeover, lock_timeout, offline=offline, selection=selection, emit=emit)
        _check_saved(saved, project, current)
        if current.plan != planned.plan:
            check_same(planned.plan, current.plan, yes=consent.yes)
            check_consent(current.plan, consent, None)
        if not is_mended and _is_settled(project, current):
            record_applied(current)
            return _unchanged(project, current)
        applied = _apply(project, current, offline=offline, emit=emit, pace=pace)
        if undo and applied.outcome and applied.outcome.failed and not applied.outcome.is_interrupted:
            from hatchlock.usecases.undo import undo_failed

            undone = undo_failed(
                project, current, before=applied.before, consent=consent, offline=offline, emit=emit, pace=pace
            )
            return replace(applied, undone=undone)
        return applied


def _plan(
    project: Project,
    takeover: bool,
    lock_timeout: float,
    *,
    offline: bool,
    selection: Selection | None,
    emit: Sink,
) -> Planned:
    return make_plan(
        project,
        purpose="apply",
        lock_timeout=lock_timeout,
        takeover=takeover,
        offline=offline,
        selection=selection,
        emit=emit,
    )


def _is_settled(project: Project, planned: Planned) -> bool:
    """Whether neither the world nor what is recorded of it has to change: an apply killed at its very end left no steps."""
    if planned.plan.steps or planned.state.damage():
        return False
    if planned.plan.only:
        return True  # what is recorded is about the whole
    if planned.plan.held or planned.given_up.is_news:
        return False
    is_first = planned.state.generation() == 0 and not planned.plan.problems
    if is_first or planned.interrupted is not None:
        return False
    from hatchlock.usecases.generations import is_owed

    return not is_owed(project, planned)


def _unchanged(project: Project, planned: Planned) -> Applied:
    generation = planned.state.generation()
    if generation:
        write_launcher(project.home)  # it may be of a hatchlock that is gone
        _remove_left(planned)
    note(project.home.root, "apply.unchanged", project=planned.target.project, lock=planned.lock_digest)
    return Applied(planned=planned, outcome=None, generation=generation, changed_servers=())


def _remove_left(planned: Planned) -> None:
    """Remove what sessions have left that were killed."""
    from hatchlock.usecases.remains import remove_left

    remove_left(planned.state.root)
    with contextlib.suppress(HatchlockError):  # a container that stays is told of by the next plan
        planned.world.containers.remove_left()


def _check_saved(saved: SavedPlan | None, project: Project, planned: Planned) -> None:
    if saved is not None and (stale := staleness(saved, project, planned)):
        raise stale


def _apply(project: Project, planned: Planned, *, offline: bool, emit: Sink, pace: Pace) -> Applied:
    from hatchlock.resources.volume_directories import settle_directories
    from hatchlock.usecases.carry_out import carry_out
    from hatchlock.usecases.fetch import fetch_for

    state = planned.state

    def prepare(told: Sink) -> None:
        fetch_for(project, planned, offline=offline, emit=told)
        state.bind(project.directory)
        planned.given_up.remember(state)
        settle_directories(project.home, planned.target.project)
        planned.world.volumes.remember()
        write_launcher(project.home)
        _remove_left(planned)

    was_at = state.current()
    outcome = carry_out(
        planned,
        command="apply",
        prepare=prepare,
        settle=lambda outcome: _record(project, planned, outcome),
        emit=emit,
        pace=pace,
    )
    return Applied(
        planned=planned,
        outcome=outcome,
        generation=state.generation() if _is_whole(planned, outcome) else 0,
        changed_servers=tuple(_changed_servers(planned, outcome)),
        before=was_at,
    )


def _record(project: Project, planned: Planned, outcome: Outcome) -> None:
    """Write the generation that a finished apply leaves; a part of a plan leaves none: what is here then is no whole lock."""
    from hatchlock.usecases.generations import leave_generation

    if _is_whole(planned, outcome):
        leave_generation(project, planned, outcome)


def _is_whole(planned: Planned, outcome: Outcome) -> bool:
    return outcome.is_complete and not planned.plan.problems and not planned.plan.only


def _changed_servers(planned: Planned, outcome: Outcome) -> Iterable[str]:
    from hatchlock.resources.base import Action

    changed = {step.address for step in outcome.done if step.action is not Action.DELETE}
    failed = {step.address for step, _ in outcome.failed} | {step.address for step in outcome.not_started}
    for spec in planned.target.servers:
        touched = not changed.isdisjoint((spec.address, *spec.depends_on))
        if touched and spec.address not in failed:
            yield spec.record.server
