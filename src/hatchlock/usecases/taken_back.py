"""When one application's file cannot be written, the others that the same command has written are what they were before.

An apply that changed half of the applications leaves people with two truths about what is installed. So entries go into all
files or into none: after a step of one has failed, those that are done are undone, in their reverse order. The next apply
makes them again. Environments, images and servers stay: they are of use to nobody before an entry names them.

What cannot be undone without harm stays done: an entry that was taken out because its server is gone by now, or that has
moved with its server to another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from hatchlock.address import ResourceKind
from hatchlock.errors import HatchlockError, SystemProblem
from hatchlock.events import Event, Sink

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Outcome, Recorder
    from hatchlock.resources.base import Step
    from hatchlock.resources.client import ClientResource

__all__ = ["TakenBack", "all_files_or_none", "at_once"]


@dataclass(kw_only=True, eq=False)
class TakenBack(HatchlockError):
    """An entry was written, and is not there any more, because another one could not be.

    Attributes:
        because: The address of that one.
        entries: The addresses of all such entries, where it is said of several at once.
    """

    code: ClassVar[str] = "taken-back"

    because: str
    entries: tuple[str, ...] = ()

    def __str__(self) -> str:
        why = f"because {self.because} failed: entries go into all files or into none"
        if not self.entries:
            return f"it was done and is undone again, {why}"
        return f"{len(self.entries)} entries were written and are undone again, {why}: {', '.join(self.entries)}"

    def _hint(self) -> str:
        return "mend that, and run the same command again"


def all_files_or_none(clients: ClientResource, outcome: Outcome, *, journal: Recorder, emit: Sink) -> Outcome:
    """Undo the entries that were written, if the step of another one failed, and return what became of all steps then.

    Args:
        clients: Who has written them.
        outcome: What became of the steps.
        journal: Told what is undone.
        emit: Told as well, and of what could not be undone.
    """
    broken = next((step for step, _ in outcome.failed if step.address.kind is ResourceKind.CLIENT), None)
    if broken is None:
        return outcome
    undone = {step.address: step for step in _undone(clients, outcome, emit)}
    failed = [*outcome.failed]
    for step in undone.values():
        error = TakenBack(address=str(step.address), because=str(broken.address))
        journal.write("failed", step=str(step.address), error=str(error))
        emit(Event(name="step.undone", address=str(step.address), message=str(error)))
        failed.append((step, error))
    return replace(
        outcome, done=tuple(step for step in outcome.done if step.address not in undone), failed=tuple(failed)
    )


def at_once(failed: Iterable[tuple[Step, HatchlockError]]) -> Iterator[HatchlockError]:
    """Yield what failed, each with its address, and what was undone because of one of them as one: it has one cause."""
    undone: list[TakenBack] = []
    for step, error in failed:
        error.address = error.address or str(step.address)
        if isinstance(error, TakenBack):
            undone.append(error)
        else:
            yield error
    if len(undone) > 1:
        yield TakenBack(because=undone[0].because, entries=tuple(error.address for error in undone))
    else:
        yield from undone


def _undone(clients: ClientResource, outcome: Outcome, emit: Sink) -> Iterator[Step]:
    standing = list(outcome.done)
    for step in reversed(outcome.done):
        needed = any(step.address in other.depends_on for other in standing)
        if step.address.kind is not ResourceKind.CLIENT or needed or not clients.can_take_back(step):
            continue
        try:
            is_undone = clients.take_back(step)
        except (HatchlockError, OSError) as error:
            is_undone, what = False, str(SystemProblem.known(error))
        else:
            what = "the application has written its file meanwhile"
        if is_undone:
            standing.remove(step)
            yield step
        else:
            emit(Event(name="client.note", address=str(step.address), message=f"it could not be undone: {what}"))
