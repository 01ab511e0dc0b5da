"""Servers: which launch record `run NAME` follows. Activating one is a single atomic change of a pointer."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import sha256_bytes
from hatchlock.engines.cgroups import bound_here
from hatchlock.files import read_optional
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.manifest.handover import NO_HANDOVER, Handover
from hatchlock.resources.base import PROFILE, Artefact, Desired, Observed, Step
from hatchlock.resources.surface_words import surface_words
from hatchlock.resources.volume import volume_address
from hatchlock.security.network import CA_INSIDE
from hatchlock.security.sandbox import profile_line
from hatchlock.state.project import ProjectState

__all__ = ["ServerResource", "ServerSpec", "profile_artefact"]

_SHOWN_DIGITS = 12
_GONE = "gone"
_DAMAGED = "damaged"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSpec:
    """A server as it should be on this machine.

    Attributes:
        record: Its launch record.
        needs: The environment or image it starts from; None for a program of this machine.
        system: What its environment needs of the host; None for nothing.
        notes: Relaxations of its sandbox, and what is not pinned.
        relay: The image that its relay is made of, if it is another one.
    """

    record: LaunchRecord
    needs: Address | None = None
    system: Address | None = None
    notes: tuple[str, ...] = ()
    relay: Address | None = None

    @property
    def depends_on(self) -> tuple[Address, ...]:
        """Everything that has to be there first."""
        record = self.record
        kept = (volume_address(record.server, path, record.runtime) for path in sorted(record.volumes))
        return (*(address for address in (self.needs, self.system, self.relay) if address), *kept)

    @property
    def address(self) -> Address:
        """`server:NAME`."""
        return Address(kind=ResourceKind.SERVER, name=self.record.server)


class ServerResource:
    """The servers of one project; see `resources.base.Resource`.

    Args:
        specs: What should be.
        state: The project's state.
        handover: Which servers had another name.
    """

    def __init__(self, specs: Iterable[ServerSpec], *, state: ProjectState, handover: Handover = NO_HANDOVER) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._digests = {address: spec.record.digest for address, spec in self._specs.items()}
        self._state = state
        self._handover = handover

    def desired(self) -> Iterable[Desired]:
        """Return every server, named by its launch record's digest."""
        return [
            Desired(
                address=address,
                key=self._digests[address],
                facts=_facts(spec.record, self._digests[address]),
                depends_on=spec.depends_on,
                notes=spec.notes,
                always=() if spec.record.remote else ("sandbox",),
            )
            for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return every active server of the project, declared or not."""
        active = self._state.active()
        return [self._seen(name, digest, active) for name, digest in active.items()]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the server if it is active; one whose record is gone or damaged is another one than it was."""
        active = self._state.active()
        name = self._name_of(address, active)
        return self._seen(name, active[name], active) if name in active else None

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return its seccomp profile, if it has one of its own; environment and image bring theirs."""
        record = self._specs[address].record
        return (profile_artefact(record.server, record.sandbox),) if record.sandbox.seccomp_sha256 else ()

    def apply(self, step: Step) -> None:
        """Activate the server's launch record, or take it away."""
        spec = self._specs.get(step.address) if step.after else None
        name = step.address.name
        had = self._name_of(step.address, self._state.active())
        self._state.activate(name, spec.record if spec else None, instead_of=had if had != name else "")

    def _name_of(self, address: Address, active: Mapping[str, str]) -> str:
        """Return the name under which a server is active: its own, or the one that it had."""
        name = address.name
        return next((old for old in active if self._handover.moves_to(old, active) == name), name)

    def _wrong(self, digest: str) -> str:
        data = read_optional(self._state.record_path(digest))
        return _GONE if data is None else "" if sha256_bytes(data) == digest else _DAMAGED

    def _seen(self, name: str, digest: str, active: Mapping[str, str]) -> Observed:
        now = self._handover.moves_to(name, active)
        address = Address(kind=ResourceKind.SERVER, name=now or name)
        seen = self._as_it_is(address, digest)
        if not now:
            return seen
        former = Address(kind=ResourceKind.SERVER, name=name)
        return replace(seen, handover=f"moved from {former}", former=former)

    def _as_it_is(self, address: Address, digest: str) -> Observed:
        if wrong := self._wrong(digest):
            spec = self._specs.get(address)
            facts = _facts(spec.record, spec.record.digest) if spec else {}
            said = f"{digest[:_SHOWN_DIGITS]}, {wrong}"
            return Observed(address=address, key=f"{digest} {wrong}", facts={**facts, "launch record": said})
        if self._digests.get(address) == digest:
            return Observed(address=address, key=digest)
        return Observed(address=address, key=digest, facts=self._facts_of(digest))

    def _facts_of(self, digest: str) -> Mapping[str, str]:
        data = read_optional(self._state.record_path(digest))
        try:
            return _facts(LaunchRecord.from_json(data or b"null"), digest)
        except (ValueError, TypeError, KeyError):
            return {"launch record": f"{digest[:_SHOWN_DIGITS]}, of another version"}


def profile_artefact(server: str, sandbox: Sandbox) -> Artefact:
    """Return the file that `sandbox.seccomp` names, as it was locked."""
    return Artefact(package=f"{PROFILE}{server}", name=sandbox.seccomp, digest=sandbox.seccomp_sha256)


def _facts(record: LaunchRecord, digest: str) -> dict[str, str]:
    together = bound_here() if record.runtime == "process" else frozenset[str]()
    facts = {
        **_place_facts(record),
        "from": record.key[:_SHOWN_DIGITS],
        "command": PurePath(record.argv[0]).name if record.argv else "",
        "arguments": shlex.join(record.argv[1:]),
        "directory": record.cwd,
        "variables": ", ".join(f"{name}={value}" for name, value in sorted(record.env.items()) if value != CA_INSIDE),
        "secrets": ", ".join(f"{name} from {ref.secret}" for name, ref in sorted(record.references.items())),
        "sandbox": "" if record.remote else profile_line(record.sandbox, runtime=record.runtime, together=together),
        "relay": f"{record.relay.language} of {record.relay.image.rpartition(':')[0]}" if record.relay else "",
        "proxies": ", ".join(f"{way} through {proxy}" for way, proxy in sorted(record.proxies.items())),
        "certificates": record.ca,
        "trust": record.trust,
        "tools": surface_words(record.surface),
        "launch record": digest[:_SHOWN_DIGITS],
    }
    return {name: value for name, value in facts.items() if value}


def _place_facts(record: LaunchRecord) -> dict[str, str]:
    """Where it runs; of one that somebody else runs, where that is."""
    if remote := record.remote:
        headers = ", ".join(f"{name}: {value}" for name, value in sorted(remote.headers.items()))
        return {"remote": f"{remote.url} over {remote.transport}", "headers": headers}
    return {"runtime": record.runtime if record.isolation == "required" else f"{record.runtime}, isolation best-effort"}
