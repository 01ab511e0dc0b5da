"""The process runtime's machine: platform, interpreters, what isolates processes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.engines.reach import outermost, shows_too_much
from hatchlock.errors import HatchlockError, PermissionProblem
from hatchlock.files import atomic_write, memory_file, private_directory
from hatchlock.security.bubblewrap import TEMPORARY, System
from hatchlock.security.kept_filter import FILTERED_MACHINES, kept_filter
from hatchlock.security.sandbox import IsolationFacts, isolation_problem

if TYPE_CHECKING:
    from hatchlock.security.seatbelt import Seatbelt

__all__ = [
    "Interpreter",
    "InterpreterMissing",
    "check_isolation",
    "find_bwrap",
    "find_interpreter",
    "find_program",
    "host_platform",
    "isolation_system",
]

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_SEATBELT = "/usr/bin/sandbox-exec"
_TRIAL_SECONDS = 10.0
_TRIAL_RULE = 1
"""Raised when a trial tries something else than before."""
_BOTH, _ONE = "no-programs", "plain"
_SWITCHES = (
    *("kernel/random/boot_id", "kernel/osrelease", "kernel/unprivileged_userns_clone"),
    *("kernel/apparmor_restrict_unprivileged_userns", "user/max_user_namespaces", "user/max_mnt_namespaces"),
)
_NAMESPACED_COUNTS = (5, 14)
_FACTS = (
    *("acpi", "asound", "interrupts", "kcore", "key-users", "keys", "latency_stats", "sched_debug", "scsi"),
    *("timer_list", "timer_stats"),
)
"""What of /proc no server needs: keys of others, addresses, hardware, how busy others are."""
_QUESTION = """
import json, os, sys, sysconfig
here = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
paths = sysconfig.get_paths(vars={"base": sys.base_prefix, "installed_base": sys.base_prefix})
shared = os.path.join(sys.base_exec_prefix, "lib", str(sysconfig.get_config_var("INSTSONAME")))
needed = [here, paths["stdlib"], *([shared] if os.path.isfile(shared) else [])]
print(json.dumps([here, "%d.%d.%d" % sys.version_info[:3], [sys.base_prefix, sys.base_exec_prefix], needed]))
"""


@dataclass(kw_only=True, eq=False)
class InterpreterMissing(HatchlockError):
    """No Python of the wanted version was found."""

    code: ClassVar[str] = "interpreter-missing"

    version: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        found = f"; found: {', '.join(self.found)}" if self.found else ""
        return f"Python {self.version} is not on PATH{found}"

    def _hint(self) -> str:
        return f"install it (`uv python install {self.version}`, or your system's python{self.version}) and put python{self.version} on PATH"


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python of this machine.

    Attributes:
        path: Its real path, no virtual environment and no shim.
        version: Full version, "3.11.7".
        prefixes: What it needs to run, absolute and real, outermost ones only, sorted: its prefix, or of one that holds
            more than Python (`~/.local`) the program and its library.
    """

    path: str
    version: str
    prefixes: tuple[str, ...]


def host_platform() -> str:
    """Return this machine's platform as containers name it: "linux/amd64", "darwin/arm64"."""
    facts = os.uname()
    return f"{facts.sysname.lower()}/{_MACHINES.get(facts.machine.lower(), facts.machine.lower())}"


def find_program(name: str, path: str) -> str | None:
    """Return the first executable file called `name` in the directories of `path` and the system's own, or None."""
    for directory in (*path.split(os.pathsep), *_SYSTEM_PATH.split(":")):
        candidate = f"{directory}/{name}"
        if directory.startswith("/") and os.access(candidate, os.X_OK) and Path(candidate).is_file():
            return candidate
    return None


def find_bwrap(path: str) -> str | None:
    """Return the path of bubblewrap, or None; `path` is a PATH."""
    return find_program("bwrap", path)


