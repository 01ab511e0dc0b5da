"""`client restore`: what stood in an application's file before this project wrote into it.

    plan_restore(project, client="cursor", entry="")  ->  Planned           reads only
    restore(project, client="cursor", entry="", consent=…, confirm=…)  ->  Restored

An entry of ours that is taken out of a file puts back what it replaced, and what it made of the file
(`resources.client`); so this is a plan that takes out the entries of one application, or one of them, and nothing else.
It changes no manifest, which still wants them: the next `plan` shows them again, and whoever calls this says so.
`clients` of the server, or `[[forget]]`, is how to be rid of them for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatchlock.address import Address, ResourceKind
from hatchlock.events import Sink, discard
from hatchlock.usecases.destroy import known_target, without_anything
from hatchlock.usecases.plan import Planned, make_plan, project_state

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.usecases.carry_out import Pace
    from hatchlock.usecases.consent import Consent
    from hatchlock.usecases.project import Project

__all__ = ["Restored", "plan_restore", "restore"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What `client restore` did.

    Attributes:
        planned: What was to be done: a step for each entry, which says in its details whether something stood there.
        outcome: What became of the steps; None when no entry of this project was there.
    """

    planned: Planned
    outcome: Outcome | None


def plan_restore(
    project: Project, *, client: str, entry: str = "", lock_timeout: float = 0, emit: Sink = discard
) -> Planned:
    """Return the plan that takes this project's entries out of an application's files. Reads only.

    Manifest and lock may be broken, as long as the project's name can be read.

    Args:
        project: Whose.
        client: The application's name in the catalogue.
        entry: The entry's name; "" for all of them.
        lock_timeout: Seconds to wait for locks, when it is done.
        emit: Told for whom its resources wait.

    Raises:
        BoundElsewhere: The project belongs to another directory.
        HatchlockError: What planning raises.
    """
    from hatchlock.usecases.run import project_name

    name = project_name(project.manifest)
    state = project_state(project, name)
    state.check_binding(name, project.directory)
    nothing = without_anything(known_target(project, name, state))
    planned = make_plan(project, purpose="client restore", lock_timeout=lock_timeout, target=nothing, emit=emit)
    steps = tuple(
        replace(step, depends_on=(), cause="to be restored")
        for step in planned.plan.steps
        if _is_named(step.address, client, entry)
    )
    return replace(planned, plan=replace(planned.plan, steps=steps, problems=(), drifted=(), held=0))


def restore(
    project: Project,
    *,
    client: str,
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
    planned = plan_restore(project, client=client, entry=entry, lock_timeout=lock_timeout, emit=emit)
    if not planned.plan.steps:
        return Restored(planned=planned, outcome=None)
    check_consent(planned.plan, agreed, confirm and (lambda: confirm(planned)))
    name, state = planned.target.project, planned.state
    with project_lease(project.home, name, state, purpose="client restore", timeout=lock_timeout, emit=emit):
        now = plan_restore(project, client=client, entry=entry, lock_timeout=lock_timeout, emit=emit)
        if now.plan != planned.plan:
            check_same(planned.plan, now.plan, yes=consent.yes)
            check_consent(now.plan, agreed, None)
        outcome = carry_out(
            now, command=f"client restore {client}", settle=lambda _: None, emit=emit, pace=pace or USUAL
        )
    return Restored(planned=now, outcome=outcome)


def _is_named(address: Address, client: str, entry: str) -> bool:
    """Whether an address is an entry of an application's, in whichever of its files (`cursor/NAME`, `cursor@user/NAME`)."""
    where, _, name = address.name.partition("/")
    is_clients = address.kind is ResourceKind.CLIENT and where.partition("@")[0] == client
    return is_clients and entry in {"", name}
