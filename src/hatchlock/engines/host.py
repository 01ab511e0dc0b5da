"""What a container's description and its labels say of this machine and of who made it."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.security.container import HostFacts

__all__ = ["host_facts", "owner", "owner_is_gone"]

_UNLIMITED = 1 << 20
_ENDED = {"Z", "X"}
"""States of a process that has ended and that nobody has asked about: an application may not care."""


def host_facts() -> HostFacts:
    """Return what of this machine goes into a container's description."""
    from hatchlock.security.container import HostFacts  # noqa: PLC0415  processes do without

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return HostFacts(
        uid=os.getuid(),
        gid=os.getgid(),
        max_files=files if files != resource.RLIM_INFINITY else _UNLIMITED,
        max_processes=processes if processes != resource.RLIM_INFINITY else _UNLIMITED,
        selinux=Path("/sys/fs/selinux/enforce").exists(),
    )


def owner(pid: int) -> str:
    """Return words that name a process of this machine for ever: boot, pid namespace, pid, start time; "" off Linux."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
        return f"{boot} {namespace} {pid} {_start_time(pid)}"
    except OSError:
        return ""


def owner_is_gone(name: str) -> bool:
    """Whether `owner` named a process that provably does not run any more: same boot, same namespace, no such process."""
    boot, _, rest = name.partition(" ")
    namespace, _, process = rest.partition(" ")
    pid, _, _ = process.partition(" ")
    if not pid.isdigit() or not owner(os.getpid()).startswith(f"{boot} {namespace} "):
        return False
    return owner(int(pid)) != name


def _start_time(pid: int) -> str:
    """Clock ticks since boot, field 22; the command before it may hold anything, blanks and brackets too."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = status.rpartition(")")[2].split()
    if fields[0] in _ENDED:
        raise ProcessLookupError(pid)
    return fields[19]
