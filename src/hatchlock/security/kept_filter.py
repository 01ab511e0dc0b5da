"""The usual filter of system calls as files beside this module, so that a start need not make it; see `security.seccomp`.

`scripts/seccomp-filters` writes them, and a test compares them with what makes them.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["FILTERED_MACHINES", "PODMANS_PROFILE", "filter_path", "kept_filter"]

FILTERED_MACHINES = ("x86_64", "aarch64")
"""The machines that there are filters for."""
PODMANS_PROFILE = Path(__file__).with_name("podman.json")
"""The same in Docker's form, for an engine whose own stops less."""


def kept_filter(machine: str) -> bytes:
    """Return the filter of `seccomp = "default"` for one of `FILTERED_MACHINES`, as the kernel takes it."""
    return filter_path(machine).read_bytes()


def filter_path(machine: str) -> Path:
    """Return the file that holds it."""
    return Path(__file__).with_name(f"filter.{machine}.bpf")
