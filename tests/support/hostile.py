"""What a hostile server tries, and the sessions in which it does: under hatchlock in each runtime, and outside of it.

The servers are `fixtures/servers/hostile.py` and `hostile.js`. They run on the machine of `support/hosts.py`, started by an
application that has what careless applications have: a terminal, a key in its keyring, a secret in its environment and an
open file. Each directory that a server is shown belongs to everybody, so that no file mode stands in for the sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from hatchlock.engines.api import Engine
from hatchlock.engines.node import find_node
from hatchlock.engines.process import find_interpreter
from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.security.sandbox import private_uid
from support.everybodys import copy_ourselves
from support.hosts import World, greeting
from support.links_image import OPEN, programs
from support.runs import BARE, SERVERS, Run, apply_records, processes_with, run_command, wait_for

__all__ = [
    "ATTEMPTS",
    "GRACE",
    "PYTHON",
    "Attempt",
    "Language",
    "Runtime",
    "Scene",
    "ask",
    "ask_for_the_last_time",
    "denied",
]

Language = Literal["python", "node"]
Runtime = Literal["process", "user", "container", "podman"]

NOBODY = 65534
PYTHON = "/usr/bin/python3.11"
"""What an ordinary user can read: the one that runs the tests need not be."""
GRACE = 0.3
_PORTS: dict[Runtime, int] = {"process": 8811, "user": 8812, "container": 8813, "podman": 8814}

_CALLS: dict[str, dict[str, int]] = {
    "x86_64": {
        "mount": 165,
        "umount2": 166,
        "chroot": 161,
        "unshare": 272,
        "ptrace": 101,
        "finit_module": 313,
        "kexec_load": 246,
        "reboot": 169,
        "swapon": 167,
        "settimeofday": 164,
        "sethostname": 170,
        "bpf": 321,
        "request_key": 249,
        "perf_event_open": 298,
        "open_by_handle_at": 304,
        "mknodat": 259,
        "socket": 41,
        "setuid": 105,
        "setpriority": 141,
        "pivot_root": 155,
        "acct": 163,
        "add_key": 248,
    },
    "aarch64": {
        "mount": 40,
        "umount2": 39,
        "chroot": 51,
        "unshare": 97,
        "ptrace": 117,
        "finit_module": 273,
        "kexec_load": 104,
        "reboot": 142,
        "swapon": 224,
        "settimeofday": 170,
        "sethostname": 161,
        "bpf": 280,
        "request_key": 218,
        "perf_event_open": 241,
        "open_by_handle_at": 265,
        "mknodat": 33,
        "socket": 198,
        "setuid": 146,
        "setpriority": 140,
        "pivot_root": 41,
        "acct": 89,
        "add_key": 217,
    },
}
_NUMBERS = _CALLS.get(platform.machine(), _CALLS["x86_64"])
_FORBIDDEN = ("EPERM", "EACCES", "ENOSYS")
_INVISIBLE = ("ENOENT", "EACCES", "ENOTDIR")
_UNWRITABLE = ("EROFS", *_INVISIBLE, "EPERM")
_UNREACHABLE = ("ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL")
_USED_UP = ("EAGAIN", "EMFILE", "ENOSPC", "ENOMEM")
_NO_NAME = ("EAI", "EAI_AGAIN", "ENOTFOUND")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One thing that a server tries.

    Attributes:
        name: What it is.
        trick: How the servers call it.
        arguments: Of the trick; texts take values of the scene, `{secret}`.
        stopped: How its denial begins: names of errors, or `status` for a program that fails.
        outside: Who it is that succeeds with the same outside of a sandbox; "" where that would harm this machine.
        runtimes: Where there is something to try.
    """

    name: str
    trick: str
    arguments: tuple[int | float | str, ...]
    stopped: tuple[str, ...]
    outside: Literal["root", "user", ""] = "root"
    runtimes: tuple[Runtime, ...] = ("process", "user", "container", "podman")


def _try(name: str, trick: str, *arguments: float | str, stopped: tuple[str, ...], **more: Any) -> Attempt:
    return Attempt(name=name, trick=trick, arguments=arguments, stopped=stopped, **more)


def _call(name: str, call: str, *arguments: int | str, stopped: tuple[str, ...] = _FORBIDDEN, **more: Any) -> Attempt:
    return Attempt(name=name, trick="syscall", arguments=(_NUMBERS[call], *arguments), stopped=stopped, **more)


