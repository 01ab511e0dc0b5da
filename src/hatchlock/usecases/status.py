"""`status`: is each server what the lock says (sync), and does it answer (health)? Two questions, two columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hatchlock.usecases.health import NO_DOINGS, Doings, doings, sessions_now
from hatchlock.usecases.plan import Planned, make_plan
from hatchlock.usecases.seen import After, after_change
from hatchlock.usecases.standing import Note, server_notes
from hatchlock.usecases.sync import Drift, Sync, Syncs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hatchlock.address import Address
    from hatchlock.launch import LaunchRecord
    from hatchlock.lock.model import Environment
    from hatchlock.resources.server import ServerSpec
    from hatchlock.state.quarantine import Quarantine
    from hatchlock.usecases.denials import Stopped
    from hatchlock.usecases.endpoints import EndpointStatus
    from hatchlock.usecases.health import SessionStatus
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.surfaces import SurfaceStatus

__all__ = ["EnvironmentStatus", "ServerStatus", "Status", "project_status"]

_ABOUT_THE_MACHINE = ("not isolated", "not pinned")
"""How those notes of a plan begin that are not about the profile itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerStatus:
    """One server.

    Attributes:
        name: Its name.
        runtime: "process", "container", or "remote" for one that somebody else runs.
        sync: Whether it and everything it needs is as the lock says: "synced"; "out-of-sync" (a change waits for `apply`);
            "drifted" (somebody else has changed it, and the lock has not); "held" (a rollback keeps it where it is);
            "blocked" (it cannot be planned); "surplus" (it is not declared any more).
        health: "healthy" or "failed" of the last probe; "unknown" where nothing of this launch was probed yet; "failed" where
            something is gone without which it cannot start, or where `run` refuses it.
        detail: Why it is not in sync, or what the last probe said; then what the MCP registry says of it, if that is not
            what it said when it was locked.
        trust: Its label; "" for none.
        sandbox: The profile that it is started under, in one line; "" where nobody can say.
        relaxations: What of that is more than the default, and why; what is not isolated or not pinned. One sentence each.
        stopped: What its sandbox has stopped since it was applied, the newest last.
        restart: Why those who use it should start it again; "" where nobody asked, or nothing has changed.
        said: What the last probe said, why it cannot start, or which secret it lacks; "" for none of it.
        probed: When the last probe of this launch was, RFC 3339, UTC; "" for never.
        drift: What somebody else has changed, also what is ignored.
        endpoint: How it does, if it stays; None for one that lives as long as its sessions.
        surface: How what it offers stands to what was pinned; None where nothing was.
        milliseconds: How long it took to answer the last probe of this launch; 0 where it did not, or nobody asked.
        doings: Who uses it now, what has happened, and what was denied.
        quarantine: That it must not be started, and why; None where it may.
    """

    name: str
    runtime: str
    sync: Sync
    health: str
    detail: str
    trust: str = ""
    sandbox: str = ""
    relaxations: tuple[str, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    restart: str = ""
    said: str = ""
    probed: str = ""
    drift: tuple[Drift, ...] = ()
    endpoint: EndpointStatus | None = None
    surface: SurfaceStatus | None = None
    milliseconds: int = 0
    doings: Doings = NO_DOINGS
    quarantine: Quarantine | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentStatus:
    """An environment that no server uses.

    Attributes:
        name: Its name.
        runtime: "process" or "container".
        sync: Whether it is as the lock says.
        detail: Why it is not in sync.
        trust: Its label; "" for none.
        drift: As of a server.
    """

    name: str
    runtime: str
    sync: Sync
    detail: str
    trust: str
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """A project on this machine.

    Attributes:
        project: Its name.
        generation: The number of the generation that it is at: of the last finished apply, or where a rollback went; 0 for none.
        servers: By name.
        interrupted: What a command that did not finish had begun, and how to go on; "" if there is none.
        environments: Those that no server uses, by name.
        notes: What else people should know: containers with our labels that nobody knows, what the engine lacks.
        after: What people have to do before everything runs as it was applied.
        is_begun: Whether servers of it are active, with a generation or without one.
    """

    project: str
    generation: int
    servers: tuple[ServerStatus, ...]
    interrupted: str
    environments: tuple[EnvironmentStatus, ...] = ()
    notes: tuple[Note, ...] = ()
    after: After = field(default_factory=After)
    is_begun: bool = False


def project_status(project: Project, *, offline: bool = False, check_secrets: bool = False) -> Status:
    """Return how a project stands on this machine. Reads only.

    Args:
        project: Which.
        offline: Do not ask what the MCP registry says of its servers now.
        check_secrets: Look up the secrets of servers that run, to see whether they have changed.

    Raises:
        HatchlockError: What planning raises.
    """
    from hatchlock.usecases.secrets import store_problem

    planned = make_plan(project, purpose="status")
    given_up = {str(address) for address in planned.given_up.found}
    active = {name: digest for name, digest in planned.state.active().items() if f"server:{name}" not in given_up}
    names = sorted({spec.record.server for spec in planned.target.servers} | set(active) | _blocked(planned))
    left = planned.interrupted
    notes = {note.address: note.what for note in server_notes(project, planned.target.listed, offline=offline)}
    restarts = _restarts(project, planned) if check_secrets else {}
    records = {name: record for name, digest in active.items() if (record := planned.state.record(digest))}
    broken = store_problem(project.home, records.values())
    syncs = Syncs(planned, project.home)
    specs = {spec.record.server: spec for spec in planned.target.servers}
    running = sessions_now(planned.state)

    def found(name: str) -> ServerStatus:
        spec, digest, record = specs.get(name), active.get(name, ""), records.get(name)
        server = _with_sandbox(_server(name, spec, planned, syncs, digest), spec, planned, digest)
        server = _with_missing(replace(server, restart=restarts.get(name, "")), project, record, broken=broken)
        server = _with_note(_with_stale_pin(server, record), notes.get(f"server:{name}", ""))
        return _with_doings(server, planned, active, running)

    return Status(
        project=planned.target.project,
        generation=planned.state.current(),
        servers=tuple(map(found, names)),
        interrupted=left.told if left else "",
        environments=tuple(_environment(item, syncs) for item in _unused(project)),
        notes=planned.notes,
        after=after_change(planned.state, running),
        is_begun=bool(active),
    )


def _restarts(project: Project, planned: Planned) -> dict[str, str]:
    from hatchlock.usecases.secrets import changed_secrets

    return changed_secrets(project.home, planned.target.project, project.environ)


def _with_missing(server: ServerStatus, project: Project, record: LaunchRecord | None, *, broken: str) -> ServerStatus:
    """Add why nothing is known of a server: without its secrets it cannot be probed; or why it does not start any more.

    Args:
        server: What is known of it.
        project: Its project.
        record: What it was applied as; None if it was not.
        broken: Why the store of secrets gives nothing; "" if it does.
    """
    from hatchlock.usecases.secrets import asks_store, missing_secret

    if record is None or not record.references:
        return server
    if broken and asks_store(record):
        said = f"it cannot start: {broken}"
        return replace(server, health="failed", said=said, detail="; ".join(filter(None, (server.detail, said))))
    missing = missing_secret(project.home, record, project.environ) if server.health == "unknown" else ""
    return (
        replace(server, said=missing, detail="; ".join(filter(None, (server.detail, missing)))) if missing else server
    )


def _with_stale_pin(server: ServerStatus, record: LaunchRecord | None) -> ServerStatus:
    """A probe looks past pins, so what it said is no health of a server that `run` refuses for them."""
    if record is None or record.surface is None:
        return server
    from hatchlock.serve.passages import PinsStale, check_pins

    try:
        check_pins(record)
    except PinsStale:
        said = "it cannot start: its pin is stale"
        return replace(server, health="failed", said=said, detail="; ".join(filter(None, (_unsaid(server), said))))
    return server


def _unsaid(server: ServerStatus) -> str:
    """Return its detail, if that is more than what a probe said, which is worth nothing where it cannot start any more."""
    return "" if server.detail == server.said else server.detail


def _with_note(server: ServerStatus, note: str) -> ServerStatus:
    return replace(server, detail="; ".join(filter(None, (server.detail, note)))) if note else server


def _with_doings(
    server: ServerStatus,
    planned: Planned,
    active: Mapping[str, str],
    running: Mapping[str, tuple[SessionStatus, ...]],
) -> ServerStatus:
    """Add who uses it and what has happened; a quarantine goes before all else that there is to say."""
    from hatchlock.state.quarantine import quarantine_of

    state, name = planned.state, server.name
    denials = (item.denial for item in server.stopped)
    found = doings(state, name, active.get(name, ""), running.get(name, ()), denials)
    server = replace(server, doings=found)
    quarantine = quarantine_of(state.root, name)
    if quarantine is None:
        return server
    detail = "; ".join(filter(None, (str(quarantine), _unsaid(server))))
    said = f"it cannot start: it is {quarantine}"
    return replace(server, quarantine=quarantine, health="failed", said=said, detail=detail)


def _with_sandbox(server: ServerStatus, spec: ServerSpec | None, planned: Planned, digest: str) -> ServerStatus:
    """Add what `run` would start it under now: what was applied; before that, what is declared."""
    from hatchlock.engines.cgroups import bound_here
    from hatchlock.security.sandbox import profile_line, relaxations
    from hatchlock.usecases.denials import stopped
    from hatchlock.usecases.surfaces import seen_surface

    record = (planned.state.record(digest) if digest else None) or (spec.record if spec else None)
    if record is None:
        return server
    notes = [note for note in (spec.notes if spec else ()) if note.startswith(_ABOUT_THE_MACHINE)]
    surface = seen_surface(planned.state.root, record, digest) if digest else None
    if record.remote:
        return replace(server, runtime="remote", surface=surface)
    applied = _with_endpoint(server, record, planned) if digest else server
    return replace(
        applied,
        sandbox=profile_line(record.sandbox, runtime=record.runtime, together=bound_here()),
        relaxations=(*relaxations(record.sandbox, runtime=record.runtime), *notes),
        stopped=stopped(planned.state.root, record) if digest else (),
        surface=surface,
    )


def _with_endpoint(server: ServerStatus, record: LaunchRecord, planned: Planned) -> ServerStatus:
    """Add how a server does that stays: what its keeper says is newer than what a probe has said."""
    from hatchlock.usecases.endpoints import endpoint_status

    found = endpoint_status(planned.state, record)
    if found is None:
        return server
    detail = "; ".join(filter(None, (found.sentence, server.detail)))
    return replace(server, endpoint=found, health=found.condition or server.health, detail=detail)


def _unused(project: Project) -> list[Environment]:
    import tomllib

    from hatchlock.usecases.locked import read_project_lock

    # private ones are always used, and a large lock takes seconds to read
    if "environments" not in tomllib.loads(project.manifest_text):
        return []
    lock = read_project_lock(project)
    used = {item.environment for item in lock.servers}
    return [item for item in lock.environments if item.name not in used and not item.makes]


def _environment(locked: Environment, syncs: Syncs) -> EnvironmentStatus:
    about = {f"{kind}:{locked.name}" for kind in ("system", "env", "image")}
    sync, detail, drift = syncs.of(lambda address: str(address) in about)
    return EnvironmentStatus(
        name=locked.name, runtime=locked.runtime, sync=sync, detail=detail, trust=locked.trust, drift=drift
    )


def _blocked(planned: Planned) -> set[str]:
    from hatchlock.address import ResourceKind

    return {item.address.name for item in planned.plan.problems if item.address.kind is ResourceKind.SERVER}


def _server(name: str, spec: ServerSpec | None, planned: Planned, syncs: Syncs, digest: str) -> ServerStatus:
    needed = _needed(spec)

    def is_about(address: Address) -> bool:
        return _is_of(address, name) or address in needed or planned.world.containers.server(address) == name

    sync, why, drift = syncs.of(is_about)
    if sync != "blocked" and spec is None:
        sync, why = "surplus", "not declared any more"
    health = _health(name, planned, digest, syncs.gone(lambda address: address in needed))
    return ServerStatus(
        name=name,
        runtime=spec.record.runtime if spec else "",
        sync=sync,
        health=health.state,
        detail=why or health.said,
        trust=spec.record.trust if spec else "",
        said=health.said,
        probed=health.probed,
        milliseconds=health.milliseconds,
        drift=drift,
    )


def _needed(spec: ServerSpec | None) -> frozenset[Address]:
    """Return everything that has to be as it should be before a server starts."""
    from hatchlock.resources.network import network_address, on_bridge

    if spec is None:
        return frozenset()
    bridge = (network_address(spec.record.project),) if on_bridge(spec.record) else ()
    return frozenset((*spec.depends_on, *bridge))


def _is_of(address: Address, name: str) -> bool:
    from hatchlock.address import ResourceKind

    own = address.kind in {ResourceKind.SERVER, ResourceKind.ENDPOINT, ResourceKind.CLIENT}
    return own and address.server == name


@dataclass(frozen=True, kw_only=True, slots=True)
class _Health:
    state: str
    said: str = ""
    probed: str = ""
    milliseconds: int = 0


def _health(name: str, planned: Planned, digest: str, gone: Address | None) -> _Health:
    """Return what the last probe of the active launch record said, unless something is gone that it cannot do without."""
    if digest and gone:
        return _Health(state="failed", said=f"it cannot start: {gone} is gone")
    probe = planned.state.last_probe(name)
    if probe is None or probe.get("launch") != (digest or None):
        return _Health(state="unknown")
    took = probe.get("milliseconds", 0)
    return _Health(
        state=str(probe["health"]),
        said=str(probe["said"]),
        probed=str(probe.get("at", "")),
        milliseconds=took if isinstance(took, int) else 0,
    )