def find_interpreter(version: str, environ: Mapping[str, str]) -> Interpreter:
    """Return a Python of a version ("3.11", "3.11.9"): the one that runs this program, else the first one on PATH.

    Candidates are asked themselves (`-I -c`), so shims and virtual environments lead to the real interpreter. That takes
    some 20 ms each; callers keep the answer.

    Raises:
        InterpreterMissing: There is none.
    """
    found = []
    for candidate in _candidates(version, environ):
        interpreter = _ask(candidate, environ)
        if interpreter is None:
            continue
        if f"{interpreter.version}.".startswith(f"{version}."):
            return interpreter
        found.append(f"{interpreter.path} ({interpreter.version})")
    raise InterpreterMissing(version=version, found=tuple(dict.fromkeys(found)))


def _candidates(version: str, environ: Mapping[str, str]) -> Iterator[str]:
    minor = ".".join(version.split(".")[:2])
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield str(getattr(sys, "_base_executable", sys.executable))
    for name in (f"python{minor}", "python3", "python"):
        for directory in environ.get("PATH", "").split(os.pathsep):
            candidate = f"{directory}/{name}"
            if directory.startswith("/") and os.access(candidate, os.X_OK):
                yield candidate


def _ask(candidate: str, environ: Mapping[str, str]) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [candidate, "-I", "-c", _QUESTION],
            env=dict(environ),
            capture_output=True,
            timeout=_TRIAL_SECONDS,
            check=True,
        )
        path, version, prefixes, needed = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    own = [prefix for prefix in prefixes if not shows_too_much(Path(os.path.realpath(prefix)), environ)]
    return Interpreter(
        path=path, version=version, prefixes=outermost(os.path.realpath(item) for item in (*own, *needed))
    )


def isolation_system(
    environ: Mapping[str, str], *, memory: Path | None = None, platform: str = sys.platform, seatbelt: str = _SEATBELT
) -> System | Seatbelt | str:
    """Return what isolates processes on this machine, or why nothing does, in one clause.

    On Linux looks at a few files and starts bubblewrap once, with the namespaces that a server gets: about 10 ms.

    Args:
        environ: Where PATH finds bubblewrap.
        memory: A file that keeps what a trial has shown, until something changes that decides on it; None: try it now.
        platform: `sys.platform`.
        seatbelt: Where macOS has `sandbox-exec`.
    """
    if platform == "darwin" and os.access(seatbelt, os.X_OK):
        from hatchlock.security.seatbelt import Seatbelt  # noqa: PLC0415  macOS alone has it

        return Seatbelt(program=seatbelt)
    path = environ.get("PATH", "")
    bwrap = find_bwrap(path)
    root = os.geteuid() == 0
    tools = {name: _below_usr(name) for name in ("prlimit", "setpriv")}
    needed = ("prlimit", "setpriv") if root else ("prlimit",)
    missing = tuple(name for name in needed if tools[name] is None)
    machine = os.uname().machine
    unfiltered = "" if machine in FILTERED_MACHINES else machine
    facts = IsolationFacts(system=platform, bwrap=bwrap, missing=missing, unfiltered=unfiltered)
    problem = isolation_problem(facts)
    if problem is not None or bwrap is None:
        return problem or ""
    system = replace(_system(bwrap, tools["prlimit"] or "", tools["setpriv"] or "", root=root), no_programs=True)
    plainer = replace(system, no_programs=False)
    key = _circumstances(bwrap)
    known = _remembered(memory, key)
    if known:
        return system if known == _BOTH else plainer
    if not _trial(system):
        _remember(memory, key, _BOTH)
        return system
    trial = _trial(plainer)
    if not trial:
        _remember(memory, key, _ONE)
    return isolation_problem(replace(facts, trial=trial)) or plainer


