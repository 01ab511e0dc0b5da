"""What somebody has to agree to before a plan is carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.errors import RefusedError

if TYPE_CHECKING:
    from hatchlock.reconcile.plan import Plan
    from hatchlock.resources.base import Step

__all__ = ["Consent", "check_agreed", "check_consent"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Consent:
    """What the user agreed to beforehand.

    Attributes:
        yes: The plan as it is (`--yes`, or a saved plan).
        destructive: Steps that lose something.
        privileged: Steps that change the host as root.
        mass_removal: Deleting more than half of what exists.
    """

    yes: bool = False
    destructive: bool = False
    privileged: bool = False
    mass_removal: bool = False


def check_consent(
    plan: Plan, consent: Consent, confirm: Callable[[], bool] | None, *, show: Callable[[], None] | None = None
) -> None:
    """Refuse a plan that needs a consent which was not given.

    Args:
        plan: The plan.
        consent: What was agreed to beforehand.
        confirm: Asks the user; None when there is nobody to ask.
        show: Shows the plan, where it is refused before anybody was asked: no other command shows it.

    Raises:
        RefusedError: It must not be applied. Nothing was done.
    """
    refusal = _missing(plan, consent)
    if refusal is None and not consent.yes and confirm is None:
        refusal = _nobody()
    if refusal is not None:
        if show is not None:
            show()
        raise refusal
    check_agreed(yes=consent.yes, confirm=confirm)


def _missing(plan: Plan, consent: Consent) -> RefusedError | None:
    if plan.losses and not consent.destructive:
        first, others = plan.losses[0], len(plan.losses) - 1
        more = f", and {others} more" if others else ""
        return RefusedError(
            address=str(first.address),
            what=f"this would be lost: {first.loss}{more}; nothing was done",
            needs=f"agree with --allow-destructive, or {_way_to_keep(first)}",
        )
    if plan.privileged and not consent.privileged:
        step = plan.privileged[0]
        return RefusedError(
            address=str(step.address),
            what=f"this changes the host as root: {step.details.get('command', step.cause)}; nothing was done",
            needs="agree with --allow-privileged, or run that command yourself, as root, and then apply",
        )
    if plan.is_mass_removal and not consent.mass_removal:
        from hatchlock.resources.base import Action

        removed = plan.count(Action.DELETE)
        return RefusedError(
            what=f"this would remove {removed} of {plan.existing} resources; nothing was done",
            needs="agree with --allow-mass-removal",
        )
    return None


def _nobody() -> RefusedError:
    return RefusedError(what="there is no terminal to ask on; nothing was done", needs="agree with --yes")


def _way_to_keep(step: Step) -> str:
    from hatchlock.address import ResourceKind
    from hatchlock.resources.base import Action

    if step.address.kind is ResourceKind.CLIENT:
        from hatchlock.resources.client_kept import TO_KEEP

        return step.details.get(TO_KEEP, "copy it elsewhere first")
    if step.action is not Action.DELETE or step.address.kind is not ResourceKind.VOLUME:
        return "copy it elsewhere first"
    server = step.address.server
    moved, forget = f'[[moved]] from = "server:{server}"', f'[[forget]] address = "{step.address}"'
    return f"keep it: {moved} if that server has another name now, else {forget}"


def check_agreed(*, yes: bool, confirm: Callable[[], bool] | None) -> None:
    """Refuse what nobody agrees to.

    Args:
        yes: It was agreed to beforehand.
        confirm: Asks the user; None when there is nobody to ask.

    Raises:
        RefusedError: It must not be done.
    """
    if yes:
        return
    if confirm is None:
        raise _nobody()
    if not confirm():
        raise RefusedError(what="nothing was done")
