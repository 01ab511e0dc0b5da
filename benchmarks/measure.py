"""Commands measured side by side: rounds that alternate, medians, wall time and what the processors did for it."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Taken", "alternating", "once"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a command took: seconds by the clock, seconds of processors (its children included), and kB of memory at most."""

    wall: float
    processor: float
    memory: int


def once(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Taken:
    """Run a command that has to succeed."""
    with (cwd / ".measured").open("w+b") as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        assert process.returncode == 0, said.read().decode()
    return Taken(wall=wall, processor=used.ru_utime + used.ru_stime, memory=used.ru_maxrss)


def alternating(commands: Mapping[str, Callable[[], Taken]], rounds: int) -> dict[str, Taken]:
    """Return the medians of each, after one round that does not count."""
    taken: dict[str, list[Taken]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            found = command()
            if number:
                taken[name].append(found)
    return {
        name: Taken(
            wall=statistics.median(item.wall for item in items),
            processor=statistics.median(item.processor for item in items),
            memory=max(item.memory for item in items),
        )
        for name, items in taken.items()
    }
