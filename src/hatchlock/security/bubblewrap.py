"""A launch record as a bubblewrap command line. Pure: what is there on this machine comes in as `System`.

The options go to bubblewrap through a file descriptor (`--args`), because they hold the environment and with it
secrets, which must be neither in an argument list nor in the environment of a process outside the sandbox.

Limits are those of control groups where this machine lets us make some (`engines.cgroups`), else rlimits. Whoever starts
bubblewrap sets them beforehand, or `prlimit` inside, which takes 2 ms: RLIMIT_NPROC counts by uid and user namespace, so it must
be set where the server's own count begins. Memory is RLIMIT_DATA and not RLIMIT_AS, since V8 and others reserve address space
that they never use; it binds each process for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from hatchlock.launch import LaunchRecord, Sandbox, size_in_bytes
from hatchlock.security.network import CA_INSIDE, HOSTNAME, is_listed
from hatchlock.security.provided import SECRETS_INSIDE
from hatchlock.security.sandbox import HOME_INSIDE, shares_network

__all__ = [
    "TEMPORARY",
    "TEMPORARY_BASE",
    "System",
    "bubblewrap_argv",
    "bubblewrap_options",
    "identity_files",
    "limits",
    "limits_of_each",
    "system_calls",
]

_DROPPED = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
TEMPORARY_BASE = "/sys"
"""Where directories from which no program is started are, for bubblewrap to take: a place that no server gets to see."""

_NEXT_TO_NOTHING = "4096"
_TEMPORARY = "/tmp"  # noqa: S108  inside the sandbox
TEMPORARY = {path: f"{TEMPORARY_BASE}/{number}" for number, path in enumerate(("/dev/shm", _TEMPORARY, HOME_INSIDE))}  # noqa: S108
"""The directories that a server may write to by default -> where they come from, if they are those."""

_ETC = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/timezone",
)
_ETC_TRUST = (
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/etc/protocols",
    "/etc/services",
)
_ETC_NAMES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/host.conf",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """The facts of this machine that the command line depends on.

    Attributes:
        bwrap: Path of bubblewrap.
        prlimit: Path of util-linux' prlimit, below /usr.
        setpriv: Path of util-linux' setpriv, below /usr; needed for root only.
        root: Whether the caller is root: then the server gets a real uid of its own, without a user namespace.
        uid: The caller's uid.
        gid: The caller's gid.
        symlinks: Top-level symlinks into /usr, name -> target: {"bin": "usr/bin"}.
        directories: Top-level system directories that are none: ("/lib64",).
        facts: What /proc tells of the whole machine and no server needs to know, as far as it is there: files.
        fact_directories: The same, directories.
        max_files: The hard limit of open files.
        counts_by_namespace: Whether RLIMIT_NPROC counts each user namespace apart (Linux 5.14 and later).
        machine: As the kernel names it, `x86_64`.
        kernel: The kernel's version.
        seccomp: The filter of `seccomp = "default"` for this machine.
        grouped: What is limited for all processes of the server together, by a control group: "memory", "cpu", "pids". There
            no limit of each process's own is set besides, since it would count what is reserved and not used.
        no_programs: Whether what can be written to is mounted beforehand, so that no program is started from there.
        limited: Whether `limits_of_each` are those of the process that becomes bubblewrap.
    """

    bwrap: str
    prlimit: str
    setpriv: str
    root: bool
    uid: int
    gid: int
    symlinks: Mapping[str, str]
    directories: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    fact_directories: tuple[str, ...] = ()
    max_files: int = 1024
    counts_by_namespace: bool = True
    machine: str = ""
    kernel: tuple[int, int] = (0, 0)
    seccomp: bytes = b""
    grouped: frozenset[str] = frozenset()
    no_programs: bool = False
    limited: bool = False


def system_calls(sandbox: Sandbox, system: System, profile: bytes) -> bytes:
    """Return the filter of system calls that a server gets; empty for `unconfined`.

    Args:
        sandbox: Its profile.
        system: This machine.
        profile: The content of the file that `sandbox.seccomp` names, if it names one.

    Raises:
        SeccompProfileUnusable: That file makes no filter.
    """
    if sandbox.seccomp == "default":
        return system.seccomp
    if sandbox.seccomp == "unconfined":
        return b""
    from hatchlock.security.seccomp import profile_filter  # noqa: PLC0415  few servers have one

    return profile_filter(profile, machine=system.machine, kernel=system.kernel)


def bubblewrap_options(
    record: LaunchRecord,
    system: System,
    *,
    env: Mapping[str, str],
    files: Mapping[str, int],
    seccomp: int | None,
    root: str = "",
) -> tuple[str, ...]:
    """Return bubblewrap's options for a server: everything but the command.

    Args:
        record: What to start. Its mount sources exist.
        system: This machine.
        env: The server's whole environment, secrets included.
        files: Path inside -> open file descriptor whose bytes the file gets (`identity_files`).
        seccomp: Open file descriptor of its filter (`system_calls`); None for none.
        root: A directory of this machine that is its root, below everything else; "" for memory.

    Returns:
        Options to write, NUL-terminated, to the descriptor named by `--args`.
    """
    return (
        *_namespaces(record, system),
        *_privileges(record, system),
        *_bottom(record.sandbox, root),
        *_file_system(record, system, files),
        *_environment(env),
        *(("--seccomp", str(seccomp)) if seccomp is not None else ()),
        "--chdir",
        record.cwd or HOME_INSIDE,
    )


def bubblewrap_argv(
    record: LaunchRecord, system: System, *, args: int, info: int, block: int | None = None
) -> tuple[str, ...]:
    """Return the command line that starts bubblewrap, with the server's own command at its end.

    Args:
        record: What to start.
        system: This machine.
        args: Descriptor that gives the options.
        info: Descriptor that takes bubblewrap's JSON about the sandbox's first process.
        block: Descriptor that is read from before the server is started; None for at once.
    """
    return (
        *(system.bwrap, "--args", str(args), "--info-fd", str(info)),
        *(("--block-fd", str(block), "--") if block is not None else ("--",)),
        *((system.prlimit, *inside, "--") if (inside := limits(record.sandbox, system)) else ()),
        *(_drop_to(*_identity(record, system), system) if system.root else ()),
        *record.argv,
    )


def limits(sandbox: Sandbox, system: System) -> tuple[str, ...]:
    """Return prlimit's options for a profile, inside: soft and hard limits, never above the machine's own."""
    each = {} if system.limited else limits_of_each(sandbox, system)
    if "pids" not in system.grouped and (system.root or system.counts_by_namespace):
        each = {**each, "nproc": sandbox.pids}
    return tuple(f"--{name}={value}:{value}" for name, value in each.items())


def limits_of_each(sandbox: Sandbox, system: System) -> dict[str, int]:
    """Return the limits of a profile that each process has for itself, wherever they are set; prlimit's names."""
    # one byte and not none: none does not stop a dump that goes to a program of the machine
    each = {"nofile": min(sandbox.files, system.max_files), "core": 1}
    return each if "memory" in system.grouped else {**each, "data": size_in_bytes(sandbox.memory)}