_AT_CWD = -100
_FILES = (
    _try("write to the root", "write", "/hostile", stopped=_UNWRITABLE),
    _try("write to a directory of the image that is everybody's", "write", f"{OPEN}/hostile", stopped=("EROFS",),
         outside="", runtimes=("container", "podman")),
    _try("write to /usr", "write", "/usr/hostile", stopped=_UNWRITABLE),
    _try("write to /etc", "write", "/etc/hostile", stopped=_UNWRITABLE),
    _try("change the users", "open", "/etc/passwd", stopped=_UNWRITABLE),
    _try("write to the environment", "write", "{environment}/hostile", stopped=("EROFS",)),
    _try("write to its own source", "write", "{source}/hostile", stopped=("EROFS",)),
    _try("change its own program", "open", "{program}", stopped=("EROFS",)),
    _try("write to a read-only mount", "write", "{data}/hostile", stopped=("EROFS",)),
    _try("write to /proc/sys", "open", "/proc/sys/kernel/core_pattern", stopped=_UNWRITABLE),
    _try("write to sysrq-trigger", "open", "/proc/sysrq-trigger", stopped=_UNWRITABLE, outside=""),
    _try("write to /sys", "open", "/sys/kernel/uevent_seqnum", stopped=_UNWRITABLE, outside=""),
    _try("change its control group", "open", "{cgroup}", stopped=_UNWRITABLE),
    _try("read a file of the host", "read", "{secret}", stopped=_INVISIBLE, outside="user"),
    _try("read it through its own first process", "read", "/proc/1/root{secret}", stopped=_INVISIBLE, outside=""),
    _try("read it by ..", "read", "{data}/../../../../../../../..{secret}", stopped=_INVISIBLE, outside="user"),
    _try("read it by a symlink in a mount", "read", "{work}/link", stopped=_INVISIBLE, outside="user"),
    _try("read it by a symlink of its own", "symlink", "{secret}", "{work}/{number}", stopped=_INVISIBLE, outside="user"),
    _try("read it by a hard link", "link", "{secret}", "{work}/{number}", stopped=(*_INVISIBLE, "EXDEV", "EPERM")),
    _try("read the passwords of the host", "read", "/etc/shadow", stopped=_INVISIBLE),
    _try("read the store", "read", "{store}", stopped=_INVISIBLE),
    _try("read kernel memory", "read", "/proc/kcore", stopped=(*_INVISIBLE, "EPERM", "empty"), outside=""),
    _try("write to the kernel's log", "open", "/dev/kmsg", stopped=_INVISIBLE),
    _try("open the terminal that it was started from", "open", "/dev/tty", stopped=("ENXIO", "ENOENT", "EIO")),
    _try("read files that were open", "descriptors", "{token}", stopped=("EBADF",)),
    _try("read the application's environment", "variables", "{token}", stopped=("ENOENT",)),
)  # fmt: skip
_NETWORK = (
    _try("reach a host outside", "connect", "{outside}", "{web}", stopped=_UNREACHABLE, outside="user"),
    _try("reach a metadata service", "connect", "{metadata}", "{web}", stopped=_UNREACHABLE, outside="user"),
    _try("ask a name server", "datagram", "{outside}", 53, "{name}", stopped=_UNREACHABLE, outside="user"),
    _try("resolve a name", "resolve", "{name}", stopped=_NO_NAME, outside="user"),
    *(
        _try(f"reach the host by its {which} address", "connect", f"{{address{number}}}", "{port}",
             stopped=_UNREACHABLE, outside="user")
        for number, which in enumerate(("first", "second", "IPv6"))
    ),
    _try("reach the host by the engine's gateway", "connect", "{gateway}", "{port}", stopped=_UNREACHABLE,
         outside="user", runtimes=("container",)),
    _try("reach a service on the host's loopback", "connect", "127.0.0.1", "{port}", stopped=("ECONNREFUSED",), outside="user"),
    _try("reach it by IPv6", "connect", "::1", "{port}", stopped=("ECONNREFUSED", *_UNREACHABLE), outside="user"),
    _try("reach an abstract socket of the host", "unix", "{abstract}", stopped=("ECONNREFUSED",), outside="user"),
    _try("reach the engine's socket", "unix", "{engine}", stopped=_INVISIBLE),
    _call("open a raw socket", "socket", 2, 3, 1),
    _call("open a packet socket", "socket", 17, 3, 768),
)  # fmt: skip
_PRIVILEGES = (
    _call("become root", "setuid", 0, stopped=(*_FORBIDDEN, "EINVAL")),
    _try("read root's file by a setuid program", "run", "{data}/cat", "{data}/roots", stopped=("status", "EACCES", "EPERM"),
         outside="user"),
    _try("read root's file by a program with capabilities", "run", "{data}/capable", "{data}/roots",
         stopped=("status", "EACCES", "EPERM"), outside="user"),
    _try("give a file to somebody else", "chown", "{work}/{number}", stopped=("EPERM", "EINVAL")),
    _call("make a user namespace", "unshare", 0x10000000, stopped=(*_FORBIDDEN, "ENOSPC")),
    _try("become root in a user namespace", "run", "/usr/bin/unshare", "--user", "--map-root-user", "/usr/bin/id",
         stopped=("status",)),
    _call("make a mount namespace", "unshare", 0x20000),
    _call("make a network namespace", "unshare", 0x40000000),
    _try("enter the namespaces of another server", "run", "/usr/bin/nsenter", "--target", "{neighbour}", "--net", "/usr/bin/id", stopped=("status",)),
    _call("mount", "mount", "hostile", "/dev/shm", "tmpfs", 0, 0),
    _call("make the root writable", "mount", "none", "/", "none", 32 | 4096, 0),
    _call("unmount", "umount2", "/dev/shm", 2, outside=""),
    _call("change the root", "chroot", "/tmp"),
    _call("pivot the root", "pivot_root", "/tmp", "/tmp"),
    _call("make a device node", "mknodat", _AT_CWD, "{tmp}/{number}", stat.S_IFCHR | 0o600, os.makedev(1, 1)),
    _call("open files by handle", "open_by_handle_at", _AT_CWD, "        ", 0),
    _call("trace a process of the host", "ptrace", 0x4206, "{neighbour}", 0, 0, stopped=(*_FORBIDDEN, "ESRCH")),
    _call("load a module", "finit_module", 0, "", 0, outside=""),
    _call("load a kernel", "kexec_load", 0, 0, 0, -1, outside=""),
    _call("load a program into the kernel", "bpf", 0, "        ", 8),
    _call("reboot", "reboot", 1, 1, 1, 0),
    _call("swap", "swapon", "/hostile", 0),
    _call("account processes", "acct", "/hostile"),
    _call("set the clock", "settimeofday", 0, 0),
    _call("set the host's name", "sethostname", "{hostname}", "{hostnames}"),
    _call("take priority", "setpriority", 0, 0, -5),
    _call("find a key", "request_key", "user", "hatchlock-hostile", 0, 0, stopped=(*_FORBIDDEN, "ENOKEY")),
    _call("add a key", "add_key", "user", "hatchlock-added", "x", 1, -3),
)  # fmt: skip
_NEIGHBOURS = (
    _try("see the command of another server", "scan", "cmdline", "{neighbours}", stopped=("ENOENT",)),
    _try("read the environment of another server", "scan", "environ", "{neighbours}", stopped=("ENOENT",)),
    _try("read the mounts of another server", "scan", "root{theirs}", "{neighbours}", stopped=("ENOENT",)),
    _try("read the temporary files of another server", "scan", "root/tmp/kept", "{neighbours}", stopped=("ENOENT",)),
    _try("read the memory files of another server", "read", "/dev/shm/kept", stopped=("ENOENT",), outside=""),
    _try("read the home of another server", "read", "/home/hatchlock/kept", stopped=("ENOENT",), outside=""),
    _try("stop another server", "kill", "{neighbour}", 0, stopped=("ESRCH", "EPERM")),
    _try("reach another server", "connect", "127.0.0.1", "{listening}", stopped=("ECONNREFUSED",), outside="user"),
    _try("reach another server by the host", "connect", "{address0}", "{listening}", stopped=_UNREACHABLE, outside="user"),
)  # fmt: skip
_EXHAUSTION = (
    _try("fork without end", "processes", 150, stopped=("EAGAIN",)),
    _try("start threads without end", "threads", 150, stopped=("EAGAIN",)),
    _try("open files without end", "files", 1100, stopped=("EMFILE",)),
    _try("raise its own limits", "more-files", 1 << 19, stopped=("EPERM", "status"), outside=""),
    _try("fill /tmp", "fill", "{tmp}", 80, stopped=("ENOSPC",)),
    _try("fill its home", "fill", "{home}", 80, stopped=("ENOSPC",)),
    _try("fill /dev/shm", "fill", "/dev/shm", 80, stopped=("ENOSPC",)),
)
ATTEMPTS = (*_FILES, *_NETWORK, *_PRIVILEGES, *_NEIGHBOURS, *_EXHAUSTION)
"""All that one long session tries. What may end a session is tried in one of its own."""


