"""Carrying a plan out: what `apply`, `rollback` and `destroy` share once it is clear what is to be done."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.events import Sink

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.usecases.plan import Planned

__all__ = ["USUAL", "Pace", "carry_out"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How the steps of a plan are done.

    Attributes:
        jobs: How many at once, at most.
    """

    jobs: int = 4


USUAL = Pace()


def carry_out(
    planned: Planned, *, command: str, settle: Callable[[Outcome], None], emit: Sink, pace: Pace = USUAL
) -> Outcome:
    """Do a plan's steps under the journal. The caller holds the project's lease, and what the steps need is in the store.

    Args:
        planned: The plan, the world that it changes, and the project's state.
        command: Which command does it, for those who read the journal.
        settle: Records what is left, a generation for one. It is called when all steps have ended, whatever became of
            them, and before the journal is closed: after a kill in between the next command does it again.
        emit: Told about progress.
        pace: How the steps are done.

    Raises:
        HatchlockError, OSError: What `settle` raises, or the journal cannot be written. Errors of steps are in the
            outcome instead.
    """
    from hatchlock.reconcile.execute import execute
    from hatchlock.state.journal import Journal

    if planned.plan.steps:
        planned.state.raise_serial()
    journal = Journal(planned.state.journal_path)
    journal.write("begin", project=planned.target.project, command=command, pid=str(os.getpid()))
    outcome = execute(planned.plan, planned.world.by_kind, journal=journal, emit=emit, jobs=pace.jobs)
    settle(outcome)
    journal.close(finished=not outcome.failed)
    return outcome
