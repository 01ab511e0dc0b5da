"""Who waits for a lock of a file, as the kernel says."""

from __future__ import annotations

from pathlib import Path

__all__ = ["waiting_for"]


def waiting_for(path: Path) -> int:
    """Return how many wait for the lock of a file or directory (proc(5): `->` marks who is blocked)."""
    lines = Path("/proc/locks").read_text().splitlines()
    return sum("-> FLOCK" in line and f":{path.stat().st_ino} " in line for line in lines)