def denied(answer: str, stopped: tuple[str, ...]) -> bool:
    """Whether an answer of the server's says that it was stopped in one of these ways."""
    if answer in {"done: ", "done: b''"}:
        return "empty" in stopped
    return answer.startswith(tuple(f"denied: {word}" for word in stopped))


_APPLICATION = """
import ctypes, fcntl, os, platform, sys, termios
secret, *command = sys.argv[1:]
os.setsid()
master, terminal = os.openpty()
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.dup2(master, 8)
os.dup2(os.open(secret, os.O_RDONLY), 9)
add, control = (248, 250) if platform.machine() == "x86_64" else (217, 219)
kernel = ctypes.CDLL(None).syscall
assert kernel(control, 1, None) > 0
assert kernel(add, b"user", b"hatchlock-hostile", b"x", 1, ctypes.c_int(-3)) > 0
os.execvp(command[0], command)
"""


class Scene:
    """A machine with a hostile server, a neighbour, and everything that they are shown or not; a context manager.

    Sessions are started when they are asked for, and again when they have ended.
    """

    def __init__(self, world: World, runtime: Runtime, *, engine: str = "", image: str = "") -> None:
        self.world = world
        self.runtime = runtime
        self.token = f"token-{secrets.token_hex(8)}"
        self.neighbours = f"neighbour-{secrets.token_hex(8)}"
        self.engine = engine
        self.project = f"hostile-{secrets.token_hex(4)}"
        self._image = image
        self._sessions: dict[str, Run] = {}
        self._number = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.place = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="hatchlock-hostile-")))
        self._stack.callback(self._wait_for_watchdogs)
        self._write_files()
        if not self.engine:
            self._stack.enter_context(self._stand_in_for_an_engine())
        self._neighbour = self._stack.enter_context(self._start_neighbour())
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions.values():
            session.__exit__(None, None, None)
        self._stack.close()
        assert wait_for(lambda: self.left() == []), self.left()

    @property
    def listening(self) -> int:
        """The port of its neighbour."""
        return _PORTS[self.runtime]

    def attempt(self, attempt: Attempt, language: Language, session: Run | None = None) -> str:
        """Let the sandboxed server try something, in its long session if in no other."""
        session = session or self._session(f"sandboxed {language}", lambda: self.run(language))
        return ask(session, attempt.trick, *self._arguments(attempt, self._inside()))

    def attempt_outside(self, attempt: Attempt, language: Language) -> str:
        """Let the same server try the same without a sandbox."""
        user = attempt.outside == "user"
        session = self._session(f"{attempt.outside} {language}", lambda: self.outside(language, user=user))
        return ask(session, attempt.trick, *self._arguments(attempt, self._outside()))

    def left(self) -> list[object]:
        """Return the processes and containers of all its servers that are there."""
        if self.runtime in {"container", "podman"}:
            return [item.name for item in Engine(self.engine).list({"dev.hatchlock.project": self.project})]
        return [*processes_with(f"{self.place}/server/")]

    def neighbour_lives(self) -> bool:
        """Whether the server beside it still runs."""
        return Path(f"/proc/{self._neighbour}/cmdline").exists()

    def run(self, language: Language, *options: str, sandbox: Sandbox | None = None, err: int = subprocess.PIPE) -> Run:
        """Start a session of a hostile server's own, under hatchlock."""
        record = self.record(language, f"hostile-{language}", *options, sandbox=sandbox or Sandbox(stop_grace=GRACE))
        apply_records(self.home, [record])
        self._own(self.home)
        return self._started(run_command(self.home, record.server, self.project), err=err)

    def record(self, language: Language, server: str, *options: str, sandbox: Sandbox, **fields: Any) -> LaunchRecord:
        """Return the launch record of a server: the default profile, and two mounts."""
        program, *flags = command_of(language) if self.runtime != "user" else (PYTHON, "-I")
        needs = needs_of(language) if self.runtime != "user" else ()
        mounts = (
            Mount(source=str(self.place / "data"), target="/data"),
            Mount(source=str(self.place / "work"), target="/work", mode="rw"),
        )
        own = (str(self.place / "server"), str(self.place / "environment"))
        values: dict[str, Any] = {
            "project": self.project,
            "server": server,
            "runtime": "process",
            "argv": (program, *flags, str(self.place / "server" / script_of(language)), *options),
            "key": "0" * 64,
            "read_only_paths": (*needs, *own),
            "sandbox": replace(sandbox, mounts=(*mounts, *sandbox.mounts), reason="what it is for"),
            "directory": "/",
            **fields,
        }
        record = LaunchRecord(**values)
        if self.runtime == "process":
            uid = private_uid(self.project, server)
            return replace(record, sandbox=replace(record.sandbox, user=f"{uid}:{uid}"))
        if self.runtime == "user":
            return record
        sandbox = replace(record.sandbox, mounts=(*programs(*needs, *own), *record.sandbox.mounts))
        return replace(
            record, runtime="container", read_only_paths=(), image=self._image, engine=self.engine, sandbox=sandbox
        )

    def _wait_for_watchdogs(self) -> None:
        """What a `run` that was killed leaves to do is done by its watchdog, which also writes down that it was killed."""
        command = f"\0{self.home}\0{self.project}\0"
        assert wait_for(lambda: processes_with(command) == []), processes_with(command)

    @property
    def home(self) -> Path:
        return self.place / "home"

    @property
    def log(self) -> Path:
        """The directory of the servers' logs."""
        return self.home / "projects" / self.project / "logs"

    def _write_files(self) -> None:
        self.place.chmod(0o755)
        for name, mode in (("server", 0o777), ("environment", 0o777), ("data", 0o777), ("work", 0o777), ("home", 0o700),
                           ("theirs", 0o755), ("scratch", 0o777)):  # fmt: skip
            (self.place / name).mkdir()
            (self.place / name).chmod(mode)
        for name in ("hostile.py", "hostile.js"):
            shutil.copy(SERVERS / name, self.place / "server")
            (self.place / "server" / name).chmod(0o666)
        for name, content in (("secret", self.token), ("data/roots", self.token), ("theirs/kept", self.neighbours)):
            (self.place / name).write_text(content)
            (self.place / name).chmod(0o644)
        (self.place / "data" / "roots").chmod(0o600)
        (self.place / "work" / "link").symlink_to(self.place / "secret")
        for name, mode in (("cat", 0o4755), ("capable", 0o755)):
            shutil.copy("/usr/bin/cat", self.place / "data" / name)
            (self.place / "data" / name).chmod(mode)
        # CAP_DAC_OVERRIDE, permitted and effective (struct vfs_cap_data, revision 2)
        os.setxattr(self.place / "data" / "capable", "security.capability", struct.pack("<5I", 0x02000001, 2, 0, 0, 0))
        if self.runtime == "user":
            copy_ourselves(self.place / "source")
            self._own(self.home)

    @contextlib.contextmanager
    def _stand_in_for_an_engine(self) -> Iterator[None]:
        path = self.place / "engine.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            self.engine = f"unix://{path}"
            with greeting(listener, "engine", self.world.arrived):
                yield

    def _own(self, path: Path) -> None:
        if self.runtime == "user":
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(path)], check=True)

    @contextlib.contextmanager
    def _start_neighbour(self) -> Iterator[int]:
        """Run another server beside the hostile one: it keeps a secret everywhere, and listens. Yield its pid."""
        sandbox = Sandbox(
            network=("host",), stop_grace=GRACE, mounts=(Mount(source=str(self.place / "theirs"), target="/theirs"),)
        )
        record = self.record("python", "neighbour", "--listen", str(self.listening), "--keep", self.neighbours,
                             sandbox=sandbox, env={"KEPT": self.neighbours})  # fmt: skip
        apply_records(self.home, [record])
        self._own(self.home)
        with self._started(run_command(self.home, "neighbour", self.project)) as session:
            session.hello()
            yield max(processes_with(f"--keep\0{self.neighbours}"))

    def _started(self, command: list[str], *, err: int = subprocess.PIPE) -> Run:
        env = {**BARE, "CLOUD_TOKEN": self.token}
        if self.runtime == "user":
            env["PYTHONPATH"] = str(self.place / "source")
            command = [*as_nobody(), PYTHON, *command[1:]]
        return Run(command=self._application(command), env=env, err=err)

    def _application(self, command: list[str]) -> list[str]:
        return [*self.world.enter, sys.executable, "-c", _APPLICATION, str(self.place / "secret"), *command]

    def outside(self, language: Language, *, user: bool = False) -> Run:
        """Start a session of the server's own without a sandbox, as root or as an ordinary user."""
        command = [*command_of(language), str(self.place / "server" / script_of(language))]
        env = {**BARE, "CLOUD_TOKEN": self.token, "HOME": str(self.place / "scratch")}
        return Run(command=self._application([*(as_nobody() if user else ()), *command]), env=env)

    def _session(self, name: str, start: Any) -> Run:
        session = self._sessions.get(name)
        if session is None or session.process.poll() is not None:
            session = start()
            session.hello()
            self._sessions[name] = session
        return session

    def _arguments(self, attempt: Attempt, values: Mapping[str, Any]) -> list[Any]:
        self._number += 1
        known = {**values, "number": f"hostile-{self._number}"}

        def filled(item: float | str) -> Any:
            if not isinstance(item, str) or "{" not in item:
                return item
            whole = known.get(item[1:-1])
            return whole if whole is not None else item.format(**known)

        # a program's arguments are texts
        return [str(filled(item)) if attempt.trick == "run" else filled(item) for item in attempt.arguments]

    def _inside(self) -> dict[str, Any]:
        return {**self._outside(), "data": "/data", "work": "/work", "tmp": "/tmp", "home": "/home/hatchlock",
                "theirs": "/theirs/kept"}  # fmt: skip

    def _outside(self) -> dict[str, Any]:
        place, world = self.place, self.world
        name = socket.gethostname()
        groups = [
            path for path in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")) if (path / "cgroup.procs").exists()
        ]
        return {
            **{item: str(place / item) for item in ("data", "work", "environment", "secret")},
            "source": str(place / "server"),
            "program": str(place / "server" / "hostile.py"),
            "tmp": str(place / "scratch"),
            "home": str(place / "scratch"),
            "theirs": "/theirs/kept",
            "store": str(self.home / "projects" / self.project / "active.json"),
            "token": self.token,
            "neighbours": self.neighbours,
            "neighbour": self._neighbour,
            "hostname": name,
            "hostnames": len(name),
            "cgroup": f"{groups[0]}/cgroup.procs",
            "engine": self.engine.removeprefix("unix://"),
            "outside": world.outside,
            "metadata": world.metadata,
            "name": world.name,
            "abstract": world.abstract,
            **{f"address{number}": address for number, address in enumerate(world.addresses)},
            "port": world.port,
            "web": world.web,
            "gateway": "172.17.0.1",
            "listening": self.listening,
        }


