"""`destroy`: everything of a project away, by a plan towards nothing; then what is known of it.

What is in the store without a project's name (environments, blobs) is left to `gc`. Packages of the host stay.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.files import remove_tree
from hatchlock.process import owner
from hatchlock.state.fetched import forget_fetched
from hatchlock.state.keepers import keepers
from hatchlock.state.quarantine import quarantined
from hatchlock.state.sessions import RunningSession, has_ended, running
from hatchlock.usecases.destroy_leaves import left_of_files, left_secrets, left_unmarked, was_imported
from hatchlock.usecases.garbage import Item, Kept
from hatchlock.usecases.plan import Planned, make_plan, project_state, read_target

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.reconcile.execute import Outcome
    from hatchlock.resources.base import Step
    from hatchlock.resources.target import Target
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.carry_out import Pace
    from hatchlock.usecases.consent import Consent
    from hatchlock.usecases.gc_images import EngineGarbage
    from hatchlock.usecases.project import Project

__all__ = ["Destroyed", "Ruin", "SessionsRun", "destroy_project", "known_target", "plan_destroy", "without_anything"]

_STAYS = frozenset({"serial.json", "forgotten.json", "lease.lock", "lease.holder.json", "quarantine"})
"""What of a project's state outlives it: a plan that was saved before stays stale, what was given up stays so, and so does
what was put into quarantine, with what was kept of it."""
_DATA = "volumes"
_PATIENCE = 30.0
_PAUSE = 0.05


@dataclass(kw_only=True, eq=False)
class SessionsRun(HatchlockError):
    """Servers of a project run, and it is to be destroyed."""

    code: ClassVar[str] = "sessions-run"

    project: str
    sessions: tuple[RunningSession, ...]
    waited: bool = False

    def __str__(self) -> str:
        names = ", ".join(f"{session.server} (process {session.pid})" for session in self.sessions)
        do = "still run" if self.waited else "run"
        return f"servers of the project {self.project} {do}: {names}; nothing was removed"

    def _hint(self) -> str:
        if self.waited:
            return "end them yourself; a session of another machine or container cannot be ended from here"
        return "end them in their applications, or let them be ended with --stop-sessions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruin:
    """What would go.

    Attributes:
        project: The project's name.
        planned: The plan towards nothing.
        items: What goes after its steps: containers that were left, networks, names of images, generations.
        kept: What stays in the engine, and why.
        sessions: Servers that run.
        has_state: Whether something is known of the project besides.
        engine: Where the items are that an engine has.
    """

    project: str
    planned: Planned
    items: tuple[Item, ...]
    kept: tuple[Kept, ...]
    sessions: tuple[RunningSession, ...]
    has_state: bool
    engine: EngineGarbage

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing of the project at all."""
        return not self.planned.plan.steps and not self.items and not self.has_state


