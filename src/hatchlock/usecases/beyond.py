"""What going back to a generation does not bring back, said beforehand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hatchlock.address import ResourceKind

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.paths import Home
    from hatchlock.resources.target import Target
    from hatchlock.state.generations import Generations
    from hatchlock.usecases.plan import Planned

__all__ = ["beyond_nothing", "beyond_return"]

_SHOWN = 5


def beyond_return(planned: Planned, number: int, home: Home) -> Iterator[str]:
    """Yield what a plan towards a generation leaves as it is, or cannot make as it was, a sentence each.

    Args:
        planned: The plan, by which volumes were spared.
        number: The generation's.
        home: The store.
    """
    yield from _of_the_host(planned, number)
    yield from _of_data(planned)
    yield from _of_builds(planned, home)


def beyond_nothing(planned: Planned) -> Iterator[str]:
    """Yield what a plan towards nothing at all, by which volumes were spared, leaves as it is, a sentence each."""
    there = {item.address for item in planned.observed if item.address.kind is ResourceKind.VOLUME}
    yield from (f"{address} stays, with what is in it" for address in _sorted(there))


def _of_the_host(planned: Planned, number: int) -> Iterator[str]:
    wanted = {item.name for spec in planned.target.systems for item in spec.packages}
    since = sorted(set(_host_packages(planned.state.generations, number)) - wanted)
    if since:
        names = ", ".join(since[:_SHOWN]) + (", …" if len(since) > _SHOWN else "")
        yield f"packages of the host stay: {names}"


def _host_packages(generations: Generations, number: int) -> Iterator[str]:
    """Yield what later generations asked the host for, as far as it can be read."""
    for later in generations.numbers():
        if later <= number:
            continue
        with contextlib.suppress(KeyError, TypeError, AttributeError):  # of another version, or damaged
            systems = (generations.target(later) or {})["target"]["systems"]
            yield from [str(item["name"]) for spec in systems for item in spec["packages"]]


def _of_data(planned: Planned) -> Iterator[str]:
    wanted = {item.address for item in planned.desired if item.address.kind is ResourceKind.VOLUME}
    there = {item.address for item in planned.observed if item.address.kind is ResourceKind.VOLUME}
    made = set(_made(planned))
    for address in _sorted(there - wanted):
        yield f"{address} was made since; it stays, with what is in it"
    for address in _sorted(made & wanted):
        yield f"{address} is gone; it comes back empty"
    if there & wanted:
        yield "what servers have written into their volumes since stays as it is"


def _of_builds(planned: Planned, home: Home) -> Iterator[str]:
    for address in _sorted(set(_made(planned)) & set(_unbuilt(planned.target, home))):
        yield f"{address} is built anew, and what comes out may differ: the store has no result of that build any more"


def _made(planned: Planned) -> Iterator[Address]:
    yield from (step.address for step in planned.plan.steps if not step.before)


def _unbuilt(target: Target, home: Home) -> Iterator[Address]:
    from hatchlock.resources.build_facts import is_unbuilt

    for spec in target.environments:
        if is_unbuilt(spec, home):
            yield spec.address
    for image in target.images:
        if image.environment and is_unbuilt(image.environment, home):
            yield image.address
    if target.dockerfiles:
        from hatchlock.resources.dockerfile_result import kept_result

        yield from (spec.address for spec in target.dockerfiles if kept_result(spec, home) is None)


def _sorted(addresses: set[Address]) -> list[Address]:
    return sorted(addresses, key=lambda address: address.order)
