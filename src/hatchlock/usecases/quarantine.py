"""`quarantine`: a server is cut off and stopped at once, what can be known of it is kept, and nobody starts it again.

It needs the store alone: no manifest, no lock. First comes the marker, after which nothing new is started. Then everything of
the server is frozen where it stands, looked at, and killed.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.state.quarantine import Quarantine, begin_quarantine, quarantine_of, quarantined, release
from hatchlock.usecases.audit_trail import doing
from hatchlock.usecases.run import BrokenState, NoSuchServer, applied_servers, find_record

if TYPE_CHECKING:
    from hatchlock.engines.api import Container, Engine
    from hatchlock.engines.cutting import Seen
    from hatchlock.engines.trees import Found
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home

__all__ = ["Cut", "NotInQuarantine", "put_into_quarantine", "quarantines", "release_server"]

_END_SECONDS = 10.0
_PAUSE = 0.05
_KNOWN = ("denials", "counts", "surfaces", "probes")
"""What the state knows of a server, a directory each."""


@dataclass(kw_only=True, eq=False)
class NotInQuarantine(HatchlockError):
    """A server was to be released that is in no quarantine."""

    code: ClassVar[str] = "not-in-quarantine"

    server: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = f"in quarantine: {', '.join(self.known)}" if self.known else "no server of the project is"
        return f"{self.server} is not in quarantine; {known}"

    def _hint(self) -> str:
        return "`hatchlock quarantine` lists those that are"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """What became of a server.

    Attributes:
        quarantine: How it is marked now.
        sessions: Pids of the processes that served it, and were killed.
        processes: How many processes of the server's own were killed with them.
        containers: Names of its containers, which were removed.
        undone: What could not be done, as sentences; then something of it may still run.
    """

    quarantine: Quarantine
    sessions: tuple[int, ...] = ()
    processes: int = 0
    containers: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()


@dataclass(slots=True)
class _Report:
    """What is written down of one quarantine."""

    processes: list[dict[str, Any]] = field(default_factory=list)
    containers: list[Seen] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)


def quarantines(home: Home, project: str) -> Mapping[str, Quarantine]:
    """Return the servers of a project that are in quarantine, by name."""
    return quarantined(home.project(project))


def put_into_quarantine(home: Home, project: str, name: str, *, reason: str = "") -> Cut:
    """Cut a server off, stop everything of it, keep what can be known of it, and have it refused from now on.

    For a server that is in quarantine already the same is done again: something may have been out of reach.

    Args:
        home: The store.
        project: The project's name.
        name: The server.
        reason: Why, for people.

    Raises:
        NoSuchProject, NoSuchServer: It was not applied, and nothing of it is known to run.
        AuditNotWritten, PermissionProblem: It cannot be written down; nothing was done.
    """
    root, reason = home.project(project), " ".join(reason.split())  # it stands in tables, and in lines of errors
    _check_name(home, project, name)
    with doing(home.root, "quarantine", project=project, server=name, reason=reason) as told:
        known = quarantine_of(root, name)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        kept = root / "quarantine" / name / at.replace(":", "-")
        began = known if known and known.at else Quarantine(server=name, at=at, by=_by())
        record, report = _record(home, project, name), _Report()
        is_stopped = began.stopped or _stop_for_good(root, record)
        marked = replace(began, reason=reason or began.reason, kept=str(kept), stopped=is_stopped)
        begin_quarantine(root, marked)
        if record is None:
            report.undone.append("how it is started cannot be read, so nobody has looked for containers of it")
        frozen = _stopped(home, root, name, record, report)
        _keep(root, kept, marked, record, report)
        names = tuple(sorted(seen.name for seen in report.containers))
        pids, others = tuple(sorted(frozen.leaders)), len(frozen.others)
        told |= {"sessions": len(pids), "processes": others, "containers": len(names), "undone": report.undone}
    return Cut(quarantine=marked, sessions=pids, processes=others, containers=names, undone=tuple(report.undone))


def release_server(home: Home, project: str, name: str) -> Quarantine:
    """Let a server be started again, and return the quarantine that it was in. What was kept of it stays.

    Raises:
        NotInQuarantine: It is in none.
        AuditNotWritten: It cannot be written down; nothing was done.
    """
    from hatchlock.state.keepers import forget_stop

    root = home.project(project)
    found = quarantine_of(root, name)
    if found is None:
        raise NotInQuarantine(address=f"server:{name}", server=name, known=tuple(quarantined(root)))
    with doing(home.root, "quarantine.release", project=project, server=name):
        if found.stopped:
            forget_stop(root, name)
        release(root, name)
    return found


def _check_name(home: Home, project: str, name: str) -> None:
    """Take every server that is applied, runs, or is in quarantine; a damaged state must not save one."""
    from hatchlock.state.sessions import running

    root = home.project(project)
    known = {session.server for session in running(root)} | set(quarantined(root))
    with contextlib.suppress(BrokenState):
        known |= set(applied_servers(home, project))
    if name not in known:
        raise NoSuchServer(project=project, server=name, known=tuple(sorted(known)))


def _by() -> str:
    import os

    from hatchlock.state.auditlog import who

    found = who()
    return f"{found['user'] or found['uid']}@{os.uname().nodename}"


def _record(home: Home, project: str, name: str) -> LaunchRecord | None:
    """Return how a server is started; where the state does not say it any more, how one that runs was started."""
    from hatchlock.state.project import ProjectState
    from hatchlock.state.sessions import running

    try:
        return find_record(home, project, name)
    except HatchlockError:
        state = ProjectState(home.project(project), forgiving=True)
        found = (state.record(session.launch) for session in running(state.root) if session.server == name)
        return next(filter(None, found), None)


def _stop_for_good(root: Path, record: LaunchRecord | None) -> bool:
    """Have a server that stays counted as stopped by hand, so that no apply starts it; return whether it was not before."""
    from hatchlock.state.keepers import remember_stop, stopped_by_hand

    if record is None or record.endpoint is None or record.server in stopped_by_hand(root):
        return False
    remember_stop(root, record.server)
    return True


def _stopped(home: Home, root: Path, name: str, record: LaunchRecord | None, report: _Report) -> _Frozen:
    """Freeze everything of a server, look at it, and end it.

    A container is looked at before those are killed who serve it: their watchdogs would remove it.
    """
    from hatchlock.engines.api import Engine

    engine = Engine(record.engine) if record and record.runtime == "container" else None
    frozen = _freeze(root, name, report)
    with _saying(report):
        if engine and record:
            _cut_off(engine, home, record, report)
    if frozen.leaders:
        report.processes.append(_seen(frozen, record))
    _kill(frozen, report)
    with _saying(report):
        if engine and record:
            _remove(engine, home, record, report)
    return frozen


@contextlib.contextmanager
def _saying(report: _Report) -> Iterator[None]:
    """Go on without an engine that does not answer: what can be stopped without it is stopped."""
    try:
        yield
    except HatchlockError as error:
        what = f"{error}; its containers may still run, the same command tries again"
        if what not in report.undone:
            report.undone.append(what)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frozen:
    """Processes that stand still.

    Attributes:
        leaders: Those that serve the server, or keep it.
        others: What they have started.
    """

    leaders: Mapping[int, Found]
    others: Mapping[int, Found]


def _freeze(root: Path, name: str, report: _Report) -> _Frozen:
    from hatchlock.engines.trees import children_of, freeze, names_of
    from hatchlock.state.keepers import keeper_of
    from hatchlock.state.sessions import running

    owners = {session.pid: session.owner for session in running(root) if session.server == name}
    if keeper := keeper_of(root, name):
        owners[keeper.pid] = keeper.owner
    here = {pid for pid, owner in owners.items() if _is_here(pid, owner)}
    if keeper and keeper.pid in here and keeper.run in children_of({keeper.pid}):
        # what serves a server of stdio over HTTP is no session, and no watchdog would end it
        here.add(keeper.run)
    report.undone += [f"process {pid} is not of this machine or container" for pid in sorted(owners.keys() - here)]
    return _Frozen(leaders=names_of(here), others=freeze(here))


def _is_here(pid: int, owner: str) -> bool:
    from hatchlock.process import owner as owner_of

    return not owner or owner_of(pid) == owner


def _seen(frozen: _Frozen, record: LaunchRecord | None) -> dict[str, Any]:
    from hatchlock.engines.trees import roots_of, written_below

    places = _places(record) if record and record.runtime == "process" else ()
    # what it keeps is the same in each of its sandboxes
    written = dict.fromkeys(item for root in roots_of(frozen.others) for item in written_below(root, places))
    return {
        "leaders": [asdict(item) for item in frozen.leaders.values()],
        "others": [asdict(item) for item in frozen.others.values()],
        "written": [asdict(item) for item in written],
    }


def _kill(frozen: _Frozen, report: _Report) -> None:
    """Kill who serves, whose watchdogs end the rest; and that itself, where they do not."""
    from hatchlock.engines.trees import are_gone, kill

    kill(frozen.leaders.values())
    left = are_gone((*frozen.leaders.values(), *frozen.others.values()), patience=_END_SECONDS)
    kill(left)
    stubborn = are_gone(left, patience=_END_SECONDS)
    report.undone += [f"process {item.pid} ({item.command}) does not end" for item in stubborn]


def _places(record: LaunchRecord) -> tuple[str, ...]:
    """Return where a server may write: its memory, and what it keeps."""
    from hatchlock.launch import HOME_INSIDE

    return ("/tmp", "/var/tmp", "/dev/shm", HOME_INSIDE, *record.sandbox.writable)  # noqa: S108  inside of a sandbox


def _cut_off(engine: Engine, home: Home, record: LaunchRecord, report: _Report) -> None:
    """Freeze all containers of a server, take them off their networks, and look into each."""
    from hatchlock.engines.api import EngineError
    from hatchlock.engines.cutting import cut_off, look_into

    networks: dict[str, tuple[str, ...]] = {}
    containers = _containers(engine, home, record)
    for item in containers:
        try:
            networks[item.id] = cut_off(engine, item)
        except EngineError as error:
            report.undone.append(f"the container {item.name} cannot be frozen: {error}")
    for item in containers:
        report.containers.append(look_into(engine, item, networks.get(item.id, ()), _places(record)))


def _remove(engine: Engine, home: Home, record: LaunchRecord, report: _Report) -> None:
    """Remove all containers of a server, and wait until they are gone: their watchdogs may be at it as well."""
    from hatchlock.engines.api import EngineError

    deadline = time.monotonic() + _END_SECONDS
    while containers := _containers(engine, home, record):
        problems = []
        for item in containers:
            try:
                engine.remove(item.id)
            except EngineError as error:
                problems.append(f"the container {item.name} cannot be removed: {error}")
        if time.monotonic() >= deadline:
            report.undone += problems or [f"the container {item.name} is still there" for item in containers]
            return
        time.sleep(_PAUSE)


def _containers(engine: Engine, home: Home, record: LaunchRecord) -> list[Container]:
    """Return a server's containers of this store, what its network needs first."""
    from hatchlock.paths import store_mark
    from hatchlock.security.container import LABEL
    from hatchlock.serve.container import is_of_store

    found = engine.list({f"{LABEL}.project": record.project, f"{LABEL}.server": record.server})
    mark = store_mark(home.root)
    own = [item for item in found if is_of_store(item, mark)]
    return sorted(own, key=lambda item: (not item.name.endswith("-relay"), item.name))


