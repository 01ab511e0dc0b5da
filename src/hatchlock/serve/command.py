"""One command in the place of a server: our stdin, stdout and stderr are its own, its status is ours, nothing is left.

A process gets our descriptors themselves, so a terminal is a terminal to it, without job control: inside the sandbox it
leads a session of its own, from which it cannot type into ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from hatchlock.launch import LaunchRecord
from hatchlock.security.denials import Denial, Report
from hatchlock.security.provided import NOTHING, Provided
from hatchlock.security.sandbox import NotIsolated, SandboxUnsupported, server_environment, unsupported
from hatchlock.serve.network.network import Network, network_of
from hatchlock.serve.scratch import make_scratch, scratch_home
from hatchlock.serve.talk import write_all
from hatchlock.serve.watchdog import MARK, Watchdog, end_processes
from hatchlock.store.receipts import using

if TYPE_CHECKING:
    from hatchlock.serve.container import ContainerServer
    from hatchlock.serve.local import LocalServer

__all__ = ["run_command"]

_CHUNK = 1 << 16
_FORWARDED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
)
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_LAST_WORDS_SECONDS = 5.0


def run_command(
    record: LaunchRecord,
    command: tuple[str, ...],
    *,
    environ: Mapping[str, str],
    provided: Provided = NOTHING,
    log: Path | None = None,
) -> int:
    """Run a command where a server would run, as it would run: same files, sandbox and variables, but no secrets.

    To be called in the main thread of a process without other threads: it forks, and handles signals. Signals are passed
    on; what ignores SIGTERM or SIGHUP is killed after the sandbox's `stop_grace`.

    Args:
        record: The server's.
        command: What to run; a first word without a slash is looked for there, the environment's own commands first.
        environ: Our own environment, to find programs. The command inherits TERM of it, if it gets a terminal.
        provided: What a session would give to the server besides; no secrets.
        log: The server's log, beside which its connections are noted down; None for nowhere.

    Returns:
        The command's exit status, 128+N after signal N.

    Raises:
        NotIsolated: This machine cannot isolate it.
        SandboxUnsupported: The runtime does not do what the sandbox asks for.
        PathMissing, ImageMissing, EngineUnreachable, EngineError, ProcessFailed: It could not be started; nothing is left.
    """
    if problems := unsupported(record, root=os.geteuid() == 0):
        raise SandboxUnsupported(runtime=record.runtime, problems=problems)
    with (
        _Signals(grace=record.sandbox.stop_grace) as signals,
        network_of(record, environ=environ, log=log, report=_sayer(), lost=lambda: None) as network,
    ):
        if record.runtime == "container":
            return _in_container(record, command, provided, network, signals)
        given = replace(provided, hosts=network.hosts) if network else provided
        with _terminal_as_it_was(), using(map(Path, record.read_only_paths)):
            return _as_process(record, command, environ, given, signals, network=network)


def _sayer() -> Report:
    told: set[Denial] = set()

    def say(denial: Denial) -> None:
        if denial not in told:
            told.add(denial)
            write_all(2, f"hatchlock: {denial.what} is not in the network list\n".encode())

    return say


class _Signals:
    """Passes on the signals that we get; those that come before there is anybody are kept."""

    def __init__(self, *, grace: float) -> None:
        self._grace = grace
        self._early: list[int] = []
        self._send: Callable[[int], None] | None = None
        self._kill: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _FORWARDED:
            self._before[number] = signal.signal(number, self._take)
        # a handler, since a signal that is ignored would be ignored by the command as well
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def connect(self, send: Callable[[int], None], kill: Callable[[], None]) -> None:
        """From now on signals go there."""
        self._send, self._kill = send, kill
        for number in self._early:
            self._pass_on(number)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._send is None:
            self._early.append(number)
        else:
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        if self._send is None or self._kill is None:
            return
        self._send(number)
        if number in _ENDING:
            timer = threading.Timer(self._grace, self._kill)
            timer.daemon = True
            timer.start()


@contextlib.contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """A command that was killed may have left a terminal that shows nothing of what is typed."""
    if not os.isatty(0):
        yield
        return
    import termios  # noqa: PLC0415  most commands have none

    before = termios.tcgetattr(0)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it was closed
            if _foreground() in {None, os.getpgrp()}:  # in the background we would be stopped for it
                termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _listened_to(group: int) -> Iterator[None]:
    """Let a group have our terminal: without a sandbox's session of its own it would be stopped when it reads from it."""
    if _foreground() != os.getpgrp():
        yield
        return
    os.tcsetpgrp(0, group)
    try:
        yield
    finally:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, os.getpgrp())
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _foreground() -> int | None:
    """Return the group that our terminal listens to; None if stdin is none, or not the one that we are controlled by."""
    try:
        return os.tcgetpgrp(0)
    except OSError:
        return None


