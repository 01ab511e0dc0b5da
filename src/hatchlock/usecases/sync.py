"""Is something as the lock says, and if not: is that a change that waits, or somebody else's doing? For `status`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hatchlock.address import Address, ResourceKind
from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.resources.base import DriftPolicy, Step
    from hatchlock.usecases.plan import Planned

__all__ = ["Drift", "Sync", "Syncs"]

Sync = Literal["synced", "out-of-sync", "drifted", "blocked", "surplus", "held"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """Something that somebody else has changed since it was applied.

    Attributes:
        address: Which resource.
        what: In words.
        policy: What is done about it.
        details: Field -> what it is, and what it should be.
    """

    address: Address
    what: str
    policy: DriftPolicy
    details: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        left = "" if self.policy == "correct" else f"; left as it is, drift is {self.policy!r}"
        return f"{self.address} {self.what}{left}"


class Syncs:
    """How the resources of one project stand, as they were planned. Looks into environments for what is cheap to see."""

    def __init__(self, planned: Planned, home: Home) -> None:
        from hatchlock.resources.drift import Policies
        from hatchlock.usecases.drift import every_difference

        self._planned = planned
        self._home = home
        self._policies = Policies(planned.target, planned.world)
        self._steps = every_difference(planned)
        self._drift = {item.address: item for item in self._drifted()}

    def of(self, is_about: Callable[[Address], bool]) -> tuple[Sync, str, tuple[Drift, ...]]:
        """Return how what an address says yes to stands, why, and all drift of it, also what is ignored."""
        plan = self._planned.plan
        drift = tuple(item for address, item in self._drift.items() if is_about(address))
        if problem := next((item for item in plan.problems if is_about(item.address)), None):
            return "blocked", problem.what, drift
        steps = [step for step in plan.steps if is_about(step.address) and step.address not in self._drift]
        told = [str(item) for item in drift if item.policy != "ignore"]
        causes = "; ".join([*(f"{step.address} {step.cause}" for step in steps), *told])
        if steps and plan.held:
            return "held", f"held at generation {plan.held} since a rollback: {causes}", drift
        return "out-of-sync" if steps else "drifted" if told else "synced", causes, drift

    def gone(self, is_about: Callable[[Address], bool]) -> Address | None:
        """Return what is not there although it has been applied, and without which no server starts; or None.

        An engine makes a volume that is not there by itself.
        """
        kept = self._planned.applied.keys
        gone = (address for address, step in self._steps.items() if not step.before and address in kept)
        return next((address for address in gone if is_about(address) and _is_vital(address)), None)

    def _drifted(self) -> Iterator[Drift]:
        for step in sorted(self._steps.values(), key=_order):
            if step.drift:
                yield Drift(
                    address=step.address,
                    what=step.cause,
                    policy=self._policy(step),
                    details=step.details,
                )
        yield from self._damaged()
        yield from self._of_surfaces()

    def _policy(self, step: Step) -> DriftPolicy:
        """Return what is done about it; what another step needs is put right all the same."""
        is_planned = any(step.address == other.address for other in self._planned.plan.steps)
        return "correct" if is_planned else self._policies.of(step.address)

    def _damaged(self) -> Iterator[Drift]:
        from hatchlock.resources.env_health import damages
        from hatchlock.store.receipts import finished

        for spec in self._planned.target.environments:
            tree = self._home.envs / spec.key
            if spec.address in self._steps or not finished(tree):
                continue
            if wrong := "; ".join(damages(spec, tree)):
                what = f"{wrong}; `hatchlock apply --replace {spec.address}` makes it anew"
                yield Drift(address=spec.address, what=what, policy=self._policies.of(spec.address))

    def _of_surfaces(self) -> Iterator[Drift]:
        """What a server offers is no resource that `apply` could put right, and never to be ignored."""
        from hatchlock.usecases.surfaces import surface_drift

        for name, found in surface_drift(self._planned):
            address = Address(kind=ResourceKind.SERVER, name=name)
            if address in self._steps:
                continue  # what is about to be another one is compared when it is
            details = {sort: ", ".join(items) for sort, items in found.differs.items()}
            told = "; ".join(f"{sort}: {items}" for sort, items in details.items())
            what = f"offers something else than was pinned ({told}): see `hatchlock logs {name}` and `hatchlock pin --check {name}`"
            yield Drift(address=address, what=what, policy="correct", details=details)


def _is_vital(address: Address) -> bool:
    from hatchlock.resources.volume import is_directory

    return address.kind in {ResourceKind.ENV, ResourceKind.IMAGE} or is_directory(address)


def _order(step: Step) -> tuple[int, str]:
    return step.address.order
