"""`logs --apply`: what an apply, a rollback or the like of a project did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.paths import Home

__all__ = ["NoRunLog", "run_log"]


@dataclass(kw_only=True, eq=False)
class NoRunLog(HatchlockError):
    """Nothing of that number was done to a project on this machine, or not lately."""

    code: ClassVar[str] = "no-run-log"

    project: str
    known: tuple[int, ...]
    number: int = 0

    def __str__(self) -> str:
        which = f"no log {self.number}" if self.number else "no log"
        return f"there is {which} of what was done to the project {self.project!r}"

    def _hint(self) -> str:
        if not self.known:
            return "`hatchlock apply` writes one, if it has something to do"
        first, last = self.known[0], self.known[-1]
        return (
            f"there is {first}" if first == last else f"there are {first} to {last}; the last one if no number is said"
        )


def run_log(home: Home, project: str, number: int) -> tuple[int, Sequence[Mapping[str, Any]]]:
    """Return the number of a run and its events, the oldest first.

    Args:
        home: The store.
        project: The project's name.
        number: Which; 0 for the last.

    Raises:
        NoRunLog: There is none.
    """
    from hatchlock.state.runlog import read_run, runs

    root = home.project(project)
    known = runs(root)
    chosen = number or max(known, default=0)
    events = read_run(root, chosen)
    if events is None:
        raise NoRunLog(project=project, known=known, number=number)
    return chosen, events
