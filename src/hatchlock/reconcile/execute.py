"""Walks a plan's steps. Decides nothing: the plan says what, in which order, and on which precondition."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import ClassVar, Protocol

from hatchlock.address import Address, ResourceKind
from hatchlock.errors import HatchlockError, SystemProblem
from hatchlock.events import Event, Sink
from hatchlock.reconcile.lanes import startable
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Action, Resource, Step

__all__ = ["Inbox", "Outcome", "Recorder", "StepBroke", "StepChanged", "StepUnverified", "execute"]

Inbox = SimpleQueue["Future[None] | None"]
"""Where an execution hears of steps that have ended; None wishes that no others are begun, from a signal's handler for one."""


class Recorder(Protocol):
    """Keeps what was begun and done; the journal."""

    def write(self, event: str, **facts: str) -> None:
        """Keep one event, durably, before returning."""


@dataclass(kw_only=True, eq=False)
class StepChanged(HatchlockError):
    """The resource is not what it was when the plan was made."""

    code: ClassVar[str] = "step-changed"

    def __str__(self) -> str:
        return "it changed since the plan was made; it was left alone"

    def _hint(self) -> str:
        return "run `hatchlock plan` again"


@dataclass(kw_only=True, eq=False)
class StepUnverified(HatchlockError):
    """A step ended without an error, and the world does not show its effect."""

    code: ClassVar[str] = "step-unverified"

    expected: str
    actual: str

    def __str__(self) -> str:
        return f"after the step it is {self.actual or 'absent'}, not {self.expected or 'absent'}"

    def _hint(self) -> str:
        return "something else changes it at the same time; run `hatchlock apply` again"


@dataclass(kw_only=True, eq=False)
class StepBroke(HatchlockError):
    """A step failed in a way that nobody foresaw: a mistake of ours. Its cause is what was raised."""

    code: ClassVar[str] = "step-broke"

    problem: str

    def __str__(self) -> str:
        return f"hatchlock itself failed here: {self.problem}"

    def _hint(self) -> str:
        return "run the same command with --debug, which shows where, and report it; what was done so far stands"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a plan's steps, each list in the plan's order.

    Attributes:
        done: Those whose effect is there.
        failed: Those that failed, and why.
        not_started: Those that were not begun.
        is_interrupted: Whether somebody wished that no others are begun.
    """

    done: tuple[Step, ...]
    failed: tuple[tuple[Step, HatchlockError], ...]
    not_started: tuple[Step, ...]
    is_interrupted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every step is done."""
        return not self.failed and not self.not_started


def execute(
    plan: Plan,
    drivers: Mapping[ResourceKind, Resource],
    *,
    journal: Recorder,
    emit: Sink,
    jobs: int,
    fail_fast: bool = False,
    inbox: Inbox | None = None,
) -> Outcome:
    """Do the steps, each after those it depends on, as many at once as there are jobs and as their lanes are wide.

    A failed step does not stop those that do not depend on it. Each step's precondition is looked at right before it, and
    its effect right after it. Whatever a step raises is in the outcome.

    Args:
        plan: The steps.
        drivers: Who does them.
        journal: Keeps what was begun and done.
        emit: Told about progress, from any thread.
        jobs: How many steps run at once, at most.
        fail_fast: Begin no others when one has failed.
        inbox: A None in it has the same effect: those that run are finished, and the outcome says that it was interrupted.
    """
    inbox = SimpleQueue() if inbox is None else inbox
    waiting = {step.address: step for step in plan.steps}
    done: set[Address] = set()
    failed: dict[Address, HatchlockError] = {}
    running: dict[Future[None], tuple[Step, float]] = {}
    is_interrupted = False
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="step") as pool:
        while True:
            may_begin = not is_interrupted and not (fail_fast and failed)
            ready = [step for step in waiting.values() if may_begin and done.issuperset(step.depends_on)]
            for step in startable(ready, (step.address.kind for step, _ in running.values()), jobs=jobs):
                del waiting[step.address]
                future = pool.submit(_do, step, drivers[step.address.kind], journal, emit)
                running[future] = step, time.monotonic()
                future.add_done_callback(inbox.put)
            if not running:
                break
            ended = inbox.get()
            if ended is None:
                is_interrupted = True
                emit(Event(name="interrupt", message=_finishing(len(running)), data={"running": len(running)}))
                continue
            step, began = running.pop(ended)
            if error := ended.exception():
                failed[step.address] = _failure(step, error)
                _note_failure(step, failed[step.address], _since(began), journal, emit)
            else:
                done.add(step.address)
    return Outcome(
        done=tuple(step for step in plan.steps if step.address in done),
        failed=tuple((step, failed[step.address]) for step in plan.steps if step.address in failed),
        not_started=tuple(step for step in plan.steps if step.address in waiting),
        is_interrupted=is_interrupted,
    )


def _finishing(count: int) -> str:
    return f"finishing {count} running step{'' if count == 1 else 's'}; press again to stop at once"


def _do(step: Step, driver: Resource, journal: Recorder, emit: Sink) -> None:
    address = str(step.address)
    seen = driver.observe_one(step.address)
    key = seen.key if seen else ""
    # another step or project has made the same thing: names say what is in it
    if key == step.after and step.action is not Action.REPLACE:
        journal.write("done", step=address, after=step.after)
        emit(_event("step.done", step, already=True))
        return
    if key != step.before:
        raise StepChanged(address=address)
    journal.write("start", step=address, action=step.action.value)
    emit(_event("step.start", step))
    began = time.monotonic()
    driver.apply(step)
    _verify(step, driver)
    journal.write("done", step=address, after=step.after)
    emit(_event("step.done", step, seconds=_since(began)))


def _event(name: str, step: Step, **facts: str | float | bool) -> Event:
    action = step.action.value
    return Event(name=name, address=str(step.address), message=action, data={"action": action, **facts})


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _verify(step: Step, driver: Resource) -> None:
    seen = driver.observe_one(step.address)
    actual = seen.key if seen else ""
    if actual != step.after:
        raise StepUnverified(address=str(step.address), expected=step.after, actual=actual)


def _failure(step: Step, error: BaseException) -> HatchlockError:
    address = str(step.address)
    if isinstance(error, HatchlockError):
        error.address = error.address or address
        return error
    if isinstance(error, OSError):
        problem: HatchlockError = SystemProblem.of(error, address=address)
    else:
        problem = StepBroke(address=address, problem=f"{type(error).__name__}: {error}".rstrip(": "))
    problem.__cause__ = error
    return problem


def _note_failure(step: Step, error: HatchlockError, seconds: float, journal: Recorder, emit: Sink) -> None:
    with contextlib.suppress(OSError):  # the disk may be full: what is known of the other steps is not lost for that
        journal.write("failed", step=str(step.address), error=str(error))
    facts = {"action": step.action.value, "seconds": seconds, "code": error.code}
    emit(Event(name="step.failed", address=str(step.address), message=str(error), data=facts))