def identity_files(record: LaunchRecord, system: System) -> dict[str, str]:
    """Return path -> content of the files by which a numeric user gets a name; Node and Python want one."""
    uid, gid = _identity(record, system)
    return {
        "/etc/passwd": f"root:x:0:0:root:/:/usr/sbin/nologin\nhatchlock:x:{uid}:{gid}::{HOME_INSIDE}:/usr/sbin/nologin\n",
        "/etc/group": f"root:x:0:\nhatchlock:x:{gid}:\n",
    }


def _identity(record: LaunchRecord, system: System) -> tuple[int, int]:
    if record.sandbox.run_as == "host":
        return system.uid, system.gid
    uid_text, _, gid_text = record.sandbox.user.partition(":")
    return int(uid_text), int(gid_text or uid_text)


def _namespaces(record: LaunchRecord, system: System) -> Iterable[str]:
    if not system.root:
        uid, gid = _identity(record, system)
        yield from ("--unshare-user", "--disable-userns", "--uid", str(uid), "--gid", str(gid))
    yield from ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--hostname", HOSTNAME)
    if not shares_network(record.sandbox):
        yield "--unshare-net"
    yield from ("--die-with-parent", "--new-session", "--clearenv")


def _privileges(_: LaunchRecord, system: System) -> Iterable[str]:
    yield from ("--cap-drop", "ALL")
    if system.root:
        # What setpriv needs to give everything away, these three included.
        for capability in _DROPPED:
            yield from ("--cap-add", capability)


