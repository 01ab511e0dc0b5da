"""What is done about a resource that somebody else has changed: what the servers that use it say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from hatchlock.address import Address, ResourceKind
from hatchlock.resources.base import Desired, DriftPolicy, Observed
from hatchlock.resources.endpoint import endpoint_address
from hatchlock.resources.network import network_address, on_bridge

if TYPE_CHECKING:
    from hatchlock.resources.target import Target
    from hatchlock.resources.world import World

__all__ = ["Policies"]

_ORDER: tuple[DriftPolicy, ...] = ("correct", "warn", "ignore")


class Policies:
    """The policies of one project, as `drift` of its servers says.

    A server's policy holds for its entries, its data, its sessions, and the environment or image that it starts from. What
    several use is put right if one of them wants that, and what none of them uses too.

    Args:
        target: What should be.
        world: Knows whose containers are whose, as they were last observed.
    """

    def __init__(self, target: Target, world: World) -> None:
        self._said = target.drift
        self._world = world
        self._users: dict[Address, set[str]] = {}
        if not target.drift:
            return
        for spec in target.servers:
            bridge = (network_address(target.project),) if on_bridge(spec.record) else ()
            for address in (spec.address, endpoint_address(spec.record.server), *spec.depends_on, *bridge):
                self._users.setdefault(address, set()).add(spec.record.server)
        for entry in target.entries:
            self._users.setdefault(entry.address, set()).add(entry.server)

    def of(self, address: Address) -> DriftPolicy:
        """Return what is done about one resource."""
        if not self._said:
            return "correct"
        server = self._world.containers.server(address) if address.kind is ResourceKind.CONTAINER else ""
        users = {server} if server else self._users.get(address, set())
        found = [self._said.get(user, "correct") for user in users]
        return min(found, key=_ORDER.index, default="correct")

    def desired(self, items: Iterable[Desired]) -> list[Desired]:
        """Return what should be, with its policy."""
        return [replace(item, drift=self.of(item.address)) for item in items] if self._said else list(items)

    def observed(self, items: Iterable[Observed]) -> list[Observed]:
        """Return what is, with its policy where somebody else has changed it."""
        return [replace(item, policy=self.of(item.address)) if item.drifted else item for item in items]
