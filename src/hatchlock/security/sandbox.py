"""The sandbox in words, and what both runtimes share: the server's uid, its environment, what is not supported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.launch import HOME_INSIDE, LaunchRecord, Mount, Runtime, Sandbox, place_inside, size_in_bytes

__all__ = [
    "HOME_INSIDE",
    "IsolationFacts",
    "NotIsolated",
    "SandboxUnsupported",
    "isolation_problem",
    "nested_mounts",
    "private_uid",
    "profile_line",
    "relaxations",
    "relaxed",
    "server_environment",
    "shares_network",
    "unsupported",
]

_FIRST_UID = 0x70000000
_MINIMAL_PATH = "/usr/local/bin:/usr/bin:/bin"
_SIZES = ("memory", "swap", "tmp", "log_size")
_COUNTS = ("cpus", "pids", "files")
_SWITCHES = ("network", "run_as", "read_only", "mounts", "writable", "capabilities", "seccomp", "apparmor", "selinux")
"""What of the profile has no amount: everything but its default allows more, or may."""


@dataclass(kw_only=True, eq=False)
class NotIsolated(HatchlockError):
    """The process runtime was asked to isolate a server, and this machine cannot."""

    code: ClassVar[str] = "not-isolated"

    problem: str

    def __str__(self) -> str:
        return f"this server must be isolated, and that is not possible here: {self.problem}"

    def _hint(self) -> str:
        install = "install bubblewrap (`apt-get install bubblewrap`, `dnf install bubblewrap`)"
        mend = install if "not installed" in self.problem else "allow bubblewrap to make user namespaces"
        return f'{mend}, or use runtime = "container", or accept no isolation with isolation = "best-effort"'


@dataclass(kw_only=True, eq=False)
class SandboxUnsupported(HatchlockError):
    """The sandbox asks for something that its runtime does not do (yet); nothing was started."""

    code: ClassVar[str] = "sandbox-unsupported"

    runtime: Runtime
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return f"the {self.runtime} runtime does not support {'; '.join(self.problems)}"

    def _hint(self) -> str:
        return "change the server's [sandbox] table, then run `hatchlock lock` and `hatchlock apply`"


@dataclass(frozen=True, kw_only=True, slots=True)
class IsolationFacts:
    """What was found out about the ability to isolate processes of a machine that has no Seatbelt.

    Attributes:
        system: `sys.platform`: "linux" or "darwin".
        bwrap: Path of bubblewrap, or None.
        missing: Names of the other programs that are needed and missing.
        unfiltered: The machine's name (`riscv64`), where there is no filter of system calls for it.
        trial: What a trial run of bubblewrap complained about; "" when it worked or was not made.
    """

    system: str
    bwrap: str | None
    missing: tuple[str, ...] = ()
    unfiltered: str = ""
    trial: str = ""


def isolation_problem(facts: IsolationFacts) -> str | None:
    """Return why processes cannot be isolated here, in one clause, or None when they can."""
    if facts.system == "darwin":
        return "macOS's sandbox-exec is not there"
    if facts.system != "linux":
        return f"bubblewrap exists on Linux only, and this is {facts.system}"
    if facts.bwrap is None:
        return "bubblewrap (bwrap) is not installed"
    if facts.missing:
        return f"{' and '.join(facts.missing)} (util-linux) is not installed"
    if facts.unfiltered:
        return f"there is no filter of system calls for {facts.unfiltered}"
    return f"bubblewrap does not work ({facts.trial})" if facts.trial else None


def private_uid(project: str, server: str) -> int:
    """Return the uid of a server that root starts: numeric, in nobody's range, and not shared between servers.

    RLIMIT_NPROC counts all processes of a uid, so two servers with the same one would take each other's share.
    """
    return _FIRST_UID + int(sha256_bytes(f"{project}/{server}".encode())[:6], 16)


def shares_network(sandbox: Sandbox) -> bool:
    """Whether the server sees the network of this machine, and not one of its own."""
    return sandbox.network in {("internet",), ("host",)}


def nested_mounts(sandbox: Sandbox) -> Iterator[tuple[Mount, Mount]]:
    """Yield each mount whose target is inside of another one's, and that other one."""
    places = [(mount, place_inside(mount.target)) for mount in sandbox.mounts]
    for inner, place in places:
        yield from ((inner, outer) for outer, above in places if place.startswith(f"{above}/"))


def unsupported(record: LaunchRecord, *, root: bool) -> tuple[str, ...]:
    """Return what the record's sandbox asks for and its runtime does not do, one clause each; empty when all is well.

    Args:
        record: What is to be started.
        root: Whether root starts it.
    """
    sandbox = record.sandbox
    problems = []
    if len(sandbox.network) != 1 and not all(":" in item for item in sandbox.network):
        problems.append(f"a network that is {' and '.join(sandbox.network) or 'nothing'}")
    if record.runtime == "process":
        guards = (("an AppArmor profile", sandbox.apparmor), ("an SELinux type", sandbox.selinux))
        problems += [f"{what} ({value})" for what, value in guards if value != "default"]
    if record.runtime == "process":
        # bubblewrap would go through a link that the server has put there, to places outside, and make files
        writable = [(inner, outer) for inner, outer in nested_mounts(sandbox) if outer.mode == "rw"]
        problems += [f"a mount at {inner.target} inside of {outer.target}, which is rw" for inner, outer in writable]
    if record.runtime == "process" and sandbox.capabilities:
        problems.append(f"capabilities ({', '.join(sandbox.capabilities)})")
    if root and sandbox.run_as == "host":
        problems.append('run-as = "host" when root starts it, since no server runs as root')
    return tuple(problems)