@dataclass(frozen=True, kw_only=True, slots=True)
class Destroyed:
    """What `destroy` did.

    Attributes:
        ruin: What was to go.
        outcome: What became of the steps; None when there was nothing at all.
        items: What of the rest is gone; empty if not all steps were done.
        kept: What stayed, and why.
        was_imported: Whether it is forgotten by now which entries `import` has read, so that they are others' again.
    """

    ruin: Ruin
    outcome: Outcome | None
    items: tuple[Item, ...] = ()
    kept: tuple[Kept, ...] = ()
    was_imported: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether nothing of the project is left but what is in `kept`."""
        return self.outcome is None or (self.outcome.is_complete and not self.ruin.planned.plan.problems)


def plan_destroy(project: Project, *, lock_timeout: float = 0, emit: Sink = discard) -> Ruin:
    """Return what would go. Reads only; manifest and lock may be broken, as long as the project's name can be read.

    Args:
        project: Whose.
        lock_timeout: Seconds to wait for locks, when it is done.
        emit: Told for whom its resources wait.

    Raises:
        BoundElsewhere: The project belongs to another directory.
        HatchlockError: What planning raises.
    """
    from hatchlock.usecases.run import project_name

    name = project_name(project.manifest, project.manifest_bytes)
    state = project_state(project, name)
    state.check_binding(name, project.directory)
    known = known_target(project, name, state)
    planned = make_plan(
        project, purpose="destroy", lock_timeout=lock_timeout, target=without_anything(known), emit=emit
    )
    engine = _in_engine(project, known, state)
    in_plan = {step.address.name for step in planned.plan.steps}
    items = (
        *engine.leftovers(),
        *(item for item in engine.all_networks() if item.name not in in_plan),
        *engine.unused(),
        *(Item(kind="generation", name=str(number)) for number in state.generations.numbers()),
    )
    return Ruin(
        project=name,
        planned=replace(planned, plan=replace(planned.plan, held=0, steps=tuple(map(_of_destroy, planned.plan.steps)))),
        items=items,
        kept=tuple(engine.kept()),
        sessions=_of_applications(state),
        has_state=any(_what_goes(state)),
        engine=engine,
    )


def destroy_project(
    project: Project,
    *,
    consent: Consent,
    confirm: Callable[[Ruin], bool] | None = None,
    show: Callable[[Ruin], None] | None = None,
    stop_sessions: bool = False,
    lock_timeout: float = 60.0,
    emit: Sink = discard,
    pace: Pace | None = None,
) -> Destroyed:
    """Remove a project's entries, servers, volumes, containers, networks and names of images; then its state.

    The command is the consent to remove everything. Volumes with something in them need that to what is lost all the same.
    After a kill, the same command goes on.

    Args:
        project: Whose.
        consent: What was agreed to beforehand.
        confirm: Shows what would go and asks; None when there is nobody to ask.
        show: Shows it without asking, where a consent is missing.
        stop_sessions: End servers that run; else they are a reason to refuse.
        lock_timeout: Seconds to wait for an apply that is running.
        emit: Told about progress.
        pace: How the steps are done; None for the usual.

    Raises:
        SessionsRun: Servers run; nothing was done.
        RefusedError: A consent is missing; nothing was done.
        StalePlan: The world changed while the user was asked; nothing was done.
        LeaseHeld: An apply did not end in time.
        HatchlockError: What `plan_destroy` raises. Errors of steps are in the outcome instead.
    """
    from hatchlock.usecases.consent import check_consent
    from hatchlock.usecases.leases import project_lease
    from hatchlock.usecases.saved import check_same

    agreed = replace(consent, mass_removal=True)
    ruin = plan_destroy(project, lock_timeout=lock_timeout, emit=emit)
    if ruin.is_settled:
        return Destroyed(ruin=ruin, outcome=None, kept=_what_stays(project, ruin))
    if ruin.sessions and not stop_sessions:
        raise SessionsRun(project=ruin.project, sessions=ruin.sessions)
    check_consent(ruin.planned.plan, agreed, confirm and (lambda: confirm(ruin)), show=show and (lambda: show(ruin)))
    state = ruin.planned.state
    with project_lease(project.home, ruin.project, state, purpose="destroy", timeout=lock_timeout, emit=emit):
        if stop_sessions:
            _end_sessions(ruin.project, state, emit)
        now = plan_destroy(project, lock_timeout=lock_timeout, emit=emit)
        if now.sessions:
            raise SessionsRun(project=now.project, sessions=now.sessions, waited=stop_sessions)
        if now.planned.plan != ruin.planned.plan:
            check_same(ruin.planned.plan, now.planned.plan, yes=consent.yes)
            check_consent(now.planned.plan, agreed, None)
        return _destroy(project, now, emit=emit, pace=pace)


def _destroy(project: Project, ruin: Ruin, *, emit: Sink, pace: Pace | None) -> Destroyed:
    from hatchlock.usecases.carry_out import USUAL, carry_out

    planned, state = ruin.planned, ruin.planned.state
    gone: list[Item] = []
    kept: list[Kept] = []

    def settle(outcome: Outcome) -> None:
        if outcome.is_complete and not planned.plan.problems:
            for item in ruin.items:
                if item.kind == "generation":
                    continue
                emit(Event(name="gc.start", address=item.kind, message=item.name))
                if why := ruin.engine.delete(item):
                    kept.append(Kept(name=item.name, why=why))
                else:
                    gone.append(item)

    unmarked = left_unmarked(planned.world.clients)
    outcome = carry_out(planned, command="destroy", settle=settle, emit=emit, pace=pace or USUAL)
    done = Destroyed(ruin=ruin, outcome=outcome, items=tuple(gone), kept=(*ruin.kept, *kept))
    if not done.is_gone:
        return done
    files, is_imported = left_of_files(project.home, state), was_imported(state)
    forget_fetched(project.home.root, project.manifest)
    _forget(state)
    generations = (item for item in ruin.items if item.kind == "generation")
    stays = (*done.kept, *unmarked, *files, *_what_stays(project, ruin))
    return replace(done, items=(*gone, *generations), kept=stays, was_imported=is_imported)


def _what_stays(project: Project, ruin: Ruin) -> tuple[Kept, ...]:
    return (*_in_quarantine(ruin.planned.state), *left_secrets(project.home, ruin.project))


def known_target(project: Project, name: str, state: ProjectState) -> Target:
    """Return what says where the project's own is to be looked for."""
    from hatchlock.resources.target import Target
    from hatchlock.usecases.kept_target import kept_target

    try:
        return read_target(project)
    except HatchlockError:  # what is applied goes, whatever the manifest would have by now
        return kept_target(state.generations, state.current()) or Target(project=name)


