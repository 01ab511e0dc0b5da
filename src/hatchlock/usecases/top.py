"""`top`: what the servers of a project take that run now, whoever uses them."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hatchlock.errors import UsageError
from hatchlock.usecases.run import NoSuchServer, applied_servers

if TYPE_CHECKING:
    from hatchlock.engines.usage import Usage
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.state.project import ProjectState

__all__ = ["Running", "running_servers"]

_INTERVAL = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A server that runs, once for each session of it.

    Attributes:
        server: Its name.
        kind: "kept": it stays; "session": an application has started it.
        pid: Of the process that serves it.
        application: The name of the program that started that, as it says; "" for a kept one.
        since: When it began, RFC 3339, UTC.
        seconds: How long that is ago.
        cpu: Processors that it has used just now, all of its processes together: 1.0 is one of them.
        cpu_seconds: Of processors, that it has had.
        memory: Bytes that it has.
        processes: How many there are.
        runner_memory: Bytes that what serves it has, without the server.
        sessions: Of a kept one, how many applications use it through `run`.
    """

    server: str
    kind: Literal["kept", "session"]
    pid: int
    application: str
    since: str
    seconds: float
    cpu: float
    cpu_seconds: float
    memory: int
    processes: int
    runner_memory: int
    sessions: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    server: str
    kind: Literal["kept", "session"]
    pid: int
    application: str
    since: str
    record: LaunchRecord | None


def running_servers(
    home: Home, project: str, names: Collection[str] = (), *, interval: float = _INTERVAL, calmly: bool = False
) -> tuple[Running, ...]:
    """Return what the servers of a project take that run now, sorted by name. Takes as long as `interval`.

    Args:
        home: The store.
        project: The project's name.
        names: Which servers; none for all.
        interval: Seconds over which processors are measured.
        calmly: Take as long where no server runs, too.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: It was not applied.
        UsageError: This system does not show processes to others.
        EngineUnreachable: An engine does not answer in which one runs.
    """
    from hatchlock.state.project import ProjectState

    if sys.platform != "linux":
        raise UsageError(what="top reads /proc, which only Linux has", advice="see `hatchlock status`")
    known = applied_servers(home, project)
    if unknown := sorted(set(names) - set(known)):
        raise NoSuchServer(project=project, server=unknown[0], known=tuple(sorted(known)))
    state = ProjectState(home.project(project), forgiving=True)
    found = [item for item in _found(state) if not names or item.server in names]
    if not found and not calmly:
        return ()
    before = [_usage(item, project)[0] for item in found]
    time.sleep(interval)
    uses: dict[str, int] = {}
    for item in found:
        if item.kind == "session":
            uses[item.server] = uses.get(item.server, 0) + 1
    return tuple(_running(item, then, project, interval, uses) for item, then in zip(found, before, strict=True))


def _found(state: ProjectState) -> Iterator[_Found]:
    from hatchlock.state.keepers import keepers
    from hatchlock.usecases.health import sessions_now

    kept, used = keepers(state.root), sessions_now(state)
    digests = {item.server: item.launch for item in kept.values()} | dict(state.active())
    for server in sorted({*kept, *used}):
        record = state.record(digests.get(server, ""))
        if (keeper := kept.get(server)) and keeper.run:
            yield _Found(server=server, kind="kept", pid=keeper.run, application="", since=keeper.began, record=record)
        for item in used.get(server, ()):
            yield _Found(
                server=server,
                kind="session",
                pid=item.pid,
                application=item.application,
                since=item.since,
                record=record,
            )


def _running(item: _Found, before: Usage, project: str, interval: float, uses: Mapping[str, int]) -> Running:
    now, runner = _usage(item, project)
    return Running(
        server=item.server,
        kind=item.kind,
        pid=item.pid,
        application=item.application,
        since=item.since,
        seconds=_seconds(item.since),
        cpu=round(max(now.cpu - before.cpu, 0.0) / interval, 3) if interval else 0.0,
        cpu_seconds=round(now.cpu, 2),
        memory=now.memory,
        processes=now.processes,
        runner_memory=runner.memory,
        sessions=uses.get(item.server, 0) if item.kind == "kept" else 0,
    )


def _usage(item: _Found, project: str) -> tuple[Usage, Usage]:
    """Return what a server takes, and what serves it."""
    from hatchlock.engines.trees import children_of
    from hatchlock.engines.usage import process_usage

    below = children_of({item.pid})
    # its watchdog and the like are forks of it
    own = _command_line(item.pid)
    forks = {pid for pid in below if _command_line(pid) == own}
    runner = process_usage({item.pid, *forks})
    record = item.record
    if record and record.runtime == "container" and not (item.kind == "session" and record.speaks_http):
        return _container_usage(record, item.pid, project), runner
    return process_usage(below.keys() - forks), runner


def _container_usage(record: LaunchRecord, pid: int, project: str) -> Usage:
    from hatchlock.engines.api import Engine
    from hatchlock.engines.usage import NOTHING, container_usage
    from hatchlock.process import owner
    from hatchlock.security.container import LABEL

    engine = Engine(record.engine)
    wanted = {f"{LABEL}.project": project, f"{LABEL}.server": record.server, f"{LABEL}.owner": owner(pid)}
    own = [item for item in engine.list(wanted) if f"{LABEL}.role" not in item.labels]
    return container_usage(engine, own[0].id) if own else NOTHING


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _seconds(since: str) -> float:
    from datetime import UTC, datetime

    try:
        began = datetime.fromisoformat(since)
    except ValueError:
        return 0.0
    return round(max((datetime.now(UTC) - began).total_seconds(), 0.0), 1)
