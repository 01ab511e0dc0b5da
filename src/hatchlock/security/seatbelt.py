"""A launch record as a profile of Seatbelt, the sandbox of macOS. Pure.

A process keeps its place in the file system there: nothing can be shown to it elsewhere than where it is, and no name leads
to an address of ours. What needs either is refused (`seatbelt_problems`), never left out.

Written after what is public about the language and tried on no Mac: the tests compare texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from hatchlock.launch import LaunchRecord

__all__ = ["Seatbelt", "seatbelt_argv", "seatbelt_problems", "seatbelt_profile"]

_PROGRAMS = ("/bin", "/usr/bin", "/usr/sbin", "/sbin", "/usr/libexec", "/Library/Apple/usr/libexec/oah")
_SYSTEM = (
    *("/usr/lib", "/usr/share", "/System/Library", "/System/Cryptexes", "/System/Volumes/Preboot/Cryptexes"),
    *("/Library/Apple/System/Library", "/private/var/db/dyld", "/private/var/db/timezone", "/private/etc/localtime"),
    "/private/var/select/sh",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/dtracehelper", "/dev/tty")
_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
_NAMES = (
    *("/private/etc/hosts", "/private/etc/resolv.conf", "/private/var/run/resolv.conf", "/private/etc/services"),
    *("/private/etc/protocols", "/private/etc/ssl", "/Library/Preferences/com.apple.networkd.plist"),
)
_ALIASES = ("/etc", "/tmp", "/var", "/dev")  # noqa: S108  links, but for the last
_USERS = "com.apple.system.opendirectoryd.libinfo"
_CERTIFICATES = ("com.apple.SystemConfiguration.configd", "com.apple.trustd.agent")
_RESOLVER = "/private/var/run/mDNSResponder"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seatbelt:
    """A machine that isolates processes through Seatbelt.

    Attributes:
        program: Path of `sandbox-exec`.
    """

    program: str


def seatbelt_problems(record: LaunchRecord) -> tuple[str, ...]:
    """Return what a record asks for and a process on macOS cannot get, one clause each; empty when all is well."""
    sandbox = record.sandbox
    moved = [item for item in sandbox.mounts if item.source != item.target]
    problems = [
        f"the mount of {item.source} at {item.target}: a process on macOS sees it where it is" for item in moved
    ]
    if sandbox.network not in {("none",), ("internet",), ("host",)}:
        problems.append(f"a network that is limited to {', '.join(sandbox.network)} for a process on macOS")
    if sandbox.writable:
        problems.append(f"writable paths ({', '.join(sandbox.writable)}) of a process on macOS")
    if sandbox.seccomp not in {"default", "unconfined"}:
        problems.append("a seccomp profile on macOS, which has no seccomp")
    return tuple(problems)


def seatbelt_argv(record: LaunchRecord, seatbelt: Seatbelt, *, scratch: str, secrets: str = "") -> tuple[str, ...]:
    """Return the command line that starts a server under its profile; the rest as in `seatbelt_profile`."""
    return (seatbelt.program, "-p", seatbelt_profile(record, scratch=scratch, secrets=secrets), *record.argv)


def seatbelt_profile(record: LaunchRecord, *, scratch: str, secrets: str = "", ports: Iterable[int] = ()) -> str:
    """Return a profile: everything is denied but what a program needs to start, and what the record allows.

    Programs are run only from where nothing can be written to, so what lands in the scratch directory is not run.

    Args:
        record: What is started. All its paths are real ones, without symlinks.
        scratch: The directory that is its home and its TMPDIR; a real path.
        secrets: The directory with its secrets; "" for none.
        ports: What it may reach on loopback, besides what its network allows: a forwarder's.
    """
    return "".join(f"{line}\n" for line in _lines(record, scratch, secrets, tuple(ports)))


def _lines(record: LaunchRecord, scratch: str, secrets: str, ports: tuple[int, ...]) -> Iterator[str]:
    sandbox = record.sandbox
    shown = [item.source for item in sandbox.mounts]
    changed = [item.source for item in sandbox.mounts if item.mode == "rw"]
    own = sorted({*record.read_only_paths, record.argv[0]})
    yield from ("(version 1)", "(deny default)", "(deny file-write-setugid)")
    yield from ("(allow process-fork)", "(allow process-info* (target self))", "(allow signal (target same-sandbox))")
    yield from ("(allow sysctl-read)", "(allow ipc-posix-sem)", f'(allow mach-lookup (global-name "{_USERS}"))')
    yield _rule("process-exec", "subpath", [*_PROGRAMS, *own, *shown])
    yield _rule("file-read*", "literal", ["/"])
    yield _rule("file-read-metadata", "literal", [*_ALIASES, *_above([*_SYSTEM, *own, *shown, scratch, secrets])])
    yield _rule("file-read*", "subpath", [*_PROGRAMS, *_SYSTEM, *own, *shown, *filter(None, [secrets])])
    yield _rule("file-read* file-write-data file-ioctl", "literal", [*_DEVICES, *_STREAMS])
    yield _rule("file-read* file-write-data", "subpath", ["/dev/fd"])
    yield _rule("file-read* file-write*", "subpath", [scratch, *changed])
    if sandbox.network != ("none",):
        yield from ("(allow system-socket)", "(allow network*)", _rule("file-read*", "subpath", _NAMES))
        yield _rule("mach-lookup", "global-name", _CERTIFICATES)
        yield f'(allow network-outbound (remote unix-socket (path-literal "{_RESOLVER}")))'
    elif ports:
        yield "(allow system-socket)"
        yield from (f'(allow network-outbound (remote ip "localhost:{port}"))' for port in sorted(ports))


def _rule(operations: str, kind: str, values: Iterable[str]) -> str:
    return f"(allow {operations}{''.join(f' ({kind} {_quoted(value)})' for value in dict.fromkeys(values))})"


def _above(paths: Iterable[str]) -> list[str]:
    """Return the directories on the ways to paths: to look them up, whoever goes there must see that they exist."""
    above = {str(parent) for path in filter(None, paths) for parent in PurePosixPath(path).parents}
    return sorted(above - {"/"})


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