def _circumstances(bwrap: str) -> str:
    """Return what decides on a trial, as far as it can change while this machine runs: name spaces, switches, bubblewrap."""
    facts = Path(bwrap).stat()
    words = [
        f"{_TRIAL_RULE} {bwrap} {facts.st_ino} {facts.st_size} {facts.st_mode} {facts.st_mtime_ns} {facts.st_ctime_ns}"
    ]
    words += [f"{name} {_content(Path('/proc/sys') / name)}" for name in _SWITCHES]
    words += [f"{name} {(Path('/proc/self/ns') / name).readlink()}" for name in ("user", "mnt", "pid", "net")]
    status = _content(Path("/proc/self/status")).splitlines()
    words += [line for line in status if line.startswith(("Uid:", "Gid:", "Cap", "NoNewPrivs:", "Seccomp"))]
    return sha256_bytes("\n".join([*words, _content(Path("/proc/self/attr/current"))]).encode())


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _remembered(memory: Path | None, key: str) -> str:
    found = _content(memory).split() if memory else []
    return found[1] if len(found) == len((_BOTH, key)) and found[0] == key else ""


def _remember(memory: Path | None, key: str, found: str) -> None:
    if memory:
        with contextlib.suppress(OSError, PermissionProblem):  # then it is tried again
            private_directory(memory.parent)
            atomic_write(memory, f"{key} {found}\n".encode(), durable=False)


def check_isolation(environ: Mapping[str, str] | None = None) -> str | None:
    """Return why processes cannot be isolated on this machine, in one clause, or None when they can."""
    found = isolation_system(os.environ if environ is None else environ)
    return found if isinstance(found, str) else None


def _below_usr(name: str) -> str | None:
    """Only /usr is inside the sandbox."""
    for directory in ("/usr/bin", "/usr/sbin"):
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    return None


def _system(bwrap: str, prlimit: str, setpriv: str, *, root: bool) -> System:
    import resource  # noqa: PLC0415  not on every system

    machine = os.uname().machine
    names = [name for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32") if os.path.lexists(f"/{name}")]
    links = {name: str(Path(f"/{name}").readlink()) for name in names if Path(f"/{name}").is_symlink()}
    facts = [path for path in (f"/proc/{name}" for name in _FACTS) if os.path.lexists(path)]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return System(
        bwrap=bwrap,
        prlimit=prlimit,
        setpriv=setpriv,
        root=root,
        uid=os.geteuid(),
        gid=os.getegid(),
        symlinks=links,
        directories=tuple(f"/{name}" for name in names if name not in links),
        facts=tuple(path for path in facts if not Path(path).is_dir()),
        fact_directories=tuple(path for path in facts if Path(path).is_dir()),
        max_files=hard if hard != resource.RLIM_INFINITY else 1 << 20,
        counts_by_namespace=_kernel() >= _NAMESPACED_COUNTS,
        machine=machine,
        kernel=_kernel(),
        seccomp=kept_filter(machine),
    )


def _kernel() -> tuple[int, int]:
    major, minor, *_ = os.uname().release.split(".")
    return int(major), int("".join(character for character in minor if character.isdigit()) or 0)


def _trial(system: System) -> str:
    """Run a program with the namespaces and the filter of a server; return bubblewrap's last complaint, or ""."""
    from hatchlock.engines.temporary import mount_temporary  # noqa: PLC0415  it loads ctypes

    user = [] if system.root else ["--unshare-user", "--disable-userns"]
    links = [part for name, target in system.symlinks.items() for part in ("--symlink", target, f"/{name}")]
    plain = [part for directory in system.directories for part in ("--ro-bind", directory, directory)]
    written = ("--bind", TEMPORARY["/tmp"], "/tmp") if system.no_programs else ("--size", "4096", "--tmpfs", "/tmp")  # noqa: S108
    before = functools.partial(mount_temporary, [TEMPORARY["/tmp"]], size=4096) if system.no_programs else None  # noqa: S108
    seccomp = memory_file(system.seccomp)
    try:
        done = subprocess.run(
            [
                *(system.bwrap, *user, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
                *("--ro-bind", "/usr", "/usr", *links, *plain, "--proc", "/proc", "--dev", "/dev", *written),
                *("--seccomp", str(seccomp), "--", system.prlimit, "--version"),
            ],
            env={},
            pass_fds=(seccomp,),
            preexec_fn=before,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    finally:
        os.close(seccomp)
    complaint = done.stderr.decode(errors="replace").strip().splitlines()
    return "" if done.returncode == 0 else (complaint[-1] if complaint else f"status {done.returncode}")
