"""Endpoints: the servers that stay, each kept by a process of this machine and reached at a port of its loopback.

What is right is a keeper of the active launch record, whose name is this resource's key. How its server does is health, and
nothing to a plan: the keeper starts it again by itself. One that was stopped by hand is as it should be until it is started
by hand.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from hatchlock.address import Address, ResourceKind
from hatchlock.engines.loopback import PortTaken, is_free
from hatchlock.launch import LaunchRecord
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Problem, Step
from hatchlock.resources.server import ServerSpec
from hatchlock.state.keepers import Keeper, forget_stop, keeper_of, not_ended, stopped_by_hand
from hatchlock.state.project import ProjectState

__all__ = ["EndpointResource", "endpoint_address"]

_STOPPED = "stopped by hand"
_SHOWN_DIGITS = 12
_USUAL_GRACE = 5.0


def endpoint_address(server: str) -> Address:
    """Return `endpoint:NAME`."""
    return Address(kind=ResourceKind.ENDPOINT, name=server)


class EndpointResource:
    """The endpoints of one project; see `resources.base.Resource`.

    Args:
        specs: The servers that should be.
        state: The project's state.
        home: The store.
        project: The project's name.
        environ: What a keeper gets as its environment: for secrets, and to find programs.
    """

    def __init__(
        self,
        specs: Iterable[ServerSpec],
        *,
        state: ProjectState,
        home: Home,
        project: str,
        environ: Mapping[str, str],
    ) -> None:
        self._specs = {endpoint_address(spec.record.server): spec for spec in specs if spec.record.endpoint}
        self._state = state
        self._home = home
        self._project = project
        self._environ = environ
        self.problems: tuple[Problem, ...] = ()

    def desired(self) -> Iterable[Desired]:
        """Return an endpoint for each server that stays."""
        return [
            Desired(
                address=address,
                key=spec.record.digest,
                facts=_facts(spec.record),
                depends_on=(spec.address, *spec.depends_on),
            )
            for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return what is kept, and what was stopped by hand, declared or not.

        A port that somebody else has becomes a problem of its endpoint. What a keeper has left that was killed is nobody else:
        the next one waits for its end.
        """
        there, stopped = not_ended(self._state.root), stopped_by_hand(self._state.root)
        self.problems = tuple(self._taken({keeper.port for keeper in there.values()}, stopped))
        kept = {name: keeper for name, keeper in there.items() if keeper.is_alive}
        return [self._seen(name, kept.get(name), is_stopped=name in stopped) for name in sorted({*kept, *stopped})]

    def observe_one(self, address: Address) -> Observed | None:
        """Return an endpoint as it is now; None where nobody keeps it and nobody stopped it."""
        found = keeper_of(self._state.root, address.name)
        is_stopped = address.name in stopped_by_hand(self._state.root)
        return self._seen(address.name, found, is_stopped=is_stopped) if found or is_stopped else None

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def apply(self, step: Step) -> None:
        """Have a server kept by its active launch record, or end its keeper.

        Raises:
            KeeperMissing, KeeperElsewhere, KeeperStays: There is none afterwards, or the one that was stays.
            ProcessFailed: It cannot be started.
        """
        from hatchlock.resources.keeping import start_keeper, stop_keeper  # noqa: PLC0415  `plan` only looks

        name, spec = step.address.name, self._specs.get(step.address)
        stop_keeper(self._state.root, name, grace=self._grace(name))
        if not step.after or spec is None:
            forget_stop(self._state.root, name)
            return
        start_keeper(self._home.root, self._project, name, spec.record.digest, self._environ, root=self._state.root)

    def _grace(self, server: str) -> float:
        found = keeper_of(self._state.root, server)
        record = self._state.record(found.launch) if found else None
        return record.sandbox.stop_grace if record else _USUAL_GRACE

    def _seen(self, name: str, kept: Keeper | None, *, is_stopped: bool) -> Observed:
        address = endpoint_address(name)
        spec = self._specs.get(address)
        if kept is None:
            # whoever stopped it wants it so, whatever its declaration says by now
            key = spec.record.digest if spec and is_stopped else _STOPPED
            return Observed(address=address, key=key, facts={"state": _STOPPED})
        record = self._state.record(kept.launch)
        facts = _facts(record) if record else {"url": kept.url, "launch record": kept.launch[:_SHOWN_DIGITS]}
        return Observed(address=address, key=kept.launch, facts=facts)

    def _taken(self, ours: Container[int], stopped: Container[str]) -> Iterator[Problem]:
        for address, spec in self._specs.items():
            endpoint, name = spec.record.endpoint, address.name
            if endpoint is None or name in stopped or endpoint.host_port in ours or is_free(endpoint.host_port):
                continue
            yield Problem.of(address, PortTaken(port=endpoint.host_port, by=self._listener(endpoint.host_port)))

    def _listener(self, port: int) -> str:
        """Return who of this store's other projects listens at a port, as far as that is known."""
        for path in sorted(self._home.root.glob("projects/*/keepers")):
            for name, keeper in not_ended(path.parent).items():
                if keeper.port == port:
                    return f"the server {name} of project {path.parent.name}"
        return "another program"


def _facts(record: LaunchRecord) -> dict[str, str]:
    facts = {
        "url": record.endpoint.url if record.endpoint else "",
        "port": str(record.endpoint.port) if record.endpoint and record.endpoint.port else "",
        "served": "" if record.speaks_http else "over HTTP, with a session of its own for each client",
        "launch record": record.digest[:_SHOWN_DIGITS],
    }
    return {name: value for name, value in facts.items() if value}