def _as_process(
    record: LaunchRecord,
    command: tuple[str, ...],
    environ: Mapping[str, str],
    provided: Provided,
    signals: _Signals,
    *,
    network: Network | None,
) -> int:
    from hatchlock.engines.cgroups import Group, find_places  # noqa: PLC0415  containers do without
    from hatchlock.engines.process import isolation_system  # noqa: PLC0415
    from hatchlock.security.bubblewrap import System  # noqa: PLC0415
    from hatchlock.serve import local  # noqa: PLC0415

    system = isolation_system(environ)
    if isinstance(system, str) and record.isolation == "required":
        raise NotIsolated(problem=system)
    bare = not isinstance(system, System)
    mark = os.urandom(8).hex() if bare else ""
    scratch = make_scratch(mark) if bare else None
    env = server_environment(record, {}, scratch=str(scratch_home(scratch)) if scratch else "") | _terminal(environ)
    started = replace(record, argv=command)
    limits = Group(places=find_places())
    watchdog = Watchdog.start(end_processes(scratch, mark, limits.directories))
    try:
        limits = limits.make(record.sandbox)
        if not isinstance(system, System):
            started = replace(record, argv=(_found(command[0], env["PATH"]), *command[1:]))
            bare_env = {**env, MARK: mark}
            with _listened_to(watchdog.group):
                if isinstance(system, str):
                    write_all(2, f"hatchlock: {record.server} is not isolated: {system}\n".encode())
                    return _ended(
                        local.start_bare(started, env=bare_env, group=watchdog.group, limits=limits, piped=False),
                        signals,
                    )
                confined = local.start_confined(started, system, env=bare_env, group=watchdog.group, piped=False)
                return _ended(confined, signals)
        isolated = local.start_isolated(
            started,
            system,
            env=env,
            group=watchdog.group,
            limits=limits,
            provided=provided,
            held=network.offer if network else None,
            piped=False,
        )
        return _ended(isolated, signals)
    finally:
        watchdog.release()


def _found(command: str, path: str) -> str:
    """Inside a sandbox it is looked for there."""
    import shutil  # noqa: PLC0415

    return shutil.which(command, path=path) or command


def _ended(process: LocalServer, signals: _Signals) -> int:
    signals.connect(process.send_signal, process.kill)
    return process.wait()


def _terminal(environ: Mapping[str, str]) -> dict[str, str]:
    return {"TERM": environ["TERM"]} if "TERM" in environ and os.isatty(1) else {}


def _in_container(
    record: LaunchRecord,
    command: tuple[str, ...],
    provided: Provided,
    network: Network | None,
    signals: _Signals,
) -> int:
    from hatchlock.serve.container import session  # noqa: PLC0415  processes do without

    env = server_environment(record, {})
    with session(replace(record, argv=command), env=env, provided=provided, network=network) as running:
        signals.connect(running.server.send_signal, running.server.kill)
        return _connected(running.server)


def _connected(running: ContainerServer) -> int:
    """Pass bytes on until the container ends, and return its status."""

    def forward() -> None:
        with contextlib.suppress(OSError):  # it does not read any more
            while data := os.read(0, _CHUNK):
                running.send(data)
            running.end_input()

    def writer(descriptor: int) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            try:
                write_all(descriptor, data)
            except OSError:
                running.kill()  # nobody takes what it says

        return write

    threading.Thread(target=forward, daemon=True).start()
    readers = [threading.Thread(target=read, daemon=True) for read in running.readers(writer(1), writer(2))]
    for reader in readers:
        reader.start()
    status = running.wait()
    for reader in readers:
        reader.join(_LAST_WORDS_SECONDS)
    return status
