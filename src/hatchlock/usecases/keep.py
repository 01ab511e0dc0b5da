"""`serve --keep`: be the keeper of a server that stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.usecases.run import applied_servers, find_record, log_path, settled

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.serve.health import Answer

__all__ = ["KeptAlready", "KeptLog", "NotKept", "keep_server", "stand_here"]

_OTHERS_SECONDS = 60.0
"""How long an earlier keeper may take to end."""


@dataclass(kw_only=True, eq=False)
class NotKept(HatchlockError):
    """A server lives as long as the application that started it, and is not kept."""

    code: ClassVar[str] = "not-kept"

    server: str

    def __str__(self) -> str:
        return f"{self.server} speaks stdio: each application that uses it starts one of its own, and ends it"

    def _hint(self) -> str:
        return 'for one that stays write serve = "http", then run `hatchlock lock` and `hatchlock apply`'


@dataclass(kw_only=True, eq=False)
class KeptAlready(HatchlockError):
    """A server is to be served here, and somebody keeps it."""

    code: ClassVar[str] = "kept-already"

    server: str
    url: str
    pid: int

    def __str__(self) -> str:
        return f"{self.server} is kept by process {self.pid}, and reached at {self.url}"

    def _hint(self) -> str:
        return f"end it first: `hatchlock stop {self.server}`"


def stand_here(
    home: Home, record: LaunchRecord, environ: Mapping[str, str], *, ready: Callable[[str], None] = lambda _: None
) -> int:
    """Serve an applied server that speaks HTTP, once, in the foreground; see `serve.standing.stand`.

    Args:
        home: The store.
        record: As it was applied.
        environ: What its secrets are taken from.
        ready: Told the URL, once it is answered.

    Raises:
        InQuarantine: It is.
        KeptAlready: It is served already.
        HatchlockError: It could not be started; nothing is left.
    """
    from hatchlock.serve.standing import stand
    from hatchlock.serve.unfinished import await_finished
    from hatchlock.state.keepers import keeper_of
    from hatchlock.state.quarantine import check_quarantine

    check_quarantine(home.project(record.project), record.server)
    if kept := keeper_of(home.project(record.project), record.server):
        raise KeptAlready(address=f"server:{record.server}", server=record.server, url=kept.url, pid=kept.pid)

    told: list[str] = []

    def answered(answer: Answer) -> None:
        if answer.is_healthy and record.endpoint and not told:
            told.append(record.endpoint.url)
            ready(record.endpoint.url)

    await_finished(record, home.root, stderr=2)
    return stand(
        settled(record, home, Path(record.directory), environ),
        applied=record,
        environ=environ,
        stderr=2,
        log=log_path(home, record.project, record.server),
        store=home.root,
        answered=answered,
    )


def keep_server(home: Home, project: str, name: str, environ: Mapping[str, str]) -> int:
    """Keep an applied server that stays, in the background, until `stop` or another launch record.

    To be called in the main thread of a process without other threads: it forks. Where somebody keeps the server already,
    nothing is done.

    Args:
        home: The store.
        project: The project's name.
        name: The server's name.
        environ: What its secrets are taken from.

    Returns:
        0 in the process that was started; in the one in the background what `serve.keeper.keep` returns.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: It was not applied.
        RunsElsewhere: Somebody else runs it.
        NotKept: It speaks stdio.
        StoppedByHand: Somebody wants it stopped.
    """
    from hatchlock.serve.keeper import detached
    from hatchlock.usecases.bridging import check_wanted
    from hatchlock.usecases.elsewhere import check_runs_here

    record = find_record(home, project, name)
    check_runs_here(record)
    if record.endpoint is None:
        raise NotKept(address=f"server:{name}", server=name)
    check_wanted(home.project(project), record)
    return _keep(home, record, environ) if detached() else 0


def _keep(home: Home, record: LaunchRecord, environ: Mapping[str, str]) -> int:
    from hatchlock.process import owner
    from hatchlock.serve.keeper import keep
    from hatchlock.state.keepers import Keeper, holding, keeper_of, now, stopped_by_hand

    root, name = home.project(record.project), record.server

    def is_kept() -> bool:
        return (found := keeper_of(root, name)) is not None and found.launch == record.digest

    if is_kept():
        return 0
    with holding(root, name, patience=_OTHERS_SECONDS, is_needless=is_kept) as hold:
        # meanwhile somebody may have stopped it, or applied another one
        is_wanted = name not in stopped_by_hand(root) and _is_active(home, record)
        if hold is None or record.endpoint is None or not is_wanted:
            return 1
        keeper = Keeper(
            server=name,
            owner=owner(os.getpid()),
            pid=os.getpid(),
            launch=record.digest,
            url=record.endpoint.url,
            port=record.endpoint.host_port,
            since=now(),
        )
        log = KeptLog(home, record)
        start = partial(_start, home, record, environ, hold=hold, log=log)
        return keep(root, keeper, start, hold=hold, grace=record.sandbox.stop_grace, say=log.say)


def _is_active(home: Home, record: LaunchRecord) -> bool:
    try:
        return applied_servers(home, record.project).get(record.server) == record.digest
    except HatchlockError:
        return False


def _start(
    home: Home, record: LaunchRecord, environ: Mapping[str, str], *, hold: int, log: KeptLog
) -> subprocess.Popen[bytes]:
    """Start one run. It holds the server as we do, so that whoever kills us does not have it started twice."""
    words = (str(home.root), record.project, record.server, record.digest, str(os.getpid()))
    with log.descriptor() as stderr:  # what goes wrong in there is none of the server's own words
        return subprocess.Popen(
            [sys.executable, "-I", "-m", "hatchlock.usecases.kept_run", *words],
            env=dict(environ),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(hold,),
        )


class KeptLog:
    """The log of a kept server, for what is not the server's own.

    Args:
        home: The store.
        record: The server's launch record.
    """

    def __init__(self, home: Home, record: LaunchRecord) -> None:
        self._path = log_path(home, record.project, record.server)
        self._limit = record.sandbox.log_size

    def say(self, text: str) -> None:
        """Add a sentence of ours."""
        from hatchlock.launch import size_in_bytes
        from hatchlock.serve.talk import open_log
        from hatchlock.state.stamps import stamp

        log = open_log(self._path, size_in_bytes(self._limit))
        if log is not None:
            log.write(stamp() + f"hatchlock: {text}\n".encode())
            log.close()

    @contextlib.contextmanager
    def descriptor(self) -> Iterator[int]:
        """Have it open at its end inside the block; nothing instead, where it has no place."""
        from hatchlock.files import private_directory

        try:
            private_directory(self._path.parent)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except (OSError, HatchlockError):
            descriptor = os.open(os.devnull, os.O_WRONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
