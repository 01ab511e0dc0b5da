"""A server is started, in a container or as a process, with everything that its session gives it, and ended."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.launch import LaunchRecord, size_in_bytes
from hatchlock.paths import store_mark
from hatchlock.security.network import is_listed, published
from hatchlock.security.provided import Provided
from hatchlock.security.sandbox import NotIsolated, server_environment
from hatchlock.security.secrets.values import NO_SECRETS, Secrets
from hatchlock.serve.denials import Denials
from hatchlock.serve.observer import Observer
from hatchlock.serve.profile import with_profile
from hatchlock.serve.secrets import and_forget, and_remove, reserve
from hatchlock.serve.server import Server
from hatchlock.serve.talk import Talk, open_log
from hatchlock.serve.watchdog import MARK, Watchdog, end_processes
from hatchlock.state.denials import denials_path

if TYPE_CHECKING:
    from hatchlock.launch import Remote
    from hatchlock.serve.network.network import Network

__all__ = ["Start", "Started", "prepared", "started"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Everything that a server is started with.

    Attributes:
        record: What to start.
        applied: The digest of the record as it was applied.
        denials: Who is told what its sandbox has stopped.
        secrets: Its secrets.
        provided: What the session gives it besides.
        environ: Our own environment, to find programs.
        store: The store's root.
        observer: Who watches it.
        log: The server's log; None for none.
        lost: Called, in a thread, when a container's network has gone.
    """

    record: LaunchRecord
    applied: str
    denials: Denials
    secrets: Secrets
    provided: Provided
    environ: Mapping[str, str]
    store: Path
    observer: Observer
    log: Path | None
    lost: Callable[[], None]

    @property
    def network(self) -> contextlib.AbstractContextManager[Network | None]:
        """What its network needs, while the block lasts."""
        ports = published(self.record)
        if not is_listed(self.record.sandbox) and not ports:
            return contextlib.nullcontext()
        from hatchlock.serve.network.network import network_of  # noqa: PLC0415  most servers have no network

        return network_of(
            self.record,
            environ=self.environ,
            log=self.log,
            report=self.denials.report,
            lost=self.lost,
            published=ports,
        )

    def held(self, network: Network | None) -> Callable[[int], None] | None:
        """Return what has to be done when its sandbox is complete and nothing in it has begun; None for nothing."""
        if not self.observer.watches:
            return network.offer if network else None

        def both(pid: int) -> None:
            if network:
                network.offer(pid)
            self.observer.held(pid)

        return both

    def beside(self, pid: int) -> None:
        """Do what there is time for while a server starts that has no network: have the names that it asks for reported."""
        has_more = self.observer.watches or self.record.sandbox.network != ("none",) or published(self.record)
        if not pid or has_more:
            return
        from hatchlock.serve.network.asked import reporting_names  # noqa: PLC0415  containers do without

        reporting_names(self.denials.report)(pid)

    @property
    def listener(self) -> Callable[[str], None]:
        """Who reads what the server says."""
        return self.observer.heard if self.observer.watches else self.denials.heard


def prepared(
    record: LaunchRecord,
    applied: LaunchRecord,
    *,
    environ: Mapping[str, str],
    stderr: int,
    log: Path | None,
    store: Path,
    observer: Observer,
    lost: Callable[[], None],
) -> tuple[Start, Talk]:
    """Return what a server is started with, its secrets among it, and where what it says goes. Nothing is started yet.

    Args:
        record: What to start.
        applied: The record as it was applied.
        environ: Our own environment: for secrets and to find programs.
        stderr: Where what it says goes.
        log: A file that keeps that, within the sandbox's log-size; None for none.
        store: The store's root.
        observer: Who watches it; what it is denied then is not kept.
        lost: Called, in a thread, when a container's network has gone.

    Raises:
        HatchlockError: A secret, its seccomp profile or the log is not to be had.
    """
    secrets = _secrets(record, environ, store)
    file = open_log(log, size_in_bytes(record.sandbox.log_size))
    talk = Talk(server=record.server, stderr=stderr, log=file, hidden=_hidden(secrets))
    kept = None if observer.watches else denials_path(store / "projects" / record.project, record.server)
    start = Start(
        record=record,
        applied=applied.digest,
        denials=Denials(applied, say=talk.say, clean=talk.clean, file=kept),
        secrets=secrets,
        provided=observer.begin(with_profile(Provided(files=secrets.placed()), record, store)),
        environ=environ,
        store=store,
        observer=observer,
        log=log,
        lost=lost,
    )
    return start, talk


def _secrets(record: LaunchRecord, environ: Mapping[str, str], store: Path) -> Secrets:
    if not record.references:
        return NO_SECRETS
    from hatchlock.security.secrets.resolve import Places, resolve  # noqa: PLC0415  most servers have none

    places = Places(environ=environ, directory=record.directory, project=record.project, store=store)
    return resolve(record.references, places)