def _drop_to(uid: int, gid: int, system: System) -> tuple[str, ...]:
    return (
        *(system.setpriv, "--reuid", str(uid), "--regid", str(gid), "--clear-groups", "--no-new-privs"),
        *("--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--"),
    )


def _bottom(sandbox: Sandbox, root: str) -> tuple[str, ...]:
    """Bubblewrap's own root is a tmpfs without a size: a root that may be written to could be filled for ever."""
    if root:
        return ("--bind", root, "/")
    return ("--perms", "0755", "--size", str(size_in_bytes(sandbox.tmp)), "--tmpfs", "/")


def _proc(system: System) -> Iterable[str]:
    yield from ("--proc", "/proc")
    for path in system.facts:
        yield from ("--ro-bind", "/dev/null", path)
    for path in system.fact_directories:
        yield from ("--size", _NEXT_TO_NOTHING, "--tmpfs", path, "--remount-ro", path)


def _file_system(record: LaunchRecord, system: System, files: Mapping[str, int]) -> Iterable[str]:
    sandbox = record.sandbox
    size = str(size_in_bytes(sandbox.tmp))
    yield from ("--ro-bind", "/usr", "/usr")
    for name, target in sorted(system.symlinks.items()):
        yield from ("--symlink", target, f"/{name}")
    for directory in system.directories:
        yield from ("--ro-bind", directory, directory)
    yield from _parents(_TEMPORARY, HOME_INSIDE, *_ETC, *_ETC_TRUST, *_ETC_NAMES, *files)
    yield from _etc(record)
    for path, descriptor in sorted(files.items()):
        # What root makes is root's; nobody but the server and root itself ever sees this name space.
        own = path.startswith(f"{SECRETS_INSIDE}/") and not system.root
        yield from ("--perms", "0400" if own else "0444", "--ro-bind-data", str(descriptor), path)
    yield from _proc(system)
    yield from ("--dev", "/dev")
    for path, source in TEMPORARY.items():
        yield from (
            ("--bind", source, path) if system.no_programs else ("--perms", "1777", "--size", size, "--tmpfs", path)
        )
    yield from _parents(*record.read_only_paths, *(mount.target for mount in sandbox.mounts), *record.volumes)
    for path in _outermost(record.read_only_paths):
        yield from ("--ro-bind", path, path)
    for mount in sandbox.mounts:
        yield from ("--bind" if mount.mode == "rw" else "--ro-bind", mount.source, mount.target)
    for target, directory in sorted(record.volumes.items()):
        yield from ("--bind", directory, target)
    # a tmpfs of bubblewrap's without a size: nobody shall fill it
    yield from ("--remount-ro", "/dev")
    if sandbox.read_only:
        yield from ("--remount-ro", "/")


def _etc(record: LaunchRecord) -> Iterable[str]:
    """Show what names, times and certificates are on this machine, as far as the server's network can use them."""
    named = shares_network(record.sandbox)
    trusting = named or is_listed(record.sandbox)
    for path in (*_ETC, *(_ETC_TRUST if trusting else ()), *(_ETC_NAMES if named else ())):
        yield from ("--ro-bind-try", path, path)
    if record.ca:
        yield from (*_parents(CA_INSIDE), "--ro-bind", record.ca, CA_INSIDE)


def _parents(*paths: str) -> Iterable[str]:
    """Make the directories above mount points; bubblewrap alone would make them for the owner only, who is root."""
    above = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    for directory in sorted(above - {"/", _TEMPORARY}):
        if directory != "/usr" and not directory.startswith("/usr/"):
            yield from ("--perms", "0755", "--dir", directory)


def _outermost(paths: Iterable[str]) -> list[str]:
    kept: list[str] = ["/usr"]
    for path in sorted(paths):
        if not any(path == outer or path.startswith(f"{outer}/") for outer in kept):
            kept.append(path)
    return kept[1:]


def _environment(env: Mapping[str, str]) -> Iterable[str]:
    for name, value in sorted(env.items()):
        yield from ("--setenv", name, value)