def server_environment(record: LaunchRecord, secrets: Mapping[str, str], *, scratch: str = "") -> dict[str, str]:
    """Return the whole environment of a server: nothing of ours is inherited.

    Args:
        record: Its `env` goes over the defaults.
        secrets: Resolved values by variable, over both.
        scratch: A directory that serves as HOME and TMPDIR where there is no sandbox to make them.
    """
    env = {
        "HOME": scratch or HOME_INSIDE,
        "USER": "hatchlock",
        "TMPDIR": scratch or "/tmp",  # noqa: S108  a tmpfs of its own inside the sandbox
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    if record.runtime == "process":
        # A container keeps its image's PATH; here the environment's own programs come first.
        own = str(PurePosixPath(record.argv[0]).parent)
        env["PATH"] = f"{own}:{_MINIMAL_PATH}" if own.startswith("/") else _MINIMAL_PATH
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    return {**env, **record.env, **secrets}


def profile_line(sandbox: Sandbox, *, runtime: Runtime = "container", together: frozenset[str] = frozenset()) -> str:
    """Return the whole effective profile in one line, for plans: what is allowed, and which limits bind how.

    Args:
        sandbox: The profile.
        runtime: Where it holds.
        together: Of a process: what this machine limits for all processes of a server together, of `engines.cgroups.CONTROLLERS`.
    """
    alone = runtime == "process"
    each = " for each process" if alone and "memory" not in together else ""
    parts = [
        f"network {' '.join(sandbox.network)}",
        f"user {sandbox.user if sandbox.run_as == 'user' else 'of the caller'}",
        f"root {'read-only' if sandbox.read_only else 'writable'}",
        *(f"{item.target} from {item.source} ({item.mode})" for item in sandbox.mounts),
        *(f"{path} kept" for path in sandbox.writable),
        f"/tmp {sandbox.tmp}",  # noqa: S108  inside the sandbox
        "+".join(sandbox.capabilities) or "no capabilities",
        "no new privileges",
        f"seccomp {sandbox.seccomp}",
        *(f"{name} {value}" for name, value in _confinement(sandbox)),
        f"memory {sandbox.memory}{each}",
        f"swap {sandbox.swap}" if size_in_bytes(sandbox.swap) else "no swap",
        "no limit of cpu" if alone and "cpu" not in together else f"{sandbox.cpus:g} cpu",
        f"{sandbox.pids} processes",
        f"{sandbox.files} files",
        f"log {sandbox.log_size}",
        f"ends by {sandbox.stop_signal} within {sandbox.stop_grace:g} s",
    ]
    return ", ".join(parts)


def _confinement(sandbox: Sandbox) -> tuple[tuple[str, str], ...]:
    named = (("AppArmor", sandbox.apparmor), ("SELinux", sandbox.selinux))
    return tuple((name, value) for name, value in named if value != "default")


def relaxed(sandbox: Sandbox) -> tuple[str, ...]:
    """Return the fields that allow more than the default profile does; what is only stricter is not among them.

    `manifest.checks.relaxations` says the same of what is written.
    """
    default = Sandbox()
    sizes = {name for name in _SIZES if size_in_bytes(getattr(sandbox, name)) > size_in_bytes(getattr(default, name))}
    counts = {name for name in _COUNTS if getattr(sandbox, name) > getattr(default, name)}
    switched = {name for name in _SWITCHES if getattr(sandbox, name) != getattr(default, name)}
    return tuple(name for name in sandbox.deviations() if name in sizes | counts | switched)


def relaxations(sandbox: Sandbox, *, runtime: Runtime = "container") -> tuple[str, ...]:
    """Return each relaxation of the default profile, in full and with its reason, for plans."""
    default = Sandbox()
    reason = f" (reason: {' '.join(sandbox.reason.split())})" if sandbox.reason else " (no reason given)"
    lines = [
        f"{name.replace('_', '-')} = {_shown(getattr(sandbox, name))}, default {_shown(getattr(default, name))}{reason}"
        for name in relaxed(sandbox)
    ]
    lines += _opened(sandbox, runtime)
    return tuple(lines)


def _opened(sandbox: Sandbox, runtime: Runtime) -> tuple[str, ...]:
    """Say what a network opens besides what its name says."""
    if not shares_network(sandbox):
        return ()
    if runtime == "process":
        return ("the process runtime shares the machine's network: services on loopback and in its LAN are reachable",)
    if sandbox.network == ("host",):
        return ("host is this machine's own network: services on its loopback and in its LAN are reachable",)
    return ("internet is every address: this machine's own, where services listen on them, and its LAN are reachable",)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    if hasattr(value, "source"):
        relabel = f", {value.relabel} label" if value.relabel else ""
        return f"{value.source} at {value.target} ({value.mode}{relabel})"
    return str(value).lower() if isinstance(value, bool) else str(value)
