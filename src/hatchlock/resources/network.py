"""The network of a project's containers that may reach every host: is it as it was made, and is nobody else in it?

The first session that needs it makes it, and it costs nothing, so one that is not there is nothing to a plan; nor is one that
is as it should be. One that was made otherwise than hatchlock makes it would let servers reach each other, and so would a
stranger's container in it: that is drift, and a step puts it right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.engines.api import Engine, EngineError
from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord
from hatchlock.resources.base import Artefact, Desired, Observed, Problem, Step
from hatchlock.security.container import LABEL, bridge_config, bridge_name

__all__ = ["ForeignNetwork", "NetworkInUse", "NetworkResource", "network_address", "on_bridge"]

_NOT_FOUND = 404
_RIGHT = "as hatchlock makes it"
_NOBODY = "none"


@dataclass(kw_only=True, eq=False)
class NetworkInUse(HatchlockError):
    """A network cannot be made anew while sessions are in it."""

    code: ClassVar[str] = "network-in-use"

    network: str
    why: str

    def __str__(self) -> str:
        return f"the engine keeps network {self.network}: {self.why}"

    def _hint(self) -> str:
        return "end the sessions of its servers, then run the same command"


@dataclass(kw_only=True, eq=False)
class ForeignNetwork(HatchlockError):
    """A network has the name that the project's would get, and is not the project's."""

    code: ClassVar[str] = "foreign-network"

    name: str

    def __str__(self) -> str:
        return f"the engine has a network {self.name} without our label, and it is left alone"

    def _hint(self) -> str:
        return f"remove it, if nobody needs it: docker network rm {self.name}"


def network_address(project: str) -> Address:
    """Return `network:NAME` of a project's one network."""
    return Address(kind=ResourceKind.NETWORK, name=bridge_name(project))


def on_bridge(record: LaunchRecord) -> bool:
    """Return whether a server's containers are in it."""
    return record.runtime == "container" and record.sandbox.network == ("internet",)


class NetworkResource:
    """The network of one project; see `resources.base.Resource`. `desired` follows from the last `observe`.

    Args:
        project: The project's name.
        engine: The engine's address; "" where no server needs the network, and nobody is asked.
    """

    def __init__(self, *, project: str, engine: str) -> None:
        self._project = project
        self._engine = Engine(engine) if engine else None
        self._changed: Mapping[str, tuple[str, str]] = {}
        self.problems: tuple[Problem, ...] = ()

    def desired(self) -> Iterable[Desired]:
        """Return the network as it should be, where it is not so."""
        facts = {name: after for name, (_, after) in self._changed.items()}
        address = network_address(self._project)
        return [Desired(address=address, key=_RIGHT, facts=facts, privilege="engine")] if facts else []

    def observe(self) -> Iterable[Observed]:
        """Return the network if it was changed by hand. One request, and one more if there is one.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: It does not answer.
        """
        self.problems, self._changed = (), {}
        found = self._found()
        if found is None or self._engine is None:
            return []
        address = network_address(self._project)
        if self._is_foreign(found):
            self.problems = (Problem.of(address, ForeignNetwork(name=address.name)),)
            return []
        self._changed = dict(self._differences(self._engine, found))
        return [self._observed(self._changed)] if self._changed else []

    def observe_one(self, address: Address) -> Observed | None:  # noqa: ARG002  there is one
        """Return the network as it is now; one that was removed meanwhile needs nothing."""
        found = self._found()
        if found is None or self._engine is None:
            return Observed(address=network_address(self._project), key=_RIGHT)
        return self._observed(dict(self._differences(self._engine, found)))

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def apply(self, step: Step) -> None:
        """Put strangers out of the network, or make it anew where it was made otherwise.

        Raises:
            ForeignNetwork: Somebody else has made one of that name meanwhile.
            NetworkInUse: Sessions are in one that has to be made anew.
            EngineError: The engine refuses.
            EngineUnreachable: It does not answer.
        """
        found = self._found()
        if found is None or self._engine is None:
            return
        if self._is_foreign(found):
            raise ForeignNetwork(name=step.address.name)
        path = f"/networks/{quote(step.address.name)}"
        for container in _strangers(self._engine, self._project):
            self._engine.ask("POST", f"{path}/disconnect", {"Container": container, "Force": True})
        wanted = bridge_config(self._project, podman=self._engine.is_podman)
        if not _made_otherwise(found, wanted, podman=self._engine.is_podman):
            return
        try:
            self._engine.ask("DELETE", path)
        except EngineError as error:
            if error.status == _NOT_FOUND:
                return
            raise NetworkInUse(network=step.address.name, why=error.message) from error
        self._engine.ask("POST", "/networks/create", wanted)

    def _is_foreign(self, found: Mapping[str, Any]) -> bool:
        return (found.get("Labels") or {}).get(f"{LABEL}.project") != self._project

    def _found(self) -> Mapping[str, Any] | None:
        if self._engine is None:
            return None
        return self._engine.look_up(f"/networks/{quote(bridge_name(self._project))}")

    def _differences(self, engine: Engine, found: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, str]]]:
        """Yield field, what it is and what it should be."""
        podman = engine.is_podman
        yield from _made_otherwise(found, bridge_config(self._project, podman=podman), podman=podman).items()
        if strangers := _strangers(engine, self._project):
            yield "strangers", (", ".join(sorted(strangers.values())), _NOBODY)

    def _observed(self, changed: Mapping[str, tuple[str, str]]) -> Observed:
        address = network_address(self._project)
        if not changed:
            return Observed(address=address, key=_RIGHT)
        facts = {name: before for name, (before, _) in changed.items()}
        return Observed(
            address=address, key=sha256_bytes(canonical_json(facts)), facts=facts, cause="by hand", drifted=True
        )


def _made_otherwise(found: Mapping[str, Any], wanted: Mapping[str, Any], *, podman: bool) -> dict[str, tuple[str, str]]:
    """Return what of the network only a new one could change: field -> what it is, and what it should be."""
    options = found.get("Options") or {}
    # Podman does not tell through this API with which options it made a network
    told = [(name, value) for name, value in wanted["Options"].items() if name in options or not podman]
    pairs = {
        "driver": (str(found.get("Driver")), str(wanted["Driver"])),
        **{name: (str(options.get(name, _NOBODY)), str(value)) for name, value in told},
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _strangers(engine: Engine, project: str) -> dict[str, str]:
    """Return id -> name of the containers that run in the network and are not the project's."""
    query = urlencode({"filters": json.dumps({"network": [bridge_name(project)]})})
    return {
        item["Id"]: str(next(iter(item["Names"]), item["Id"])).lstrip("/")
        for item in engine.ask("GET", f"/containers/json?{query}")
        if (item.get("Labels") or {}).get(f"{LABEL}.project") != project
    }
