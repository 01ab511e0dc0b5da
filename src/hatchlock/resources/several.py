"""Resources of one kind that are made in several ways, each address in one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hatchlock.address import Address
from hatchlock.resources.base import Artefact, Desired, Observed, Resource, Step

__all__ = ["Several"]


class Several:
    """See `resources.base.Resource`; what is asked about one address is asked of whoever wants it.

    Args:
        resources: Without an address in common.
    """

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._resources = resources
        self._owners = {item.address: resource for resource in resources for item in resource.desired()}

    def desired(self) -> Iterable[Desired]:
        """Return what all of them want."""
        return [item for resource in self._resources for item in resource.desired()]

    def observe(self) -> Iterable[Observed]:
        """Return what all of them find."""
        return [item for resource in self._resources for item in resource.observe()]

    def observe_one(self, address: Address) -> Observed | None:
        """Return one resource as it is, or None."""
        return self._owners[address].observe_one(address)

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return the files that creating it needs in the store."""
        return self._owners[address].artefacts(address)

    def apply(self, step: Step) -> None:
        """Do the step's one effect."""
        self._owners[step.address].apply(step)
