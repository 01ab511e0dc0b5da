"""`start`, `stop`, `restart`: servers that stay, by hand. What is stopped so stays so until it is started so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hatchlock.errors import HatchlockError
from hatchlock.state.quarantine import check_quarantine
from hatchlock.usecases.audit_trail import note
from hatchlock.usecases.keep import NotKept
from hatchlock.usecases.run import find_record

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.state.keepers import Keeper

__all__ = ["Changed", "NothingStays", "restart", "start", "stop"]

_AT_ONCE = 4


@dataclass(kw_only=True, eq=False)
class NothingStays(HatchlockError):
    """A project has no server that stays."""

    code: ClassVar[str] = "nothing-stays"

    project: str

    def __str__(self) -> str:
        return f"the project {self.project} has no server that stays: applications start and end all of them"

    def _hint(self) -> str:
        return 'a server with transport = "http" or serve = "http" stays'


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """What became of a server.

    Attributes:
        server: Its name.
        did: "started", "stopped", "restarted", or "nothing" where it was so already.
        url: Where it is reached.
        pid: Of its keeper; 0 for none.
    """

    server: str
    did: Literal["started", "stopped", "restarted", "nothing"]
    url: str
    pid: int = 0


def start(home: Home, project: str, names: Sequence[str], environ: Mapping[str, str]) -> tuple[Changed, ...]:
    """Have servers kept, by their active launch records, and forget that they were stopped by hand.

    Args:
        home: The store.
        project: The project's name.
        names: Which; none for all that stay.
        environ: What their secrets are taken from.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: One was not applied; nothing was done.
        NotKept, NothingStays: One speaks stdio, or all do; nothing was done.
        KeeperMissing, KeeperElsewhere, KeeperStays, ProcessFailed: One could not be started.
    """
    return _each(_records(home, project, names), lambda record: _started(home, record, environ))


def stop(home: Home, project: str, names: Sequence[str]) -> tuple[Changed, ...]:
    """End servers, and remember that somebody wants it so: neither `apply` nor `run` starts them.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState, NotKept, NothingStays: As for `start`.
        KeeperElsewhere, KeeperStays: One does not end.
    """
    return _each(_records(home, project, names), lambda record: _stopped(home, record))


def restart(home: Home, project: str, names: Sequence[str], environ: Mapping[str, str]) -> tuple[Changed, ...]:
    """End servers and start them again, also those that were stopped by hand.

    Raises:
        HatchlockError: As for `start`.
    """
    from hatchlock.resources.keeping import start_keeper, stop_keeper
    from hatchlock.state.keepers import forget_stop

    def restarted(record: LaunchRecord) -> Changed:
        root = home.project(project)
        check_quarantine(root, record.server)
        note(home.root, "restart", project=project, server=record.server)
        was_there = stop_keeper(root, record.server, grace=record.sandbox.stop_grace)
        forget_stop(root, record.server)
        kept = start_keeper(home.root, project, record.server, record.digest, environ, root=root)
        return _changed(record, "restarted" if was_there else "started", kept)

    return _each(_records(home, project, names), restarted)


def _each(records: Sequence[LaunchRecord], work: Callable[[LaunchRecord], Changed]) -> tuple[Changed, ...]:
    """Do the work for several servers at once; the first error is raised when all of it has ended."""
    if len(records) == 1:
        return (work(records[0]),)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(work, records))


def _started(home: Home, record: LaunchRecord, environ: Mapping[str, str]) -> Changed:
    from hatchlock.resources.keeping import start_keeper, stop_keeper
    from hatchlock.state.keepers import forget_stop, keeper_of

    root = home.project(record.project)
    check_quarantine(root, record.server)
    note(home.root, "start", project=record.project, server=record.server)
    forget_stop(root, record.server)
    found = keeper_of(root, record.server)
    if found and found.launch == record.digest:
        return _changed(record, "nothing", found)
    stop_keeper(root, record.server, grace=record.sandbox.stop_grace)
    kept = start_keeper(home.root, record.project, record.server, record.digest, environ, root=root)
    return _changed(record, "started", kept)


def _stopped(home: Home, record: LaunchRecord) -> Changed:
    from hatchlock.resources.keeping import stop_keeper
    from hatchlock.state.keepers import remember_stop, stopped_by_hand

    root = home.project(record.project)
    note(home.root, "stop", project=record.project, server=record.server)
    if record.server not in stopped_by_hand(root):
        remember_stop(root, record.server)  # before it ends: nobody starts it in between
    was_there = stop_keeper(root, record.server, grace=record.sandbox.stop_grace)
    return _changed(record, "stopped" if was_there else "nothing", None)


def _changed(
    record: LaunchRecord, did: Literal["started", "stopped", "restarted", "nothing"], kept: Keeper | None
) -> Changed:
    url = record.endpoint.url if record.endpoint else ""
    return Changed(server=record.server, did=did, url=url, pid=kept.pid if kept else 0)


def _records(home: Home, project: str, names: Iterable[str]) -> list[LaunchRecord]:
    """Return the launch records of the servers that are named, or of all that stay."""
    from hatchlock.usecases.elsewhere import check_runs_here

    if chosen := list(dict.fromkeys(names)):
        records = [find_record(home, project, name) for name in chosen]
        for record in records:
            check_runs_here(record)
            if record.endpoint is None:
                raise NotKept(address=f"server:{record.server}", server=record.server)
        return records
    found = [record for record in _all(home, project) if record.endpoint]
    if not found:
        raise NothingStays(project=project)
    return found


def _all(home: Home, project: str) -> list[LaunchRecord]:
    from hatchlock.state.project import ProjectState

    active = ProjectState(home.project(project)).active()
    if not active:
        find_record(home, project, "")  # says what is not there
    return [find_record(home, project, name) for name in active]
