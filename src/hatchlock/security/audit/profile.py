"""Checks of what servers may do: what is declared, and what containers that exist really have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from hatchlock.launch import WORKSPACE, Sandbox, size_in_bytes
from hatchlock.security.audit.facts import ContainerFacts, Facts, ServerFacts
from hatchlock.security.audit.model import Check, Finding, Level, Outcome
from hatchlock.security.posture import shown
from hatchlock.security.sandbox import relaxed

__all__ = ["PROFILE"]

_ROOT = {"", "0", "root"}
_DRIFT = "remove it (`hatchlock gc`, or the engine's own command) and let it be made again"
_SHELLS = {"sh", "bash", "dash", "ash", "zsh"}
_LIMITS = ("memory", "swap", "cpus", "pids", "files", "log_size")
_WHOLE = {"unconfined", "disable"}
_RELAY = Sandbox(selinux="disable")
"""What stands beside a server has the default profile, but for a socket of ours that SELinux would keep from it."""
_OWN_NETWORKS = {"none", "container"}


def _about(
    facts: Facts,
    of_server: Callable[[ServerFacts], Iterable[Finding]],
    of_container: Callable[[ContainerFacts, Sandbox], Iterable[Finding]] = lambda _container, _declared: (),
) -> Outcome:
    """Look at every server, and at every container beside what its server declares."""
    findings = [finding for server in facts.here for finding in of_server(server)]
    for container in facts.containers:
        findings += of_container(container, _declared_for(container, facts))
    looked_at = (*(item.address for item in facts.here), *(item.address for item in facts.containers))
    containers = any(item.runtime == "container" for item in facts.servers)
    return Outcome(
        looked_at=looked_at,
        findings=tuple(findings),
        unknown=facts.engine_unknown if containers else "",
    )


_RUN_BY_OTHERS = "what it writes there may be run outside of its sandbox: hooks of git, tasks of editors, an application's list of servers (.mcp.json), this manifest; mount a directory below it, or look at changes"


def _declared_for(container: ContainerFacts, facts: Facts) -> Sandbox:
    server = facts.server(container.server)
    return _RELAY if container.role == "relay" else server.sandbox if server else Sandbox()


def _declared(server: ServerFacts, field: str, level: Level, what: str, hint: str = "") -> Finding:
    """A finding about a key of the sandbox, with the reason that the user gave."""
    reason = " ".join(server.sandbox.reason.split())
    return Finding(
        address=server.address,
        level=level,
        what=f"{what} (reason: {reason})" if reason else what,
        hint=hint,
        key=("servers", server.name, "sandbox", field.replace("_", "-")),
    )


def _drifted(container: ContainerFacts, what: str) -> Finding:
    return Finding(address=container.address, level="error", what=what, hint=_DRIFT)


def _is_root(user: str) -> bool:
    return user.partition(":")[0] in _ROOT


def _non_root(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        sandbox = server.sandbox
        if sandbox.run_as == "host" and facts.is_root:
            yield _declared(server, "run_as", "error", "it runs as the user who starts it, who is root")
        elif sandbox.run_as == "host":
            what = "it runs as the user who starts it, and may do with its mounts what that user may"
            yield _declared(server, "run_as", "note", what)
        elif _is_root(sandbox.user):
            yield _declared(server, "user", "error", f"it runs as root ({sandbox.user})", "leave `user` out")

    def of_container(container: ContainerFacts, _: Sandbox) -> Iterator[Finding]:
        if _is_root(container.user):
            yield _drifted(container, f"it runs as root (user {container.user or 'not set'})")

    return _about(facts, of_server, of_container)


def _init(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        words = server.command
        if words and words[0].rpartition("/")[2] in _SHELLS and "-c" in words[1:]:
            yield Finding(
                address=server.address,
                level="note",
                what="a shell stands between the init and the server: signals may not arrive",
                hint="name the program itself, or let the shell `exec` it",
                key=("servers", server.name, "command"),
            )
        if server.sandbox.stop_signal == "SIGKILL" or not server.sandbox.stop_grace:
            key = "stop_signal" if server.sandbox.stop_signal == "SIGKILL" else "stop_grace"
            yield _declared(server, key, "note", "it gets no chance to end by itself")

    def of_container(container: ContainerFacts, _: Sandbox) -> Iterator[Finding]:
        if not container.init:
            yield _drifted(container, "it has no init: processes that it leaves are never collected")

    return _about(facts, of_server, of_container)


def _read_only(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        if not server.sandbox.read_only:
            hint = "name the directories that it has to write to in `writable`"
            yield _declared(server, "read_only", "warning", "its root file system can be written to", hint)
        for path in server.sandbox.writable:
            yield _declared(server, "writable", "note", f"what it writes to {path} is kept")

    def of_container(container: ContainerFacts, declared: Sandbox) -> Iterator[Finding]:
        if declared.read_only and not container.read_only:
            yield _drifted(container, "its root file system can be written to, which is not declared")

    return _about(facts, of_server, of_container)


def _network(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        network = server.sandbox.network
        if network == ("none",):
            return
        if network == ("host",):
            what = "it has the machine's own network, services on loopback included"
            yield _declared(server, "network", "warning", what, "list the hosts that it needs")
        elif network == ("internet",):
            beside = (
                "the machine and its local network included" if server.runtime == "container" else "loopback included"
            )
            what = f"it reaches every host, {beside}"
            yield _declared(server, "network", "warning", what, "list the hosts that it needs")
        else:
            yield _declared(server, "network", "note", f"it reaches {', '.join(network)}, and nothing else")

    def of_container(container: ContainerFacts, declared: Sandbox) -> Iterator[Finding]:
        mode = container.network
        if mode == "host" and declared.network != ("host",):
            yield _drifted(container, "it has the machine's own network, which is not declared")
        elif mode not in {*_OWN_NETWORKS, "host"} and declared.network != ("internet",):
            yield _drifted(container, f"it has a network ({mode}), which is not declared")

    return _about(facts, of_server, of_container)


def _limits(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        sandbox, default = server.sandbox, Sandbox()
        for name in (name for name in relaxed(sandbox) if name in _LIMITS):
            key = name.replace("_", "-")
            what = f"{key} is {getattr(sandbox, name)}, by default {getattr(default, name)}"
            yield _declared(server, name, "note", what)
        if server.runtime == "process" and facts.process_limits:
            yield Finding(address=server.address, level="note", what=facts.process_limits)

    def of_container(container: ContainerFacts, declared: Sandbox) -> Iterator[Finding]:
        missing = [
            name
            for name, value in (
                ("memory", container.memory),
                ("processors", container.cpus),
                ("processes", container.pids),
            )
            if not value
        ]
        if missing:
            yield _drifted(container, f"it has no limit of {' and '.join(missing)}")
        if container.memory and container.swap < 0:
            yield _drifted(container, "it has no limit of swap")
        if container.memory > size_in_bytes(declared.memory):
            found = shown("memory", container.memory)
            yield _drifted(container, f"it may have {found} of memory, and {declared.memory} are declared")
        if container.pids > declared.pids:
            yield _drifted(container, f"it may have {container.pids} processes, and {declared.pids} are declared")

    return _about(facts, of_server, of_container)


def _limits_of_engine(facts: Facts) -> Outcome:
    found = _limits(facts)
    if facts.engine is None or facts.engine_unknown or not facts.engine.unbound:
        return found
    what = f"it takes limits of {', '.join(facts.engine.unbound)}, and does not enforce them"
    lacking = Finding(address="engine", level="warning", what=what, hint="`hatchlock doctor` says why")
    return replace(found, looked_at=(*found.looked_at, "engine"), findings=(*found.findings, lacking))


def _confinement(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        for name in ("seccomp", "apparmor", "selinux"):
            value = getattr(server.sandbox, name)
            if value in _WHOLE:
                yield _declared(server, name, "warning", f"{name} is off")
            elif value != "default":
                yield _declared(server, name, "note", f"{name} is {value} instead of the engine's own profile")

    def of_container(container: ContainerFacts, declared: Sandbox) -> Iterator[Finding]:
        for name in ("seccomp", "apparmor", "selinux"):
            value = getattr(container, name)
            if value in _WHOLE and value != getattr(declared, name):
                yield _drifted(container, f"{name} is off, which is not declared")

    found = _about(facts, of_server, of_container)
    engine = facts.engine
    if engine is None or not engine.address or engine.problem:
        return found
    lacking = (
        ()
        if "seccomp" in engine.security
        else (
            Finding(
                address="engine",
                level="warning",
                what="it filters no system calls: it has no seccomp",
                hint="`hatchlock doctor` says what else it lacks",
            ),
        )
    )
    return Outcome(looked_at=(*found.looked_at, "engine"), findings=(*found.findings, *lacking), unknown=found.unknown)


def _capabilities(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        if names := server.sandbox.capabilities:
            yield _declared(server, "capabilities", "warning", f"it has the capabilities {', '.join(names)}")

    def of_container(container: ContainerFacts, declared: Sandbox) -> Iterator[Finding]:
        if container.privileged:
            yield _drifted(container, "it is privileged: it may do to this machine what root may")
        allowed = {item.removeprefix("CAP_") for item in declared.capabilities}
        if more := sorted(set(container.capabilities) - allowed):
            yield _drifted(container, f"it has the capabilities {', '.join(more)}, which are not declared")
        if container.new_privileges:
            yield _drifted(container, "its programs can gain privileges by setuid")
        if container.shares:
            yield _drifted(container, f"it has {', '.join(container.shares)}")

    return _about(facts, of_server, of_container)


def _mounts(facts: Facts) -> Outcome:
    looked_at: list[str] = []
    findings: list[Finding] = []
    for server in facts.servers:
        if not server.sandbox.mounts:
            continue
        looked_at.append(server.address)
        for mount in server.sandbox.mounts:
            if why := server.refused_mounts.get(mount.target, ""):
                hint = "mount a directory that holds only what it works on"
                findings.append(_declared(server, "mounts", "error", f"it sees {mount.source}: {why}", hint))
            elif mount.mode == "rw":
                what = f"it may write to {mount.source}, at {mount.target}"
                hint = _RUN_BY_OTHERS if mount.source == WORKSPACE else ""
                findings.append(_declared(server, "mounts", "warning", what, hint))
            else:
                findings.append(_declared(server, "mounts", "note", f"it may read {mount.source}, at {mount.target}"))
    for container in facts.containers:
        looked_at.append(container.address)
        known = _declared_for(container, facts)
        declared = {*(item.target for item in known.mounts if item.mode == "rw"), *known.writable}
        findings += (
            _drifted(container, f"it may write to what is mounted at {path}, which is not declared")
            for path in container.writable
            if path not in declared
        )
    return Outcome(looked_at=tuple(looked_at), findings=tuple(findings))


def _temporary(facts: Facts) -> Outcome:
    def of_server(server: ServerFacts) -> Iterator[Finding]:
        if "tmp" in relaxed(server.sandbox):
            yield _declared(server, "tmp", "note", f"its /tmp may take {server.sandbox.tmp} of memory")
        if elsewhere := server.env.get("TMPDIR", ""):
            yield Finding(
                address=server.address,
                level="note",
                what=f"TMPDIR is {elsewhere}, not the /tmp that has a size",
                hint="leave TMPDIR out",
                key=("servers", server.name, "env", "TMPDIR"),
            )

    def of_container(container: ContainerFacts, _: Sandbox) -> Iterator[Finding]:
        if "/tmp" not in container.temporary:  # noqa: S108  inside of the container
            yield _drifted(container, "its /tmp has no size")

    return _about(facts, of_server, of_container)


def _isolation(facts: Facts) -> Outcome:
    processes = [item for item in facts.here if item.runtime == "process"]
    findings: list[Finding] = []
    for server in processes:
        key = ("servers", server.name, "isolation")
        if server.not_isolated:
            what = f"nothing isolates it on this machine: {server.not_isolated}"
            hint = 'mend that (`hatchlock doctor`), or use runtime = "container"'
            findings.append(Finding(address=server.address, level="error", what=what, hint=hint, key=key))
        elif server.isolation == "best-effort":
            what = "it is isolated here, and would run without that where it cannot be"
            findings.append(
                Finding(address=server.address, level="note", what=what, hint="leave `isolation` out", key=key)
            )
    return Outcome(looked_at=tuple(item.address for item in processes), findings=tuple(findings))


def _least_privilege(facts: Facts) -> Outcome:
    findings: list[Finding] = []
    for server in facts.here:
        names = [name.replace("_", "-") for name in relaxed(server.sandbox)]
        if not names:
            continue
        reason = " ".join(server.sandbox.reason.split())
        findings.append(
            Finding(
                address=server.address,
                level="note" if reason else "error",
                what=f"it has more than the default profile: {', '.join(names)}"
                + (f" (reason: {reason})" if reason else ", and no reason is given"),
                key=("servers", server.name, "sandbox"),
            )
        )
    return Outcome(looked_at=tuple(item.address for item in facts.here), findings=tuple(findings))


PROFILE = (
    Check(id="non-root", title="no server runs as root", points=("C2", "F1"), decide=_non_root),
    Check(id="init", title="servers have an init, and signals reach them", points=("F2",), decide=_init),
    Check(id="read-only", title="root file systems are read-only", points=("C5", "F9"), decide=_read_only),
    Check(id="network", title="servers have no network but what they need", points=("C6", "F7"), decide=_network),
    Check(id="limits", title="servers are limited", points=("C7", "F15"), decide=_limits_of_engine),
    Check(id="confinement", title="system calls are filtered", points=("F16",), decide=_confinement),
    Check(id="capabilities", title="servers have no capabilities", points=("F17",), decide=_capabilities),
    Check(id="mounts", title="servers see what they need of this machine", points=("F10",), decide=_mounts),
    Check(id="temporary", title="temporary files have a place with a size", points=("F11",), decide=_temporary),
    Check(id="isolation", title="processes are isolated", points=("C2", "C5", "C6", "C7", "F22"), decide=_isolation),
    Check(
        id="least-privilege",
        title="what is relaxed is declared, with a reason",
        points=("F22",),
        decide=_least_privilege,
    ),
)