def _keep(root: Path, kept: Path, marked: Quarantine, record: LaunchRecord | None, report: _Report) -> None:
    """Write down what is known of a server, beside its marker; what cannot be written is said, and no reason to stop."""
    from hatchlock.digest import canonical_json
    from hatchlock.errors import PermissionProblem
    from hatchlock.files import atomic_write, private_directory

    document = {
        "format_version": 1,
        **asdict(marked),
        "launch": record.digest if record else "",
        "processes": report.processes,
        "containers": [asdict(item) for item in report.containers],
        "undone": report.undone,
    }
    try:
        private_directory(kept)
        for path in (*sorted(root.glob(f"logs/{marked.server}.*")), *_known(root, marked.server)):
            target = kept / (path.name if path.parent.name == "logs" else f"{path.parent.name}.json")
            with contextlib.suppress(FileNotFoundError):  # a log that another session has just put aside
                shutil.copyfile(path, target)
                target.chmod(0o600)
        if record:
            atomic_write(kept / "launch.json", record.to_json())
        atomic_write(kept / "report.json", canonical_json(document))
    except (OSError, PermissionProblem) as error:
        report.undone.append(f"not everything is kept in {kept}: {error}")


def _known(root: Path, name: str) -> list[Path]:
    paths = (root / kind / f"{name}.json" for kind in _KNOWN)
    return [path for path in paths if path.is_file()]
