"""`client restore`: what stood in an application's file before this project wrote into it.

    plan_restore(project, client="cursor", scope="", entry="")  ->  Planned           reads only
    restore(project, client="cursor", scope="", entry="", consent=…, confirm=…)  ->  Restored

An entry of ours that is taken out of a file puts back what it replaced, and what it made of the file
(`resources.client`); so this is a plan that takes out the entries of one application, or one of them, and nothing else.
It changes no manifest, which still wants them: the next `plan` shows them again, and whoever calls this says so.
`clients` of the server, or `[[forget]]`, is how to be rid of them for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.address import Address, scoped
from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.events import Sink, discard
from hatchlock.usecases.client_places import file_of
from hatchlock.usecases.destroy import known_target, without_anything
from hatchlock.usecases.plan import Planned, make_plan, project_state

if TYPE_CHECKING:
    from typing import Literal

    from hatchlock.clients.catalogue import Scope
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.resources.base import Problem
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.carry_out import Pace
    from hatchlock.usecases.consent import Consent
    from hatchlock.usecases.project import Project

__all__ = ["FileLeft", "NothingToRestore", "Restored", "plan_restore", "restore"]


@dataclass(kw_only=True, eq=False)
class NothingToRestore(HatchlockError):
    """No entry of this project is in the files of an application.

    Attributes:
        client: The application, perhaps with `@SCOPE`.
        server: The one that is named; "" for all.
        gone: Files that entries were written into and that are gone.
    """

    code: ClassVar[str] = "nothing-to-restore"

    client: str
    server: str
    gone: tuple[str, ...]

    def __str__(self) -> str:
        what = f"{self.client} lists no server{f' {self.server!r}' if self.server else ''} of this project"
        return f"{what}: {' and '.join(self.gone)}, which it was written into, is gone" if self.gone else what

    def _hint(self) -> str:
        if self.gone:
            return "`hatchlock apply` writes its entries anew; what they stand for can be put back then"
        return f"see `hatchlock client show {self.client}`"


@dataclass(kw_only=True, eq=False)
class FileLeft(HatchlockError):
    """A file of an application cannot be read, so nothing is put back into it."""

    code: ClassVar[str] = "client-file-left"

    problem: Problem

    def __str__(self) -> str:
        return self.problem.what

    def _hint(self) -> str:
        return self.problem.hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What `client restore` did.

    Attributes:
        planned: What was to be done: a step for each entry, which says in its details whether something stood there; and the
            files that could not be read.
        outcome: What became of the steps.
    """

    planned: Planned
    outcome: Outcome


def plan_restore(
    project: Project,
    *,
    client: str,
    scope: Scope | Literal[""] = "",
    entry: str = "",
    lock_timeout: float = 0,
    emit: Sink = discard,
) -> Planned:
    """Return the plan that takes this project's entries out of an application's files. Reads only.

    Manifest and lock may be broken, as long as the project's name can be read.

    Args:
        project: Whose.
        client: The application's name in the catalogue.
        scope: Whose file of it; "" for every one that this project has written to.
        entry: The entry's name; "" for all of them.
        lock_timeout: Seconds to wait for locks, when it is done.
        emit: Told for whom its resources wait.

    Raises:
        NothingToRestore: There is no such entry.
        FileLeft, ManyErrors: There is none in the files that can be read, and others cannot be.
        BoundElsewhere: The project belongs to another directory.
        HatchlockError: What planning raises.
    """
    from hatchlock.state.groups import read_groups
    from hatchlock.usecases.run import project_name

    name = project_name(project.manifest)
    state = project_state(project, name)
    state.check_binding(name, project.directory)
    # the servers stay, and with them the groups that they are offered in
    nothing = replace(without_anything(known_target(project, name, state)), groups=read_groups(state.root))
    planned = make_plan(project, purpose="client restore", lock_timeout=lock_timeout, target=nothing, emit=emit)
    steps = tuple(
        replace(step, depends_on=(), cause="to be restored")
        for step in planned.plan.steps
        if _is_in(planned, step.address, client, scope) and entry in {"", step.address.name.partition("/")[2]}
    )
    problems = tuple(item for item in planned.plan.problems if _is_in(planned, item.address, client, scope))
    if not steps:
        gone = _gone(state, client, scope)
        raise _why_nothing(problems) or NothingToRestore(client=_shown(client, scope), server=entry, gone=gone)
    return replace(planned, plan=replace(planned.plan, steps=steps, problems=problems, drifted=(), held=0))


def restore(
    project: Project,
    *,
    client: str,
    scope: Scope | Literal[""] = "",
    entry: str = "",
    consent: Consent,
    confirm: Callable[[Planned], bool] | None = None,
    lock_timeout: float = 60.0,
    emit: Sink = discard,
    pace: Pace | None = None,
) -> Restored:
    """Put back what stood in an application's file before us, under the project's lease, its journal and the audit log.

    Args:
        project: Whose.
        client: The application's name in the catalogue.
        scope: As above.
        entry: The entry's name; "" for all of them.
        consent: What was agreed to beforehand. An entry that was edited by hand needs that to what is lost.
        confirm: Shows the plan and asks; None when there is nobody to ask.
        lock_timeout: Seconds to wait for an apply that is running.
        emit: Told about progress.
        pace: How the steps are done; None for the usual.

    Raises:
        RefusedError: A consent is missing; nothing was done.
        StalePlan: The world changed while the user was asked; nothing was done.
        LeaseHeld: An apply did not end in time.
        HatchlockError: What `plan_restore` raises. Errors of steps are in the outcome instead.
    """
    from hatchlock.usecases.carry_out import USUAL, carry_out
    from hatchlock.usecases.consent import check_consent
    from hatchlock.usecases.leases import project_lease
    from hatchlock.usecases.saved import check_same

    agreed = replace(consent, mass_removal=True)
    plan = partial(plan_restore, project, client=client, scope=scope, entry=entry, lock_timeout=lock_timeout, emit=emit)
    planned = plan()
    check_consent(planned.plan, agreed, confirm and (lambda: confirm(planned)))
    name, state = planned.target.project, planned.state
    with project_lease(project.home, name, state, purpose="client restore", timeout=lock_timeout, emit=emit):
        now = plan()
        if now.plan != planned.plan:
            check_same(planned.plan, now.plan, yes=consent.yes)
            check_consent(now.plan, agreed, None)
        outcome = carry_out(
            now, command=f"client restore {_shown(client, scope)}", settle=lambda _: None, emit=emit, pace=pace or USUAL
        )
    return Restored(planned=now, outcome=outcome)


def _shown(client: str, scope: str) -> str:
    return scoped(client, scope) if scope else client


def _why_nothing(problems: tuple[Problem, ...]) -> HatchlockError | None:
    errors = tuple(FileLeft(address=str(problem.address), problem=problem) for problem in problems)
    return ManyErrors(errors=errors) if len(errors) > 1 else next(iter(errors), None)


def _gone(state: ProjectState, client: str, scope: str) -> tuple[str, ...]:
    from hatchlock.resources.client import ClientFile

    files = filter(None, map(ClientFile.parse, state.entry_files()))
    named = (file for file in files if file.client == client and scope in {"", file.scope})
    return tuple(sorted(file.path for file in named if not Path(file.path).is_file()))


def _is_in(planned: Planned, address: Address, client: str, scope: str) -> bool:
    """Whether an address is about an application's files, or about that of one scope (`cursor/NAME`, `cursor@user/NAME`)."""
    if address.client != client:
        return False
    named = address.name.partition("/")[0].partition("@")[2]
    return scope in {"", named or file_of(planned, address).scope}
