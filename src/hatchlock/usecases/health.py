"""How applied servers do, for `status`: who uses them now, what has happened, and what was denied. Nobody is asked or started."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.state.counts import NO_COUNTS, Counts, counts_path, read_counts
from hatchlock.state.keepers import not_ended
from hatchlock.state.sessions import RunningSession, has_ended, sessions

if TYPE_CHECKING:
    from hatchlock.security.denials import Denial
    from hatchlock.state.project import ProjectState

__all__ = ["NO_DOINGS", "Denied", "Doings", "SessionStatus", "doings", "sessions_now"]

_LIMITS = frozenset({"memory", "processes", "files", "space"})


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionStatus:
    """A session that runs.

    Attributes:
        server: The server's name.
        pid: Of the process that serves it.
        application: The name of the program that started that, as that says; "" where nobody can tell.
        application_pid: Its pid; 0 likewise.
        since: When it began, RFC 3339, UTC.
        generation: The newest generation that starts the server like that; 0 for none.
        is_current: Whether it would be started like that now.
    """

    server: str
    pid: int
    application: str
    application_pid: int
    since: str
    generation: int
    is_current: bool

    def __str__(self) -> str:
        who = f"{self.application} (process {self.application_pid})" if self.application_pid else "somebody"
        old = "" if self.is_current else f", as generation {self.generation or '?'} started it"
        return f"{who} since {self.since}{old}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Denied:
    """How many different things were stopped of a server's active launch record; of all together the last 20 are known.

    Attributes:
        destinations: Hosts that it may not reach.
        limits: Of its limits, how many it met.
        writes: Places that it may not write to.
        others: System calls and the like.
        authentication: Requests without the right token, and refusals of a remote server since nobody was logged in.
    """

    destinations: int = 0
    limits: int = 0
    writes: int = 0
    others: int = 0
    authentication: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """What there is of it, for people."""
        found = {
            "destination denied": self.destinations,
            "limit hit": self.limits,
            "write refused": self.writes,
            "other thing stopped": self.others,
            "failed authentication": self.authentication,
        }
        return tuple(f"{number} {_plural(what, number)}" for what, number in found.items() if number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Doings:
    """What an applied server does and did.

    Attributes:
        sessions: Those that run, by when they began.
        counts: How those went that ended, of its active launch record.
        denied: What was stopped.
    """

    sessions: tuple[SessionStatus, ...] = ()
    counts: Counts = NO_COUNTS
    denied: Denied = field(default_factory=Denied)


NO_DOINGS = Doings()
"""Of a server that is not applied."""


def sessions_now(state: ProjectState) -> Mapping[str, tuple[SessionStatus, ...]]:
    """Return the sessions of a project that run, by server; what keeps a server that stays is none."""
    active = state.active()
    kept = {keeper.run for keeper in not_ended(state.root).values()}
    generations: Mapping[str, int] | None = None
    found: dict[str, list[SessionStatus]] = {}
    for path, session in sessions(state.root):
        if has_ended(session) or session.pid in kept:
            continue
        generations = _generations(state) if generations is None else generations
        current = active.get(session.server) == session.launch
        found.setdefault(session.server, []).append(
            _session(path, session, generations.get(session.launch, 0), current=current)
        )
    return {name: tuple(sorted(items, key=lambda item: (item.since, item.pid))) for name, items in found.items()}


def doings(
    state: ProjectState, server: str, launch: str, running: tuple[SessionStatus, ...], denials: Iterable[Denial]
) -> Doings:
    """Return what an applied server does and did.

    Args:
        state: The project's state.
        server: The server's name.
        launch: The digest of its active launch record.
        running: Its sessions.
        denials: What its sandbox has stopped of that launch record.
    """
    counts = read_counts(counts_path(state.root, server), launch)
    kinds = [item.kind for item in denials]
    known = {"network", "write", *_LIMITS}
    denied = Denied(
        destinations=kinds.count("network"),
        limits=sum(kind in _LIMITS for kind in kinds),
        writes=kinds.count("write"),
        others=sum(kind not in known for kind in kinds),
        authentication=counts.unauthorized,
    )
    return Doings(sessions=running, counts=counts, denied=denied)


def _plural(what: str, number: int) -> str:
    if number == 1:
        return what
    head, _, tail = what.partition(" ")
    return (
        what if tail == "authentication" else f"{head}s {tail}" if tail != "thing stopped" else "other things stopped"
    )


def _generations(state: ProjectState) -> Mapping[str, int]:
    """Return digest of a launch record -> the newest generation that has it."""
    known, _ = state.generations.readable()  # `history` and `gc` tell of the others
    return {digest: item.number for item in known for digest in item.servers.values()}


def _session(path: Path, session: RunningSession, generation: int, *, current: bool) -> SessionStatus:
    name, pid = _application(session.pid)
    return SessionStatus(
        server=session.server,
        pid=session.pid,
        application=name,
        application_pid=pid,
        since=_since(path),
        generation=generation,
        is_current=current,
    )


def _since(path: Path) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(path.stat().st_mtime))
    except OSError:
        return ""  # it has just ended


def _application(pid: int) -> tuple[str, int]:
    """Return name and pid of the process that has started another one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        parent = int(fields[1])
        return Path(f"/proc/{parent}/comm").read_text(encoding="utf-8", errors="replace").strip(), parent
    except (OSError, ValueError, IndexError):
        return "", 0
