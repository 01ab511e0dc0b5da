"""Limits that a process sets for itself, and so for what it becomes or starts."""

from __future__ import annotations

import resource
from collections.abc import Mapping

from hatchlock.launch import Sandbox, size_in_bytes
from hatchlock.security.bubblewrap import System, limits_of_each

__all__ = ["own_limits"]

_FILES, _MEMORY = 256, 64 << 20
"""More than this process and bubblewrap need, before there is a server."""


def own_limits(sandbox: Sandbox, system: System) -> Mapping[int, int]:
    """Return the limits to set before bubblewrap is started, by kind; none where a program has to set them inside.

    That is where they leave too little for what starts the server, or are above what we may have ourselves.
    """
    if min(sandbox.files, system.max_files) < _FILES or size_in_bytes(sandbox.memory) < _MEMORY:
        return {}
    limits = {
        getattr(resource, f"RLIMIT_{name.upper()}"): each for name, each in limits_of_each(sandbox, system).items()
    }
    hard = {kind: resource.getrlimit(kind)[1] for kind in limits}
    fits = all(hard[kind] == resource.RLIM_INFINITY or limits[kind] <= hard[kind] for kind in limits)
    return limits if fits else {}
