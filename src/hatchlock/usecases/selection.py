"""`--only` and `--replace`: a plan of a part of the project, and of what is to be made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.reconcile.plan import Plan
    from hatchlock.reconcile.select import Known, Selection
    from hatchlock.resources.base import Desired, Observed, Problem
    from hatchlock.resources.target import Target
    from hatchlock.resources.world import World

__all__ = ["selective_diff"]


def selective_diff(
    desired: Iterable[Desired],
    observed: Iterable[Observed],
    problems: Iterable[Problem],
    *,
    selection: Selection,
    target: Target,
    world: World,
    **others: Any,
) -> Plan:
    """Return the plan that `reconcile.diff.diff` gives, of what was selected.

    Args:
        desired: As there.
        observed: As there.
        problems: As there.
        selection: What the user wants.
        target: Has the groups of servers.
        world: Knows what is lost with a volume that is made anew.
        others: What else is told to `diff`.

    Raises:
        NothingNamed: A word names nothing.
        NotReplaceable: What is to be made anew cannot be.
    """
    from hatchlock.address import ResourceKind
    from hatchlock.reconcile.diff import diff
    from hatchlock.reconcile.select import named_again, selected

    wanted, present, blocked = list(desired), list(observed), list(problems)
    known = _known(wanted, present, blocked, world)
    again = named_again(selection.again, known)
    present = [
        replace(item, loss=world.volumes.loss(item.address))
        if item.address.kind is ResourceKind.VOLUME and item.address in again
        else item
        for item in present
    ]
    plan = diff(wanted, present, blocked, again=again, **others)
    return selected(plan, selection.words, known=known, groups=target.groups)


def _known(
    desired: Iterable[Desired], observed: Iterable[Observed], problems: Iterable[Problem], world: World
) -> Mapping[Address, Known]:
    from hatchlock.reconcile.select import Known

    wanted = {item.address: item for item in desired}
    keys = {item.address: item.key for item in observed}
    return {
        address: Known(
            needs=wanted[address].depends_on if address in wanted else (),
            server=_server(address, world),
            is_declared=address in wanted or address not in keys,
            is_right=address in wanted and wanted[address].key == keys.get(address),
        )
        for address in {*wanted, *keys, *(problem.address for problem in problems)}
    }


def _server(address: Address, world: World) -> str:
    from hatchlock.address import ResourceKind

    return world.containers.server(address) if address.kind is ResourceKind.CONTAINER else address.server
