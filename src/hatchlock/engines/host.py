"""What a container's description says of this machine."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.security.container import HostFacts

__all__ = ["host_facts"]

_UNLIMITED = 1 << 20


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
