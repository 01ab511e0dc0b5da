"""Checks of this machine: who can change what is run, whether it is what was declared, what is left over."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from urllib.parse import urlsplit

from hatchlock.security.audit.facts import EngineFacts, Facts, LogFacts, PathFacts
from hatchlock.security.audit.model import Check, Finding, Level, Outcome

__all__ = ["UPKEEP"]

_SHOWN = 5
_OTHERS_WRITE = stat.S_IWOTH
_GROUP_WRITES = stat.S_IWGRP
_ANYBODY = 0o077
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def _private(facts: Facts) -> Outcome:
    findings = [finding for path in facts.paths for finding in _of_path(path)]
    return Outcome(looked_at=tuple(dict.fromkeys(map(_place, facts.paths))), findings=tuple(findings))


def _place(path: PathFacts) -> str:
    return {"store": "store", "inside": "store", "secret": "store", "project": "project", "client": "client"}[path.role]


def _of_path(path: PathFacts) -> Iterator[Finding]:
    ours = path.role in {"store", "inside", "secret"}
    if not path.mine and path.role != "client":
        what = f"{path.path} belongs to another user, who can change what is run"
        yield Finding(
            address=_place(path), level="error", what=what, hint=f"chown it, and look at what is in it: {path.path}"
        )
    elif path.mode & _OTHERS_WRITE:
        what = f"{path.path} can be written to by every user (mode {path.mode:04o}), and with it what is run"
        yield Finding(address=_place(path), level="error", what=what, hint=f"chmod o-w {path.path}")
    elif path.mode & _GROUP_WRITES:
        what = f"{path.path} can be written to by a group (mode {path.mode:04o})"
        yield Finding(address=_place(path), level="error" if ours else "note", what=what, hint=f"chmod g-w {path.path}")
    elif path.role == "secret" and path.mode & _ANYBODY:
        what = f"{path.path} holds secrets, and can be read by others (mode {path.mode:04o})"
        yield Finding(address="store", level="error", what=what, hint=f"chmod 0600 {path.path}, and change the secrets")
    elif path.role == "store" and path.mode & _ANYBODY:
        what = f"{path.path} is open to others (mode {path.mode:04o}): logs and state can be read"
        yield Finding(address="store", level="error", what=what, hint=f"chmod 0700 {path.path}")


def _engine(facts: Facts) -> Outcome:
    engine = facts.engine
    if engine is None:
        return Outcome()
    if not engine.address:
        return Outcome(unknown=engine.problem)
    return Outcome(looked_at=("engine",), findings=tuple(_of_engine(engine)), unknown=engine.problem)


def _of_engine(engine: EngineFacts) -> Iterator[Finding]:
    parts = urlsplit(engine.address)
    if parts.scheme == "tcp" and not engine.tls:
        level: Level = "warning" if parts.hostname in _LOCAL else "error"
        what = f"{engine.address} is spoken to without TLS: whoever reaches it is root on its machine"
        hint = "use TLS (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH), ssh:// or a socket"
        yield Finding(address="engine", level=level, what=what, hint=hint)
    elif engine.socket_mode is not None and engine.socket_mode & _OTHERS_WRITE:
        what = f"every user may use the engine's socket (mode {engine.socket_mode:04o}), and be root by it"
        yield Finding(address="engine", level="error", what=what, hint="chmod 0660, with a group of its own")
    elif "rootless" not in engine.security:
        what = "whoever may use this engine is, mostly, root on its machine"
        yield Finding(address="engine", level="note", what=what, hint="a rootless engine takes that away")


def _as_declared(facts: Facts) -> Outcome:
    findings = tuple(
        Finding(address=item.address, level="error" if item.blocks else "warning", what=item.what, hint=item.hint)
        for item in facts.plan
    )
    looked_at = (*(item.address for item in facts.servers), *(item.address for item in facts.plan))
    return Outcome(
        looked_at=() if facts.plan_unknown else tuple(dict.fromkeys(looked_at)),
        findings=findings,
        unknown=facts.plan_unknown,
    )


def _undamaged(facts: Facts) -> Outcome:
    findings = tuple(
        Finding(address=item.address, level="error", what=item.what, hint=item.hint or "hatchlock apply mends it")
        for item in facts.damages
    )
    unknown = "; ".join(f"{item.address}: {item.what}" for item in facts.uncompared)
    not_whole = {item.address for item in facts.uncompared} - {item.address for item in facts.damages}
    looked_at = tuple(address for address in facts.environments if address not in not_whole)
    return Outcome(looked_at=looked_at, findings=findings, unknown=unknown)


def _orphans(facts: Facts) -> Outcome:
    findings = []
    for container in facts.containers:
        if container.owner_gone:
            what = "the session that made it runs no more"
            hint = "the next `hatchlock run` of its server removes it, and so does `hatchlock gc`"
            findings.append(Finding(address=container.address, level="warning", what=what, hint=hint))
        elif facts.server(container.server) is None:
            what = f"it has our labels, and {container.server or 'its server'} is no server of this project"
            hint = f"look at it: the engine's `inspect {container.name}`"
            findings.append(Finding(address=container.address, level="warning", what=what, hint=hint))
    containers = any(item.runtime == "container" for item in facts.servers)
    return Outcome(
        looked_at=tuple(item.address for item in facts.containers),
        findings=tuple(findings),
        unknown=facts.engine_unknown if containers else "",
    )


def _unused(facts: Facts) -> Outcome:
    findings = []
    if facts.garbage:
        shown = ", ".join(facts.garbage[:_SHOWN]) + (" …" if len(facts.garbage) > _SHOWN else "")
        what = f"nobody uses {len(facts.garbage)} things that are there: {shown}"
        findings.append(Finding(address="store", level="note", what=what, hint="hatchlock gc --dry-run"))
    return Outcome(
        looked_at=() if facts.garbage_unknown else ("store",),
        findings=tuple(findings),
        unknown=facts.garbage_unknown,
    )


def _trust(facts: Facts) -> Outcome:
    labelled = [item for item in facts.servers if item.trust]
    findings = []
    for environment in sorted({item.environment for item in labelled if item.environment}):
        labels = {item.trust or "none" for item in facts.servers if item.environment == environment}
        if len(labels) > 1:
            what = f"servers of different trust share it: {', '.join(sorted(labels))}"
            hint = "give each its own environment"
            findings.append(
                Finding(
                    address=f"env:{environment}",
                    level="warning",
                    what=what,
                    hint=hint,
                    key=("environments", environment),
                )
            )
    looked_at = (*(item.address for item in labelled), *(item.address for item in findings))
    return Outcome(looked_at=looked_at, findings=tuple(findings))


def _log(facts: Facts) -> Outcome:
    if facts.log is None:
        return Outcome(unknown="nothing was written down yet: the first lock, plan or apply begins the audit log")
    return Outcome(looked_at=("store",), findings=tuple(_of_log(facts.log)))


def _of_log(log: LogFacts) -> Iterator[Finding]:
    if log.problem:
        what = f"the audit log {log.path} {log.problem}: nothing can be applied, and sessions leave no trace"
        yield Finding(address="store", level="error", what=what, hint=f"look at its owner and its disk: {log.path}")
    if not log.mine or log.mode & _ANYBODY:
        what = f"the audit log {log.path} is open to others (mode {log.mode:04o}), who could read or change it"
        yield Finding(
            address="store", level="error", what=what, hint=f"chown it to yourself, and chmod 0600 {log.path}"
        )
    if log.broken:
        what = f"the audit log {log.path} was edited, or something of it was removed, first before {log.broken[0]}"
        yield Finding(address="store", level="warning", what=what, hint="see `hatchlock logs --audit --verify`")
    if log.damaged:
        what = f"{log.damaged} lines of the audit log {log.path} cannot be read: a disk was full, or somebody has edited it"
        yield Finding(address="store", level="warning", what=what, hint=f"look at them, and keep a copy: {log.path}")


UPKEEP = (
    Check(
        id="private-store",
        title="nobody else can change what is run",
        points=("H11", "H32"),
        decide=_private,
    ),
    Check(id="engine-access", title="the container engine is not open to everybody", points=("H5",), decide=_engine),
    Check(
        id="as-declared",
        title="what is here is what the lock says",
        points=("H24", "H25", "H27"),
        decide=_as_declared,
    ),
    Check(id="undamaged", title="environments are what was installed", points=("H3", "H14", "H27"), decide=_undamaged),
    Check(id="orphans", title="no container is left over", points=("F2", "F21"), decide=_orphans),
    Check(id="unused", title="what nobody uses any more", points=("F14", "H13", "H30"), decide=_unused),
    Check(id="trust", title="what is trusted differently is kept apart", points=("H28",), decide=_trust),
    Check(id="audit-log", title="what happens is logged for audits", points=("C8", "F18", "H23"), decide=_log),
)
