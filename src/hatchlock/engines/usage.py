"""What processes of this machine, and containers of an engine, take right now. Linux alone shows processes to us."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hatchlock.engines.api import Engine, EngineError

__all__ = ["NOTHING", "Usage", "container_usage", "process_usage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What something takes.

    Attributes:
        cpu: Seconds of processors that it has had.
        memory: Bytes that it has now.
        processes: How many of them there are; of a container with their threads, as its limit counts.
    """

    cpu: float = 0.0
    memory: int = 0
    processes: int = 0


NOTHING = Usage()


def process_usage(pids: Iterable[int]) -> Usage:
    """Return what some processes take together; memory that several have is counted once for each, in shares if we may see it."""
    found = [usage for pid in pids if (usage := _of_process(pid))]
    return Usage(cpu=sum(item.cpu for item in found), memory=sum(item.memory for item in found), processes=len(found))


def container_usage(engine: Engine, container: str) -> Usage:
    """Return what a container takes; nothing where it has ended, or its engine does not count.

    Raises:
        EngineUnreachable: The engine does not answer.
    """
    try:
        stats = engine.ask("GET", f"/containers/{container}/stats?stream=false&one-shot=true")
        memory = stats.get("memory_stats") or {}
        # what is only in the page cache goes when somebody needs it
        cache = int((memory.get("stats") or {}).get("inactive_file") or 0)
        return Usage(
            cpu=int(((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0) / 1e9,
            memory=max(int(memory.get("usage") or 0) - cache, 0),
            processes=int((stats.get("pids_stats") or {}).get("current") or 0),
        )
    except (EngineError, AttributeError, TypeError, ValueError):
        return NOTHING


def _of_process(pid: int) -> Usage | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Usage(cpu=ticks / os.sysconf("SC_CLK_TCK"), memory=_memory(pid), processes=1)
    except (OSError, ValueError, IndexError):
        return None


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError):  # another user's
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