def ask(session: Run, trick: str, *arguments: Any) -> str:
    """Let a hostile server try something, and return its answer."""
    return session.call("attempt", trick=trick, arguments=list(arguments))


def ask_for_the_last_time(session: Run, trick: str, *arguments: Any) -> str:
    """Let a hostile server try what may end it, and return its answer, or how it ended."""
    call = {"name": "attempt", "arguments": {"trick": trick, "arguments": list(arguments)}}
    session.write({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call})
    assert session.process.stdout is not None
    if out := session.process.stdout.readline():
        return str(json.loads(out)["result"]["content"][0]["text"])
    status, _, err = session.end()
    return f"ended with status {status}: {err.decode(errors='replace')}"


def as_nobody() -> tuple[str, ...]:
    """Return what starts a program as an ordinary user."""
    return (
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
    )


def script_of(language: Language) -> str:
    return "hostile.py" if language == "python" else "hostile.js"


def command_of(language: Language) -> tuple[str, ...]:
    if language == "node":
        return (find_node("", os.environ).path,)
    return (find_interpreter(f"3.{sys.version_info.minor}", os.environ).path, "-I")


def needs_of(language: Language) -> tuple[str, ...]:
    if language == "node":
        return find_node("", os.environ).prefixes
    return find_interpreter(f"3.{sys.version_info.minor}", os.environ).prefixes
