"""A server that is a process of this machine: inside bubblewrap or under Seatbelt, or, where that is allowed, not isolated."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hatchlock.engines.cgroups import NO_GROUPS, Group, remove_groups
from hatchlock.engines.limits import own_limits
from hatchlock.files import memory_file
from hatchlock.launch import LaunchRecord, Sandbox, size_in_bytes
from hatchlock.process import ProcessFailed
from hatchlock.security.bubblewrap import (
    TEMPORARY,
    System,
    bubblewrap_argv,
    bubblewrap_options,
    identity_files,
    system_calls,
)
from hatchlock.security.network import HOSTNAME, has_own_network, resolver_files
from hatchlock.security.provided import NOTHING, Provided
from hatchlock.security.sandbox import SandboxUnsupported, nested_mounts
from hatchlock.serve.missing import PathMissing, check_certificates
from hatchlock.serve.server import Take
from hatchlock.serve.talk import write_all

if TYPE_CHECKING:
    from hatchlock.security.denials import Denial
    from hatchlock.security.seatbelt import Seatbelt

__all__ = ["LocalServer", "start_bare", "start_confined", "start_isolated"]

_CHUNK = 1 << 16


class LocalServer:
    """A `Server` that is a child process.

    Attributes:
        inside: The first process of its sandbox; 0 if there is none, or if it did not come so far.
    """

    def __init__(self, started: _Started, sandbox: Sandbox, *, group: int, inside: int = 0) -> None:
        self.inside = inside
        self._process = started.process
        self._limits = started.limits
        self._sandbox = sandbox
        self._stop_signal = _number(sandbox)
        self._group = group
        self._input = threading.Lock()

    def send(self, data: bytes) -> None:
        """Write to its stdin."""
        with self._input:
            stream = _stream(self._process.stdin)
            if stream.closed:
                raise BrokenPipeError
            write_all(stream.fileno(), data)

    def end_input(self) -> None:
        """End its stdin, unless a message is stuck in it; then the server does not listen anyway."""
        if self._input.acquire(timeout=0.05):
            try:
                _stream(self._process.stdin).close()
            finally:
                self._input.release()

    def readers(self, out: Take, err: Take) -> Sequence[Callable[[], None]]:
        """Return one reader for each stream."""
        return (
            functools.partial(_read, _stream(self._process.stdout), out),
            functools.partial(_read, _stream(self._process.stderr), err),
        )

    def stop(self) -> None:
        """Send the stop signal to its group."""
        self._signal_group(self._stop_signal)

    def send_signal(self, number: int) -> None:
        """Send a signal to its group."""
        self._signal_group(number)

    def kill(self) -> None:
        """Kill the process that we started; inside bubblewrap everything else dies with it."""
        self._process.kill()

    def wait(self) -> int:
        """Wait for the process."""
        status = self._process.wait()
        return status if status >= 0 else 128 - status

    def explain(self, status: int) -> str:
        """Say that it needed too much memory, if its group knows of that."""
        if status and self._limits.killed_for_memory():
            return f"it needed more than its {self._sandbox.memory} of memory"
        return ""

    def limits_met(self) -> Sequence[Denial]:
        """Return what its group has counted; who meets an rlimit is told so."""
        from hatchlock.security.denials import Denial  # noqa: PLC0415  a start does without

        met = []
        if self._limits.killed_for_memory():
            met.append(Denial(kind="memory", what=self._sandbox.memory))
        if self._limits.refused_processes():
            met.append(Denial(kind="processes", what=str(self._sandbox.pids)))
        return met

    def close(self) -> None:
        """Kill it; the watchdog sees to processes that it left."""
        self.kill()

    def _signal_group(self, number: int) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, number)


def start_isolated(
    record: LaunchRecord,
    system: System,
    *,
    env: Mapping[str, str],
    group: int,
    limits: Group = NO_GROUPS,
    provided: Provided = NOTHING,
    held: Callable[[int], None] | None = None,
    piped: bool = True,
) -> LocalServer:
    """Start a server inside bubblewrap.

    Args:
        record: What to start.
        system: This machine.
        env: The server's whole environment.
        group: The watchdog's process group.
        limits: Control groups that were made for it.
        provided: What this session gives it besides.
        held: Called with the sandbox's first process when its namespaces are there; the server waits until it returns.
        piped: Whether its streams are for us; else it has our own stdin, stdout and stderr.

    Raises:
        PathMissing: A mount, or a directory that the server needs, does not exist, or its own uid cannot read it.
        SeccompProfileUnusable: Its seccomp profile makes no filter.
    """
    _check_paths(record, system)
    files = {path: memory_file(content) for path, content in _laid_over(record, system, provided).items()}
    calls = system_calls(record.sandbox, system, provided.seccomp)
    seccomp = memory_file(calls) if calls else None
    words = bubblewrap_options(record, system, env=env, files=files, seccomp=seccomp, root=provided.root)
    options = memory_file(b"".join(f"{word}\0".encode() for word in words))
    info_out, info_in = os.pipe()
    block, go = os.pipe() if held else (None, None)
    inherited = tuple(item for item in (options, info_in, block, *files.values(), seccomp) if item is not None)

    def start(groups: Group) -> subprocess.Popen[bytes]:
        here = replace(system, grouped=groups.bound)
        own = own_limits(record.sandbox, here)
        here = replace(here, limited=bool(own))
        argv = bubblewrap_argv(record, here, args=options, info=info_in, block=block)
        before = _preparation(groups, here, record.sandbox, own)
        return _start(argv, env={}, cwd="/", group=group, inherited=inherited, piped=piped, before=before)

    try:
        started = _joined(limits, start)
    finally:
        for descriptor in inherited:
            os.close(descriptor)
    # Its first process leads a session of its own, with the server in it, but not bubblewrap outside, whose death would
    # be a kill.
    inside = _first_process(info_out)
    if held and go is not None:
        _let_go(started.process, inside, held, go)
    return LocalServer(started, record.sandbox, group=inside or started.process.pid, inside=inside)


def _laid_over(record: LaunchRecord, system: System, provided: Provided) -> dict[str, bytes]:
    """Return the files that the server sees and this machine has not: path -> content."""
    resolver = resolver_files(provided.hosts, own=HOSTNAME) if has_own_network(record.sandbox) else {}
    texts = {**identity_files(record, system), **resolver}
    return {**{path: content.encode() for path, content in texts.items()}, **provided.files}


def _let_go(process: subprocess.Popen[bytes], inside: int, held: Callable[[int], None], go: int) -> None:
    """Let whoever prepares something do so, and then the server begin."""
    try:
        if inside:
            held(inside)
    except BaseException:
        process.kill()  # else it would go on without what it has not got
        process.wait()
        raise
    finally:
        os.close(go)


def start_confined(
    record: LaunchRecord,
    seatbelt: Seatbelt,
    *,
    env: Mapping[str, str],
    group: int,
    secrets: str = "",
    piped: bool = True,
) -> LocalServer:
    """Start a server under Seatbelt, with limits of each process's own, in the watchdog's process group.

    Args:
        record: What to start.
        seatbelt: This machine.
        env: The server's whole environment; its HOME is the directory that it may write to.
        group: The watchdog's process group.
        secrets: The directory with its secrets; "" for none.
        piped: As in `start_isolated`.

    Raises:
        SandboxUnsupported: Its sandbox asks for something that macOS does not do.
        PathMissing: Its program does not exist.
    """
    from hatchlock.security.seatbelt import seatbelt_argv, seatbelt_problems  # noqa: PLC0415  macOS alone has it

    if problems := seatbelt_problems(record):
        raise SandboxUnsupported(runtime=record.runtime, problems=problems)
    scratch, hidden = (os.path.realpath(path) if path else "" for path in (env["HOME"], secrets))
    argv = seatbelt_argv(record, seatbelt, scratch=scratch, secrets=hidden)
    return start_bare(replace(record, argv=argv), env=env, group=group, piped=piped)


def start_bare(
    record: LaunchRecord, *, env: Mapping[str, str], group: int, limits: Group = NO_GROUPS, piped: bool = True
) -> LocalServer:
    """Start a server with limits only, in the watchdog's process group; the rest as in `start_isolated`.

    Raises:
        PathMissing: Its program does not exist.
    """
    if not os.access(record.argv[0], os.X_OK):
        raise PathMissing(path=record.argv[0], purpose="its program")

    def start(groups: Group) -> subprocess.Popen[bytes]:
        before = functools.partial(_limit, record.sandbox, groups)
        cwd = record.cwd or env["HOME"]
        return _start(record.argv, env=env, cwd=cwd, group=group, inherited=(), piped=piped, before=before)

    return LocalServer(_joined(limits, start), record.sandbox, group=group)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Started:
    """A process, and the groups that it is in."""

    process: subprocess.Popen[bytes]
    limits: Group


def _joined(groups: Group, start: Callable[[Group], subprocess.Popen[bytes]]) -> _Started:
    """Start a process in its groups, or in none where it turns out that it may not join them."""
    try:
        return _Started(process=start(groups), limits=groups)
    except ProcessFailed as error:
        if not groups.places or not isinstance(error.__cause__, subprocess.SubprocessError):
            raise
    remove_groups(groups.directories)
    return _Started(process=start(NO_GROUPS), limits=NO_GROUPS)


def _start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    group: int,
    inherited: tuple[int, ...],
    piped: bool,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if piped else None,
            stdout=subprocess.PIPE if piped else None,
            stderr=subprocess.PIPE if piped else None,
            bufsize=0,
            env=dict(env),
            cwd=cwd,
            pass_fds=inherited,
            process_group=group,
            preexec_fn=before,  # noqa: PLW1509  it makes system calls and no more
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProcessFailed(argv=tuple(argv), status=None, output=str(error)) from error


def _preparation(groups: Group, system: System, sandbox: Sandbox, limits: Mapping[int, int]) -> Callable[[], None]:
    """Return what is done in the child before it becomes bubblewrap."""
    import resource  # noqa: PLC0415  not on every system

    mount: Callable[[], None] | None = None
    if system.no_programs:
        from hatchlock.engines.temporary import mount_temporary  # noqa: PLC0415  it loads ctypes

        mount = functools.partial(mount_temporary, TEMPORARY.values(), size=size_in_bytes(sandbox.tmp))

    def prepare() -> None:
        groups.join()
        if mount:
            mount()
        for kind, value in limits.items():
            resource.setrlimit(kind, (value, value))

    return prepare


def _check_paths(record: LaunchRecord, system: System) -> None:
    check_certificates(record)
    for mount in record.sandbox.mounts:
        if not Path(mount.source).exists():
            raise PathMissing(path=mount.source, purpose="the mount")
    _check_nested(record.sandbox)
    for target, directory in record.volumes.items():
        if not Path(directory).is_dir():
            raise PathMissing(path=directory, purpose=f"the directory of what it keeps in {target},")
    for path in record.read_only_paths:
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            raise PathMissing(path=path, purpose="the directory") from None
        if system.root and not mode & 0o001:
            raise PathMissing(path=path, purpose="the directory", problem="cannot be read by the server's own user")


def _check_nested(sandbox: Sandbox) -> None:
    """Refuse a place for a mount that is a link: bubblewrap would go through it, to places outside."""
    for inner, outer in nested_mounts(sandbox):
        place = os.path.join(outer.source, os.path.relpath(inner.target, outer.target))  # noqa: PTH118
        if os.path.realpath(place) != os.path.normpath(place) or not os.path.exists(place):  # noqa: PTH110
            problem = "does not exist, or is a link"
            raise PathMissing(path=place, purpose=f"the place for the mount at {inner.target},", problem=problem)


def _first_process(info: int) -> int:
    with os.fdopen(info, "rb") as stream:
        data = stream.read()
    try:
        return int(json.loads(data)["child-pid"])
    except (ValueError, KeyError):
        return 0  # it did not come so far, and says why on stderr


def _number(sandbox: Sandbox) -> int:
    name = sandbox.stop_signal.upper()
    return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]


def _limit(sandbox: Sandbox, groups: Group) -> None:
    import resource  # noqa: PLC0415  not on every system

    groups.join()
    wanted = {resource.RLIMIT_NOFILE: sandbox.files, resource.RLIMIT_CORE: 1}
    if "memory" not in groups.bound:
        wanted[resource.RLIMIT_DATA] = size_in_bytes(sandbox.memory)
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS knows some only by name
            resource.setrlimit(kind, (limit, limit))


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("the process was started with pipes")
    return stream


def _read(stream: IO[bytes], take: Take) -> None:
    with stream:
        while data := os.read(stream.fileno(), _CHUNK):
            take(data)