def _hidden(secrets: Secrets) -> tuple[str, ...]:
    if not secrets.bare:
        return ()
    from hatchlock.security.secrets.redact import forms  # noqa: PLC0415  most servers have none

    return forms(secrets.bare.values())


Started = tuple[Server, Watchdog | None]
"""A server that runs, and who sees to its end when this process cannot; nobody where nothing was started."""


def started(start: Start, talk: Talk) -> contextlib.AbstractContextManager[Started]:
    """Have a server run inside the block: nothing is left of it afterwards.

    To be called in a process without threads: it forks.

    Raises:
        HatchlockError: It could not be started.
    """
    if start.record.remote:
        return _remote(start, start.record.remote, talk)
    return _container(start, talk) if start.record.runtime == "container" else _process(start, talk)


@contextlib.contextmanager
def _remote(start: Start, remote: Remote, talk: Talk) -> Iterator[Started]:
    from hatchlock.serve.knocks import Knocks  # noqa: PLC0415  what runs here does without
    from hatchlock.serve.remote.starting import remote_server  # noqa: PLC0415

    counted = () if start.observer.watches else ((start.record.server, start.applied),)
    knocks = Knocks(start.store / "projects" / start.record.project, counted)
    server = remote_server(
        start.record,
        remote,
        secrets=start.secrets.variables,
        environ=start.environ,
        store=start.store,
        talk=talk,
        refused=knocks.knock,
    )
    try:
        yield server, None
    finally:
        server.close()
        knocks.write()


@contextlib.contextmanager
def _container(start: Start, talk: Talk) -> Iterator[Started]:
    from hatchlock.serve.container import session  # noqa: PLC0415  process servers do without

    env, provided = server_environment(start.record, start.secrets.environment()), start.provided
    if provided.files:
        provided = replace(provided, secrets_directory=str(reserve(start.record, start.environ)))
    observer = start.observer
    applied = "" if observer.watches else start.applied  # its profile is another one
    with (
        start.network as network,
        session(
            start.record,
            env=env,
            provided=provided,
            applied=applied,
            store=store_mark(start.store),
            observer=observer,
            network=network,
            ending=functools.partial(and_forget, start.store / "projects" / start.record.project),
        ) as running,
    ):
        for leftover in running.removed:
            talk.say(f"removed {leftover}, which an earlier run had left")
        talk.listen(start.listener)
        yield running.server, running.watchdog


def _scratch(mark: str) -> Path:
    from hatchlock.serve.scratch import make_scratch  # noqa: PLC0415  a sandbox has its own

    return make_scratch(mark)


@contextlib.contextmanager
def _process(start: Start, talk: Talk) -> Iterator[Started]:
    from hatchlock.engines.cgroups import Group, find_places  # noqa: PLC0415  containers do without
    from hatchlock.engines.process import isolation_system  # noqa: PLC0415
    from hatchlock.security.bubblewrap import System  # noqa: PLC0415
    from hatchlock.security.secrets.memory import lay_out  # noqa: PLC0415
    from hatchlock.serve import local  # noqa: PLC0415

    record = start.record
    system = isolation_system(start.environ, memory=start.store / "cache" / "isolation" / "trial")
    if isinstance(system, str) and record.isolation == "required":
        raise NotIsolated(problem=system)
    bare = not isinstance(system, System)
    mark = os.urandom(8).hex() if bare else ""
    scratch = _scratch(mark) if bare else None
    secrets = reserve(record, start.environ) if bare and start.secrets.files else None
    limits = Group(places=find_places())
    ending = and_remove(secrets, end_processes(scratch, mark, limits.directories))
    watchdog = Watchdog.start(and_forget(start.store / "projects" / record.project, ending))
    stack = contextlib.ExitStack()
    try:
        limits = limits.make(record.sandbox)
        if not isinstance(system, System):
            if secrets:
                lay_out(secrets, start.secrets.files)
            given = start.secrets.environment(str(secrets))
            env = {**server_environment(record, given, scratch=f"{scratch}/home"), MARK: mark}
            if isinstance(system, str):
                talk.say(f"{record.server} is not isolated: {system}")
                server = local.start_bare(record, env=env, group=watchdog.group, limits=limits)
            else:
                shown = str(secrets or "")
                server = local.start_confined(record, system, env=env, group=watchdog.group, secrets=shown)
        else:
            network = stack.enter_context(start.network)
            server = local.start_isolated(
                record,
                system,
                env=server_environment(record, start.secrets.environment()),
                group=watchdog.group,
                limits=limits,
                provided=replace(start.provided, hosts=network.hosts) if network else start.provided,
                held=start.held(network),
            )
            talk.listen(start.listener)
            start.beside(server.inside)
        try:
            yield server, watchdog
        finally:
            server.close()
    finally:
        stack.close()
        watchdog.release()
