"""`status`: is each server what the lock says (sync), and does it answer (health)? Two questions, two columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hatchlock.usecases.plan import Planned, make_plan
from hatchlock.usecases.standing import Note, server_notes

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.lock.model import Environment
    from hatchlock.usecases.denials import Stopped
    from hatchlock.usecases.project import Project

__all__ = ["EnvironmentStatus", "ServerStatus", "Status", "project_status"]

_ABOUT_THE_MACHINE = ("not isolated", "not pinned")
"""How those notes of a plan begin that are not about the profile itself."""

Sync = Literal["synced", "out-of-sync", "blocked", "surplus"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerStatus:
    """One server.

    Attributes:
        name: Its name.
        runtime: "process" or "container".
        sync: Whether it and everything it needs is as the lock says.
        health: "healthy" or "failed" of the last probe, or "unknown" where nothing of this launch was probed yet.
        detail: Why it is not in sync, or what the last probe said; then what the MCP registry says of it, if that is not
            what it said when it was locked.
        trust: Its label; "" for none.
        sandbox: The profile that it is started under, in one line; "" where nobody can say.
        relaxations: What of that is more than the default, and why; what is not isolated or not pinned. One sentence each.
        stopped: What its sandbox has stopped since it was applied, the newest last.
        restart: Why those who use it should start it again; "" where nobody asked, or nothing has changed.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentStatus:
    """An environment that no server uses.

    Attributes:
        name: Its name.
        runtime: "process" or "container".
        sync: Whether it is as the lock says.
        detail: Why it is not in sync.
        trust: Its label; "" for none.
    """

    name: str
    runtime: str
    sync: Sync
    detail: str
    trust: str


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
    """

    project: str
    generation: int
    servers: tuple[ServerStatus, ...]
    interrupted: str
    environments: tuple[EnvironmentStatus, ...] = ()
    notes: tuple[Note, ...] = ()


def project_status(project: Project, *, offline: bool = False, check_secrets: bool = False) -> Status:
    """Return how a project stands on this machine. Reads only.

    Args:
        project: Which.
        offline: Do not ask what the MCP registry says of its servers now.
        check_secrets: Look up the secrets of servers that run, to see whether they have changed.

    Raises:
        HatchlockError: What planning raises.
    """
    planned = make_plan(project, purpose="status")
    active = planned.state.active()
    names = sorted({spec.record.server for spec in planned.target.servers} | set(active) | _blocked(planned))
    left = planned.interrupted
    notes = {note.address: note.what for note in server_notes(project, planned.target.listed, offline=offline)}
    restarts = _restarts(project, planned) if check_secrets else {}
    servers = (
        replace(_with_sandbox(_server(name, planned), planned, active.get(name, "")), restart=restarts.get(name, ""))
        for name in names
    )
    return Status(
        project=planned.target.project,
        generation=planned.state.current(),
        servers=tuple(_with_note(server, notes.get(f"server:{server.name}", "")) for server in servers),
        interrupted=left.told if left else "",
        environments=tuple(_environment(item, planned) for item in _unused(project)),
        notes=planned.notes,
    )


def _restarts(project: Project, planned: Planned) -> dict[str, str]:
    from hatchlock.usecases.secrets import changed_secrets

    return changed_secrets(project.home, planned.target.project, project.environ)


def _with_note(server: ServerStatus, note: str) -> ServerStatus:
    return replace(server, detail="; ".join(filter(None, (server.detail, note)))) if note else server


def _with_sandbox(server: ServerStatus, planned: Planned, digest: str) -> ServerStatus:
    """Add what `run` would start it under now: what was applied; before that, what is declared."""
    from hatchlock.engines.cgroups import bound_here
    from hatchlock.security.sandbox import profile_line, relaxations
    from hatchlock.usecases.denials import stopped

    spec = next((item for item in planned.target.servers if item.record.server == server.name), None)
    record = (planned.state.record(digest) if digest else None) or (spec.record if spec else None)
    if record is None:
        return server
    notes = [note for note in (spec.notes if spec else ()) if note.startswith(_ABOUT_THE_MACHINE)]
    return replace(
        server,
        sandbox=profile_line(record.sandbox, runtime=record.runtime, together=bound_here()),
        relaxations=(*relaxations(record.sandbox, runtime=record.runtime), *notes),
        stopped=stopped(planned.state.root, record) if digest else (),
    )


def _unused(project: Project) -> list[Environment]:
    from hatchlock.usecases.inspect import read_project_lock

    lock = read_project_lock(project)
    used = {item.environment for item in lock.servers}
    return [item for item in lock.environments if item.name not in used and not item.makes]


def _environment(locked: Environment, planned: Planned) -> EnvironmentStatus:
    about = {f"{kind}:{locked.name}" for kind in ("system", "env", "image")}
    problems = [item.what for item in planned.plan.problems if str(item.address) in about]
    steps = [f"{step.address} {step.cause}" for step in planned.plan.steps if str(step.address) in about]
    sync: Sync = "blocked" if problems else "out-of-sync" if steps else "synced"
    detail = "; ".join(problems or steps)
    return EnvironmentStatus(name=locked.name, runtime=locked.runtime, sync=sync, detail=detail, trust=locked.trust)


def _blocked(planned: Planned) -> set[str]:
    from hatchlock.address import ResourceKind

    return {item.address.name for item in planned.plan.problems if item.address.kind is ResourceKind.SERVER}


def _server(name: str, planned: Planned) -> ServerStatus:
    spec = next((item for item in planned.target.servers if item.record.server == name), None)
    needed = spec.depends_on if spec else ()
    problem = next(
        (item for item in planned.plan.problems if _is_about(item.address, name) or item.address in needed), None
    )
    steps = [
        step
        for step in planned.plan.steps
        if _is_about(step.address, name)
        or step.address in needed
        or planned.world.containers.server(step.address) == name
    ]
    health, said = _health(name, planned)
    runtime, trust = (spec.record.runtime, spec.record.trust) if spec else ("", "")
    if problem:
        return ServerStatus(name=name, runtime=runtime, sync="blocked", health=health, detail=problem.what, trust=trust)
    if spec is None:
        return ServerStatus(name=name, runtime="", sync="surplus", health=health, detail="not declared any more")
    if steps:
        detail = "; ".join(f"{step.address} {step.cause}" for step in steps)
        return ServerStatus(name=name, runtime=runtime, sync="out-of-sync", health=health, detail=detail, trust=trust)
    return ServerStatus(name=name, runtime=runtime, sync="synced", health=health, detail=said, trust=trust)


def _is_about(address: Address, name: str) -> bool:
    return address.name.rpartition("/")[2] == name


def _health(name: str, planned: Planned) -> tuple[str, str]:
    """Return what the last probe of the active launch record said."""
    probe = planned.state.last_probe(name)
    if probe is None or probe.get("launch") != planned.state.active().get(name):
        return "unknown", ""
    return str(probe["health"]), str(probe["said"])
