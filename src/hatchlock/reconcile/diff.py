"""Desired and observed -> plan. Pure: no I/O, no clock, no environment, no randomness."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter

from hatchlock.address import Address, ResourceKind
from hatchlock.reconcile.held import entries_that_stay, servers_that_wait
from hatchlock.reconcile.plan import NOT_DECLARED, Drifted, Plan
from hatchlock.resources.base import Action, Desired, DriftPolicy, Observed, Problem, Step

__all__ = ["diff"]

_PARTS = ", "
_SERVING = (ResourceKind.SERVER, ResourceKind.ENDPOINT)
_SINCE = "since it was applied"
_BY_BOTH = "in its declaration, and by somebody else since it was applied"


def diff(
    desired: Iterable[Desired],
    observed: Iterable[Observed],
    problems: Iterable[Problem] = (),
    *,
    applied: Mapping[Address, str] | None = None,
    forgotten: Container[Address] = (),
    again: Container[Address] = (),
) -> Plan:
    """Return the plan that turns what is into what should be. The order of the inputs does not matter.

    Args:
        desired: What should be; each address once.
        observed: What is: the desired resources that exist, and every other one that the project owns and that goes with
            its declaration (servers, client entries). Environments and images that nothing wants are the garbage
            collector's business and are not observed.
        problems: What cannot be planned. It is left alone, and so is what depends on it. What cannot be removed is one of
            them; it is left with what it needs. So is an entry whose successor is left alone, and a server keeps its old name
            with all that it has as long as an application that starts it by that cannot get the new one.
        applied: Address -> the key that the last apply left there. What is declared with that key and has another one, or
            is gone, was changed by somebody else: drift. Where it is not known, nothing is called drift.
        forgotten: What the project gives up: it is left as it is, though it is not declared.
        again: What is made anew although it is as it should be (`--replace`); what else its declaration says of drift, it is
            put right.
    """
    last = applied or {}
    wanted = {item.address: item for item in desired}
    present = {item.address: item for item in observed}
    staying = {a: seen.stays for a, seen in present.items() if seen.stays and a not in wanted and a not in forgotten}
    blocked = sorted((*problems, *staying.values()), key=lambda problem: problem.address.order)
    blocked += list(servers_that_wait(present, blocked))
    left_alone = _with_dependents({problem.address for problem in blocked}, wanted)
    going = [a for a in present if a not in wanted and a not in left_alone and a not in forgotten]
    waiting = list(entries_that_stay(present, going, left_alone))
    blocked = sorted((*blocked, *waiting), key=lambda problem: problem.address.order)
    left_alone |= _used_by((*staying, *(problem.address for problem in waiting)), present)
    left_alone |= _kept_by_name(left_alone, present)
    found: dict[Address, Step] = {}
    for address, item in wanted.items():
        step = None if address in left_alone else _towards(item, present.get(address), last.get(address), again)
        if step is not None:
            found[address] = step
    for address, seen in present.items():
        if address in wanted or address in left_alone or address in forgotten or _belongs_to(address, left_alone):
            continue
        found[address] = _away(seen, present)
    policies = {item.address: item.policy for item in present.values()} | {a: item.drift for a, item in wanted.items()}
    drifted = _left(found, policies, again)
    ordered = _in_order({address: step for address, step in found.items() if address not in drifted})
    told = sorted((address for address in drifted if policies[address] == "warn"), key=lambda address: address.order)
    return Plan(
        steps=ordered,
        problems=tuple(blocked),
        unchanged=sum(address in present for address in wanted.keys() - found.keys() - left_alone),
        # sessions come and go, and nothing that is declared goes with them
        existing=sum(a.kind is not ResourceKind.CONTAINER and (a in wanted or a not in forgotten) for a in present),
        drifted=tuple(Drifted(address=address, what=found[address].cause) for address in told),
    )


def _left(
    found: Mapping[Address, Step], policies: Mapping[Address, DriftPolicy], again: Container[Address]
) -> set[Address]:
    """Return what stays as somebody else has left it. What is gone and what another step needs is put right all the same."""
    left = {a for a, step in found.items() if step.drift and policies[a] != "correct" and a not in again}
    while True:
        steps = [step for a, step in found.items() if a not in left]
        needed = {a for step in steps for a in step.depends_on if a in left and not found[a].before}
        if not needed:
            return left
        left -= needed


def _with_dependents(addresses: set[Address], wanted: Mapping[Address, Desired]) -> set[Address]:
    reached = set(addresses)
    while True:
        more = {a for a, item in wanted.items() if a not in reached and not reached.isdisjoint(item.depends_on)}
        if not more:
            return reached
        reached |= more


def _used_by(staying: Iterable[Address], present: Iterable[Address]) -> set[Address]:
    reached = set(staying)
    while True:
        more = {a for a in present if a not in reached and any(_uses(user, a) for user in reached)}
        if not more:
            return reached
        reached |= more


def _kept_by_name(left_alone: Container[Address], present: Mapping[Address, Observed]) -> set[Address]:
    """Return what servers that are left alone have by the names that they had: those, and data that would move on alone."""
    formers = {seen.former for address, seen in present.items() if address in left_alone and seen.former}
    servers = {a for a in present if a in left_alone and a.kind is ResourceKind.SERVER}
    return formers | {a for a, seen in present.items() if seen.handover and any(_uses(server, a) for server in servers)}


def _towards(item: Desired, seen: Observed | None, last: str | None, again: Container[Address]) -> Step | None:
    is_right = seen is not None and seen.key == item.key
    if is_right and item.address not in again:
        return None
    handed_over = seen is not None and bool(seen.handover)
    drift = not is_right and not handed_over and (last == item.key or (seen is not None and seen.drifted))
    differs_from_last = seen is not None and last is not None and last != seen.key
    since = _SINCE if last == item.key else _BY_BOTH if differs_from_last else ""
    changed = {} if seen is None else _changed(seen.facts, item.facts)
    return Step(
        address=item.address,
        action=Action.CREATE if seen is None else Action.REPLACE if is_right else Action.UPDATE,
        cause="to be made anew" if is_right else _cause(seen, changed, since),
        before="" if seen is None else seen.key,
        after=item.key,
        details=dict(item.facts) if seen is None or is_right else {**_details(item, seen, changed), **seen.remedy},
        depends_on=item.depends_on,
        privilege=item.privilege,
        loss="" if seen is None else seen.loss,
        notes=item.notes,
        drift=drift,
    )


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {
        name: f"{before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in (*after, *before)
        if before.get(name) != after.get(name)
    }


def _details(item: Desired, seen: Observed, changed: Mapping[str, str]) -> dict[str, str]:
    whole = dict(_always(item, seen.facts))
    return whole | {name: value for name, value in changed.items() if name not in whole}


def _always(item: Desired, before: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Yield what is always shown as it will be, whole; and beside it the parts that it had until now, if it had others."""
    for name in item.always:
        after = item.facts.get(name, "")
        yield name, after
        parts = [part for part in before.get(name, "").split(_PARTS) if part and part not in after.split(_PARTS)]
        if parts:
            yield f"{name} until now", _PARTS.join(parts)


