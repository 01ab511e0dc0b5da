"""A kind of resource of which each is made by one command at a time: projects share what it is made of."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from hatchlock.address import Address
from hatchlock.events import Sink
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Resource, Step

__all__ = ["Leased"]


class Leased:
    """A resource whose steps wait for whoever makes the same; see `resources.base.Resource`.

    Args:
        resource: Does the work.
        home: The store.
        purpose: The command, for those who wait for it.
        lock_timeout: Seconds to wait for another command.
        emit: Told for whom it waits.
    """

    def __init__(self, resource: Resource, *, home: Home, purpose: str, lock_timeout: float, emit: Sink) -> None:
        self._resource = resource
        self._home = home
        self._purpose = purpose
        self._lock_timeout = lock_timeout
        self._emit = emit
        self._making: dict[str, threading.Lock] = {}

    def desired(self) -> Iterable[Desired]:
        """Return what the resource does."""
        return self._resource.desired()

    def observe(self) -> Iterable[Observed]:
        """Return what the resource does."""
        return self._resource.observe()

    def observe_one(self, address: Address) -> Observed | None:
        """Return what the resource does."""
        return self._resource.observe_one(address)

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return what the resource does."""
        return self._resource.artefacts(address)

    def apply(self, step: Step) -> None:
        """Do the step while nobody else makes what has its key.

        Raises:
            LeaseHeld: Another command makes it, and did not end in time.
            HatchlockError, OSError: What the resource raises.
        """
        from hatchlock.state.lease import lease  # noqa: PLC0415  `plan` only looks

        key = step.after or step.before
        path = self._home.root / "locks" / f"{step.address.kind}-{key}.lock"
        what = f"the {step.address.kind} {step.address.name} ({key[:12]})"
        waiting = lease(
            path, what=what, purpose=self._purpose, timeout=self._lock_timeout, emit=self._emit, lasting=False
        )
        # threads of this apply that want the same one wait for each other, however long it takes
        with self._making.setdefault(key, threading.Lock()), waiting:
            self._resource.apply(step)
