"""Walks a plan's steps. Decides nothing: the plan says what, in which order, and on which precondition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import ClassVar, Protocol

from hatchlock.address import Address, ResourceKind
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.base import Action, Resource, Step

__all__ = ["Outcome", "Recorder", "StepChanged", "StepUnverified", "execute"]

DEFAULT_JOBS = 4


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a plan's steps, each list in the plan's order."""

    done: tuple[Step, ...]
    failed: tuple[tuple[Step, HatchlockError | OSError], ...]
    not_started: tuple[Step, ...]


def execute(
    plan: Plan, drivers: Mapping[ResourceKind, Resource], *, journal: Recorder, emit: Sink, jobs: int = DEFAULT_JOBS
) -> Outcome:
    """Do the steps, at most `jobs` at once, each after those it depends on.

    A failed step does not stop those that do not depend on it. Each step's precondition is looked at right before it, and
    its effect right after it.

    Raises:
        KeyboardInterrupt: The running steps were finished first, and no other was begun.
    """
    waiting = {step.address: step for step in plan.steps}
    done: set[Address] = set()
    failed: dict[Address, HatchlockError | OSError] = {}
    running: dict[Future[None], Step] = {}
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="step") as pool:
        while True:
            ready = [step for step in waiting.values() if done.issuperset(step.depends_on)]
            for step in _startable(ready, idle=not running):
                del waiting[step.address]
                running[pool.submit(_do, step, drivers[step.address.kind], journal, emit)] = step
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(future)
                error = future.exception()
                if error is None:
                    done.add(step.address)
                elif isinstance(error, (HatchlockError, OSError)):
                    failed[step.address] = error
                else:
                    raise error
    return Outcome(
        done=tuple(step for step in plan.steps if step.address in done),
        failed=tuple((step, failed[step.address]) for step in plan.steps if step.address in failed),
        not_started=tuple(step for step in plan.steps if step.address in waiting),
    )


def _startable(ready: Sequence[Step], *, idle: bool) -> Sequence[Step]:
    """Return the steps to begin: the files of applications come last and one at a time, so their order is the plan's."""
    others = [step for step in ready if step.address.kind is not ResourceKind.CLIENT]
    return others or (ready[:1] if idle else [])


def _do(step: Step, driver: Resource, journal: Recorder, emit: Sink) -> None:
    address = str(step.address)
    seen = driver.observe_one(step.address)
    key = seen.key if seen else ""
    if (
        key == step.after and step.action is not Action.REPLACE
    ):  # another step or project has made the same thing: names say what is in it
        journal.write("done", step=address, after=step.after)
        emit(Event(name="step.done", address=address, message=step.action.value))
        return
    if key != step.before:
        raise StepChanged(address=address)
    journal.write("start", step=address, action=step.action.value)
    emit(Event(name="step.start", address=address, message=step.action.value))
    try:
        driver.apply(step)
        _verify(step, driver)
    except (HatchlockError, OSError) as error:
        journal.write("failed", step=address, error=str(error))
        emit(Event(name="step.failed", address=address, message=str(error)))
        raise
    journal.write("done", step=address, after=step.after)
    emit(Event(name="step.done", address=address, message=step.action.value))


def _verify(step: Step, driver: Resource) -> None:
    seen = driver.observe_one(step.address)
    actual = seen.key if seen else ""
    if actual != step.after:
        raise StepUnverified(address=str(step.address), expected=step.after, actual=actual)