def _cause(seen: Observed | None, changed: Mapping[str, str], since: str) -> str:
    if seen is None:
        return f"gone {since}" if since else "not found"
    if seen.handover:
        return seen.handover
    return " ".join(filter(None, (f"{', '.join(changed)} changed" if changed else "differs", seen.cause, since)))


def _away(seen: Observed, present: Mapping[Address, Observed]) -> Step:
    return Step(
        address=seen.address,
        action=Action.DELETE,
        cause=seen.cause or NOT_DECLARED,
        before=seen.key,
        details=dict(seen.remedy),
        drift=seen.drifted,
        depends_on=(
            *sorted((a for a in present if _uses(a, seen.address)), key=lambda a: a.order),
            *((seen.successor,) if seen.successor else ()),
        ),
        loss=seen.loss,
    )


def _uses(user: Address, used: Address) -> bool:
    """Whether one goes before the other: no application is left with a dead entry, no server without its data or record."""
    if used.kind in _SERVING:
        users = {ResourceKind.CLIENT, *((ResourceKind.ENDPOINT,) if used.kind is ResourceKind.SERVER else ())}
        return user.kind in users and user.server == used.name
    return used.kind is ResourceKind.VOLUME and user.kind in _SERVING and used.server == user.name


def _belongs_to(address: Address, servers: set[Address]) -> bool:
    """Whether it is kept for a server that is left as it is, or serves one: nobody has said that it is not declared any more."""
    if address.kind is ResourceKind.ENDPOINT:
        return Address(kind=ResourceKind.SERVER, name=address.server) in servers
    return address.kind is ResourceKind.VOLUME and any(_uses(server, address) for server in servers)


def _in_order(steps: Mapping[Address, Step]) -> tuple[Step, ...]:
    """Sort topologically, in waves: what waits for nothing, then what waited for that; by address in each.

    Only dependencies inside the plan are kept.
    """
    edges = {address: [other for other in step.depends_on if other in steps] for address, step in steps.items()}
    sorter = TopologicalSorter(edges)
    sorter.prepare()
    ordered: list[Step] = []
    while sorter.is_active():
        for address in sorted(sorter.get_ready(), key=lambda ready: ready.order):
            ordered.append(replace(steps[address], depends_on=tuple(edges[address])))
            sorter.done(address)
    return tuple(ordered)
