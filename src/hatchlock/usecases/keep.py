"""`serve --keep`: be the keeper of a server that stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from hatchlock.errors import HatchlockError
from hatchlock.usecases.run import find_record, log_path, settled

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.paths import Home
    from hatchlock.serve.health import Answer

__all__ = ["NotKept", "keep_server", "stand_here"]

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
        HatchlockError: It could not be started; nothing is left.
    """
    from hatchlock.serve.standing import stand

    told: list[str] = []

    def answered(answer: Answer) -> None:
        if answer.is_healthy and record.endpoint and not told:
            told.append(record.endpoint.url)
            ready(record.endpoint.url)

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
        NotKept: It speaks stdio.
    """
    from hatchlock.serve.keeper import detached

    record = find_record(home, project, name)
    if record.endpoint is None:
        raise NotKept(address=f"server:{name}", server=name)
    return _keep(home, record, environ) if detached() else 0


def _keep(home: Home, record: LaunchRecord, environ: Mapping[str, str]) -> int:
    from hatchlock.process import owner
    from hatchlock.serve.keeper import keep
    from hatchlock.state.keepers import Keeper, holding, keeper_of, now

    root, name = home.project(record.project), record.server
    if (found := keeper_of(root, name)) and found.launch == record.digest:
        return 0
    with holding(root, name, patience=_OTHERS_SECONDS) as hold:
        if hold is None or record.endpoint is None:
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
        life = _Life(home, record, environ)
        return keep(root, keeper, life, hold=hold, grace=record.sandbox.stop_grace, say=life.say)


class _Life:
    """Serves a kept server once, and notes down how it does."""

    def __init__(self, home: Home, record: LaunchRecord, environ: Mapping[str, str]) -> None:
        self._home = home
        self._record = record
        self._environ = environ
        self._root = home.project(record.project)

    def __call__(self) -> int:
        """Serve it, in a process of our own."""
        try:
            return self._serve()
        except HatchlockError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self.say(f"{error.address or self._record.server}: {error}{hint}")
            self._note(phase="waiting", health="failed", said=str(error), run=0)
            return 1

    def say(self, text: str) -> None:
        """Write a sentence of our own into the server's log."""
        from hatchlock.launch import size_in_bytes
        from hatchlock.serve.talk import open_log

        record = self._record
        log = open_log(log_path(self._home, record.project, record.server), size_in_bytes(record.sandbox.log_size))
        if log is not None:
            log.write(f"hatchlock: {text}\n".encode())
            log.close()

    def _serve(self) -> int:
        if not self._record.speaks_http:
            return self._serve_stdio()
        from hatchlock.serve.standing import stand

        record = self._record
        nothing = os.open(os.devnull, os.O_WRONLY)
        return stand(
            settled(record, self._home, Path(record.directory), self._environ),
            applied=record,
            environ=self._environ,
            stderr=nothing,
            log=log_path(self._home, record.project, record.server),
            store=self._home.root,
            answered=self._answered,
        )

    def _serve_stdio(self) -> int:
        """Serve a server of stdio over HTTP, and end with our keeper: who serves it does not look at that."""
        import signal
        import threading

        from hatchlock.serve.ends import Reasons, watch
        from hatchlock.serve.front.front import Limits
        from hatchlock.serve.health import watch_health
        from hatchlock.usecases.serve import serve
        from hatchlock.usecases.wanted import Wanted

        record, parent = self._record, os.getppid()
        reasons = Reasons()

        def follow() -> None:
            watch(parent, None, reasons)
            os.kill(os.getpid(), signal.SIGTERM)

        def ready(url: str) -> None:
            threading.Thread(target=follow, daemon=True).start()
            ended, patience = threading.Event(), record.startup_timeout
            arguments = (url, self._answered, ended)
            threading.Thread(target=watch_health, args=arguments, kwargs={"patience": patience}, daemon=True).start()

        wanted = Wanted(project=record.project, name=record.server)
        return serve(self._home, wanted, self._environ, limits=Limits(), ready=ready)

    def _answered(self, answer: Answer) -> None:
        health: Literal["healthy", "failed"] = "healthy" if answer.is_healthy else "failed"
        self._note(phase="running", health=health, said=answer.said, seconds=answer.seconds)

    def _note(self, **facts: object) -> None:
        from hatchlock.state.keepers import now, read_kept, write_keeper

        if kept := read_kept(self._root, self._record.server):
            write_keeper(self._root, replace(kept, checked=now(), **facts))  # type: ignore[arg-type]
