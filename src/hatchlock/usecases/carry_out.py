"""Carrying a plan out: what `apply`, `rollback` and `destroy` share once it is clear what is to be done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError, SystemProblem
from hatchlock.events import Event, Fact, Sink
from hatchlock.usecases.audit_trail import doing

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Inbox, Outcome
    from hatchlock.reconcile.plan import Plan
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.plan import Planned

__all__ = ["USUAL", "Pace", "carry_out", "put_aside_damaged"]

_ALL_OR_NONE = frozenset({"apply", "rollback"})
"""Commands that write into the files of all applications or of none; those that take out do as much as they can."""
_MOST_STEPS = 200
"""Of the steps of a plan that are written down for good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How the steps of a plan are done.

    Attributes:
        jobs: How many at once, at most.
        fail_fast: Whether no others are begun when one has failed.
    """

    jobs: int = 4
    fail_fast: bool = False


USUAL = Pace()


def carry_out(
    planned: Planned,
    *,
    command: str,
    settle: Callable[[Outcome], None],
    emit: Sink,
    prepare: Callable[[Sink], None] = lambda _: None,
    pace: Pace = USUAL,
) -> Outcome:
    """Do a plan's steps under the journal, and keep a log of it, and of who did it (`state.auditlog`). The caller holds the project's lease.

    Ctrl-C and SIGTERM finish the steps that run, the second time they end the process at once.

    Args:
        planned: The plan, the world that it changes, and the project's state.
        command: Which command does it, for those who read the journal or the log.
        settle: Records what is left, a generation for one. It is called when all steps have ended, whatever became of
            them, and before the journal is closed: after a kill in between the next command does it again.
        emit: Told about progress.
        prepare: Brings what the steps need into the store, told whom to tell about that. Nothing was begun yet.
        pace: How the steps are done.

    Raises:
        AuditNotWritten: What is to be done cannot be written down; nothing was begun.
        HatchlockError, OSError: What `prepare` and `settle` raise, or the journal cannot be written. Errors of steps are in the
            outcome instead.
    """
    from hatchlock.state.runlog import logging_run

    began = time.monotonic()
    store = planned.state.store
    with (
        doing(store, _event(command), **_audited(planned, command)) as facts,
        logging_run(planned.state.root, emit) as told,
    ):
        told(_start(planned.plan, command))
        try:
            prepare(told)
            outcome = _execute(planned, command=command, settle=settle, emit=told, pace=pace)
        except (HatchlockError, OSError, KeyboardInterrupt) as error:
            told(_broken(error, command, time.monotonic() - began))
            raise
        told(_end(outcome, command, time.monotonic() - began))
        facts.update(_left(planned, outcome))
    return outcome


def put_aside_damaged(state: ProjectState, emit: Sink) -> bool:
    """Put damaged files of a state aside, which are as if they were not there; return whether there were any.

    The caller holds the project's lease.

    Args:
        state: The project's.
        emit: Told of each, and where it is now.
    """
    from hatchlock.state.documents import ASIDE

    found = state.put_aside_damaged()
    for error in found:
        told = f"{error}; it was put aside as {Path(error.path).name}{ASIDE}"
        emit(Event(name="state.aside", address="state", message=told, data={"path": error.path}))
    return bool(found)


def _event(command: str) -> str:
    """Return what the audit log calls a command: `rollback` for `rollback 3`, `client.restore` for `client restore cursor`."""
    first, *others = command.split()
    return f"{first}.{others[0]}" if first == "client" else first


def _audited(planned: Planned, command: str) -> dict[str, object]:
    steps = [f"{step.action.value} {step.address}" for step in planned.plan.steps]
    more = len(steps) - _MOST_STEPS
    return {
        "project": planned.target.project,
        "command": command,
        "lock": planned.lock_digest,
        "steps": steps[:_MOST_STEPS] + ([f"and {more} more"] if more > 0 else []),
    }


def _left(planned: Planned, outcome: Outcome) -> dict[str, object]:
    whole = outcome.is_complete and not planned.plan.problems
    return {
        "outcome": "interrupted" if outcome.is_interrupted else "done" if whole else "in part",
        "done": len(outcome.done),
        "failed": [str(step.address) for step, _ in outcome.failed],
        "launch": dict(planned.state.active()),
    }


def _execute(planned: Planned, *, command: str, settle: Callable[[Outcome], None], emit: Sink, pace: Pace) -> Outcome:
    from queue import SimpleQueue

    from hatchlock.reconcile.execute import execute
    from hatchlock.reconcile.signals import heeding_signals
    from hatchlock.state.applied import write_applied
    from hatchlock.state.journal import Journal
    from hatchlock.usecases.drift import record_applied
    from hatchlock.usecases.seen import remember_changes
    from hatchlock.usecases.taken_back import all_files_or_none

    write_applied(planned.state.root, planned.applied)  # what stands in a journal that is begun anew now
    planned.state.clear_unfinished()
    if planned.plan.steps:
        planned.state.raise_serial()
    journal = Journal(planned.state.journal_path)
    journal.write("begin", project=planned.target.project, command=command, pid=str(os.getpid()))
    inbox: Inbox = SimpleQueue()
    with heeding_signals(lambda: inbox.put(None)):
        outcome = execute(
            planned.plan,
            planned.world.by_kind,
            journal=journal,
            emit=emit,
            jobs=pace.jobs,
            fail_fast=pace.fail_fast,
            inbox=inbox,
        )
        if command.partition(" ")[0] in _ALL_OR_NONE:
            outcome = all_files_or_none(planned.world.clients, outcome, journal=journal, emit=emit)
        settle(outcome)
        record_applied(planned, outcome)
        remember_changes(planned, outcome)
        journal.close(finished=outcome.is_complete)
    return outcome


def _start(plan: Plan, command: str) -> Event:
    from hatchlock.resources.base import Action

    counts = {action.value: plan.count(action) for action in Action}
    facts: dict[str, Fact] = {"command": command, **counts, "unchanged": plan.unchanged, "problems": len(plan.problems)}
    return Event(name="plan.start", message=plan.summary, data=facts)


def _end(outcome: Outcome, command: str, seconds: float) -> Event:
    counts = {"done": len(outcome.done), "failed": len(outcome.failed), "not_started": len(outcome.not_started)}
    message = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    facts: dict[str, Fact] = {
        "command": command,
        **counts,
        "interrupted": outcome.is_interrupted,
        "seconds": round(seconds, 3),
    }
    return Event(name="plan.end", message=message, data=facts)


def _broken(error: HatchlockError | OSError | KeyboardInterrupt, command: str, seconds: float) -> Event:
    address, code, message = "", "interrupted", "interrupted"
    if not isinstance(error, KeyboardInterrupt):
        known = SystemProblem.known(error)
        address, code, message = known.address, known.code, str(known)
    facts: dict[str, Fact] = {"command": command, "code": code, "seconds": round(seconds, 3)}
    return Event(name="plan.failed", address=address, message=message, data=facts)
