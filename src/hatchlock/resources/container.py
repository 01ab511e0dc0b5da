"""Containers of sessions that run: are they still as the profile of their launch record says?

Sessions come and go, and a plan is about what is declared. So a container that is as it should be is nothing to a plan; one
that was changed by hand is a step, which puts it right. What an engine can change while it runs (limits, networks) is changed;
for everything else it is stopped and removed, and its application starts a new one. What is not known is told, never removed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.engines.api import Container, Engine, EngineError
from hatchlock.engines.facts import read_unbound
from hatchlock.engines.host import host_facts
from hatchlock.files import read_optional
from hatchlock.launch import LaunchRecord
from hatchlock.process import owner_is_gone
from hatchlock.resources.base import Artefact, Desired, Observed, Step
from hatchlock.security.container import LABEL
from hatchlock.security.posture import (
    IN_PLACE,
    LIMITS,
    Difference,
    differences,
    found_posture,
    own_posture,
    relay_posture,
)
from hatchlock.state.project import ProjectState

__all__ = ["ContainerResource"]

_NOT_FOUND = 404
_RUNNING = frozenset({"running", "paused", "restarting"})
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RELAY = "relay"
_RIGHT = "as its launch record says"
_AWAY = "changed by hand; it is stopped and removed, and its application starts it anew"
_NOBODYS = "has this project's labels and is none of its sessions; it was left alone"
_UNKNOWN = "was made from a launch record that is not there any more, so nobody can say whether it is as it should be"
_USUAL_NETWORK = {True: "podman", False: "bridge"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Profile:
    """What containers should be like that were made from a launch record."""

    record: LaunchRecord
    posture: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Changed:
    """A container that is not as its launch record says."""

    id: str
    profile: _Profile
    differences: tuple[Difference, ...]
    in_place: bool

    @property
    def key(self) -> str:
        return sha256_bytes(canonical_json([str(item) for item in self.differences]))


class ContainerResource:
    """The containers of one project's sessions; see `resources.base.Resource`. `desired` follows from the last `observe`.

    Args:
        project: The project's name.
        engine: The engine's address; "" for none.
        state: Has the launch records.
        store: The store's mark: containers of another store's project of that name are not seen.
    """

    def __init__(self, *, project: str, engine: str, state: ProjectState, store: str = "") -> None:
        self._project = project
        self._store = store
        self._engine = Engine(engine) if engine else None
        self._state = state
        self._changed: dict[Address, _Changed] = {}
        self._profiles: dict[tuple[str, str], _Profile | None] = {}
        self._unbound: tuple[str, ...] | None = None
        self.unknown: dict[Address, str] = {}
        """What is told of containers that have our labels and are none of our sessions, as they were last observed."""
        self.left: dict[Address, str] = {}
        """Containers of sessions whose `run` is gone, as they were last observed -> whose they are."""

    def desired(self) -> Iterable[Desired]:
        """Return the containers that were changed by hand and can be put right while they run, as they should be."""
        return [
            Desired(
                address=address,
                key=_RIGHT,
                facts={item.field: item.expected for item in changed.differences},
                privilege="engine",
            )
            for address, changed in self._changed.items()
            if changed.in_place
        ]

    def observe(self) -> Iterable[Observed]:
        """Return the containers that were changed by hand. One request, and one for each container that runs.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: It does not answer.
        """
        self._changed, self.unknown, self.left = {}, {}, {}
        if self._engine is None:
            return []
        for container in self._engine.list({f"{LABEL}.project": self._project}):
            self._look(self._engine, container)
        return [_seen(address, changed) for address, changed in self._changed.items()]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the container if it differs, or as it should be if it could be changed; one that has ended needs nothing."""
        before = self._changed.get(address)
        if self._engine is None or before is None:
            return None
        now = self._compared(self._engine, before.id, before.profile)
        if now is not None and now.differences:
            return _seen(address, now)
        if before.in_place:
            return Observed(address=address, key=_RIGHT)
        return Observed(address=address, key=_RIGHT) if now is not None else None

    def server(self, address: Address) -> str:
        """Return whose session a container is that was changed by hand; "" for others."""
        changed = self._changed.get(address)
        return changed.profile.record.server if changed else ""

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing: what it is made of is there."""
        return ()

    def apply(self, step: Step) -> None:
        """Put a container right, or stop and remove it.

        Raises:
            EngineError: The engine refuses: more memory is in use than it should have, say.
            EngineUnreachable: It does not answer.
        """
        changed = self._changed[step.address]
        if self._engine is None:
            return
        if step.after:
            _put_right(self._engine, changed)
            return
        with contextlib.suppress(EngineError):  # it may have ended by now, or cannot be stopped in its state
            self._engine.stop(changed.id, grace=changed.profile.record.sandbox.stop_grace)
        self._engine.remove(changed.id)

    def remove_left(self) -> None:
        """Remove the containers that are left of sessions whose `run` is gone.

        Raises:
            EngineError: The engine refuses.
            EngineUnreachable: It does not answer.
        """
        for address in self.left:
            if self._engine is not None:
                self._engine.remove(address.name)

    def _look(self, engine: Engine, container: Container) -> None:
        labels = {name.removeprefix(f"{LABEL}."): value for name, value in container.labels.items()}
        if labels.get("store", self._store) != self._store:
            return
        if "purpose" in labels or "path" in labels:
            return  # at work for an `apply`
        address = Address(kind=ResourceKind.CONTAINER, name=container.name)
        if owner_is_gone(labels.get("owner", "")):
            self.left[address] = labels.get("server", "")
            return
        digest = labels.get("record", "")
        if "session" not in labels or "owner" not in labels:
            self.unknown[address] = _NOBODYS
            return
        if container.state not in _RUNNING or not digest:
            return  # being started or at its end; for `exec`, or begun before there was such a label
        profile = self._profile(digest, labels.get("role", ""), podman=engine.is_podman)
        if profile is None or profile.record.server != labels.get("server"):
            self.unknown[address] = _UNKNOWN
            return
        changed = self._compared(engine, container.id, profile)
        if changed is not None and changed.differences:
            self._changed[address] = changed

    def _profile(self, digest: str, role: str, *, podman: bool) -> _Profile | None:
        """Return what a launch record says, worked out once, or None when there is no such record."""
        if (digest, role) not in self._profiles:
            record = self._record(digest)
            known = _Profile(record=record, posture=_expected(record, role, podman=podman)) if record else None
            self._profiles[digest, role] = known
        return self._profiles[digest, role]

    def _record(self, digest: str) -> LaunchRecord | None:
        if not _DIGEST.fullmatch(digest):  # a label may say anything
            return None
        data = read_optional(self._state.record_path(digest))
        if data is None or sha256_bytes(data) != digest:
            return None
        try:
            return LaunchRecord.from_json(data)
        except (ValueError, TypeError, KeyError):
            return None

    def _compared(self, engine: Engine, container: str, profile: _Profile) -> _Changed | None:
        """Return how a container differs from its record; None when it is gone."""
        try:
            inspected = engine.inspect(container)
        except EngineError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        podman, source = engine.is_podman, profile.record.source
        live = (source.live, source.directory) if source and source.live else None
        found = differences(profile.posture, found_posture(inspected, podman=podman), live=live)
        if any(item.field in LIMITS for item in found):
            unbound = self._limits_that_do_not_bind(engine)
            found = tuple(item for item in found if item.field not in unbound)
        in_place = _can_be_put_right(found, podman=podman)
        return _Changed(id=container, profile=profile, differences=found, in_place=in_place)

    def _limits_that_do_not_bind(self, engine: Engine) -> tuple[str, ...]:
        """Asked only if a limit is not as it should be, which is so for all that an engine does not know."""
        if self._unbound is None:
            self._unbound = read_unbound(engine)
        return self._unbound


def _expected(record: LaunchRecord, role: str, *, podman: bool) -> Mapping[str, Any]:
    posture = relay_posture if role == _RELAY and record.relay else own_posture
    return posture(record, host=host_facts(), podman=podman)


def _seen(address: Address, changed: _Changed) -> Observed:
    if changed.in_place:
        facts = {item.field: item.found for item in changed.differences}
        return Observed(address=address, key=changed.key, facts=facts, cause="by hand", drifted=True)
    remedy = {item.field: f"{item.found}, should be {item.expected}" for item in changed.differences}
    return Observed(address=address, key=changed.key, cause=_AWAY, remedy=remedy, drifted=True)


def _can_be_put_right(found: Iterable[Difference], *, podman: bool) -> bool:
    """Podman changes networks of a container that runs, and through this API nothing else."""
    fields = {item.field for item in found}
    return fields <= ({"networks"} if podman else IN_PLACE)


def _put_right(engine: Engine, changed: _Changed) -> None:
    fields = {item.field for item in changed.differences}
    expected = changed.profile.posture
    if limits := dict(_limits(fields, expected)):
        engine.ask("POST", f"/containers/{changed.id}/update", limits)
    if "networks" in fields:
        _join_only(engine, changed.id, expected["networks"])


def _limits(fields: set[str], expected: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    if fields & {"memory", "swap"}:  # an engine refuses one that does not fit the other
        yield "Memory", expected["memory"]
        yield "MemorySwap", expected["memory"] + expected["swap"]
    if "cpus" in fields:
        yield "NanoCpus", round(expected["cpus"] * 1e9)
    if "pids" in fields:
        yield "PidsLimit", expected["pids"]
    if "restart" in fields:
        yield "RestartPolicy", {"Name": expected["restart"]}


def _join_only(engine: Engine, container: str, wanted: frozenset[str]) -> None:
    attached = (engine.inspect(container).get("NetworkSettings") or {}).get("Networks") or {}
    usual = _USUAL_NETWORK[engine.is_podman]
    names = {usual if name == "bridge" else name for name in wanted}
    for name in sorted(attached.keys() - names - {"none", "host"}):
        engine.ask("POST", f"/networks/{name}/disconnect", {"Container": container, "Force": True})
    for name in sorted(names - attached.keys()):
        engine.ask("POST", f"/networks/{name}/connect", {"Container": container})