def without_anything(target: Target) -> Target:
    """Return a target of the same project in which nothing is wanted; what is its own is looked for in the same places."""
    from hatchlock.resources.target import Target

    return Target(
        project=target.project,
        usual_files=target.usual_files,
        other_files=target.other_files,
        engine=target.engine,
        handover=target.handover,
    )


def _of_destroy(step: Step) -> Step:
    """Nothing is wanted here, so what is declared all the same would be told to be declared no more."""
    from hatchlock.reconcile.plan import NOT_DECLARED

    return replace(step, cause="its project is destroyed") if step.cause == NOT_DECLARED else step


def _in_engine(project: Project, known: Target, state: ProjectState) -> EngineGarbage:
    """Return what is in the engine; of images only those that this project's own state or lock names."""
    from hatchlock.usecases.gc_images import EngineGarbage
    from hatchlock.usecases.uses import Uses, active_uses, generation_uses, target_uses

    own = active_uses(state, project.home) | target_uses(known, project.home)
    for number in state.generations.numbers():
        own |= generation_uses(state, number, project.home)
    return EngineGarbage(project, known.project, Uses(), own=own.images)


def _end_sessions(project: str, state: ProjectState, emit: Sink) -> None:
    """End the sessions that run, as their applications do, and wait until they have ended.

    Raises:
        SessionsRun: Some did not end, or are no processes of this machine's that can be told for sure.
    """
    left = _of_applications(state)
    for session in left:
        if session.owner == owner(session.pid):
            emit(Event(name="session.stop", address=f"server:{session.server}", message=str(session.pid)))
            with contextlib.suppress(ProcessLookupError):
                os.kill(session.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while left := tuple(session for session in left if not has_ended(session)):
        if time.monotonic() >= deadline or not _can_end(left):
            raise SessionsRun(project=project, sessions=left, waited=True)
        time.sleep(_PAUSE)


def _of_applications(state: ProjectState) -> tuple[RunningSession, ...]:
    """Return the sessions that run, without those by which servers stay: these end with their endpoints."""
    kept = {keeper.run for keeper in keepers(state.root).values()}
    return tuple(session for session in running(state.root) if session.pid not in kept)


def _can_end(sessions: Iterable[RunningSession]) -> bool:
    return all(session.owner == owner(session.pid) or has_ended(session) for session in sessions)


def _forget(state: ProjectState) -> None:
    """Delete what is known of a project. The binding goes last: until then the same command goes on."""
    for number in reversed(state.generations.numbers()):
        state.generations.forget(number)
    for path in sorted(_what_goes(state), key=lambda path: path.name == "binding.json"):
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)  # a session that was stopped may still be at its very end
        else:
            path.unlink(missing_ok=True)


def _what_goes(state: ProjectState) -> list[Path]:
    """Return what of a project's state goes with it; data that was given up stays, and so does its directory."""
    if not state.root.is_dir():
        return []
    found = [path for path in state.root.iterdir() if path.name not in _STAYS]
    return sorted(path for path in found if path.name != _DATA or not _has_files(path))


def _in_quarantine(state: ProjectState) -> Iterator[Kept]:
    """Yield what is kept of servers that are, or were, in quarantine."""
    held = quarantined(state.root)
    for path in sorted((state.root / "quarantine").glob("*")):
        why = f"what was kept of it is in {path}"
        if path.name in held:
            why += "; should the project be applied again, it is not started before it is released"
        yield Kept(name=f"quarantine of {path.name}", why=why)


def _has_files(directory: Path) -> bool:
    return any(names for _, _, names in os.walk(directory))
