"""Runs of a server that are killed in some way at some time, and what is left of them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.runs import HELLO, processes_with

__all__ = ["ENDS", "Place", "Victim", "children_of", "family"]

ENDS = (
    *("stdin ends", "SIGTERM", "SIGINT", "SIGHUP", "the application dies", "the server dies"),
    *("run", "watchdog", "run watchdog", "watchdog run", "second run", "run second", "second watchdog"),
)
"""The end of its input, a signal, a death, or who is killed with `kill -9`, in this order."""
_SHELL = ("/bin/sh", "-c", '"$@"; exit 7', "sh")
"""An application that starts one server and waits for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where runs leave what they leave.

    Attributes:
        home: The store.
        tag: A word in the server's command line.
        env: The environment of `run`; its TMPDIR is of this place alone.
        command: `run`, in exec form; it names the store.
        containers: Asks which containers there are of this place.
    """

    home: Path
    tag: str
    env: Mapping[str, str]
    command: Sequence[str]
    containers: Callable[[], list[str]] = field(default=list)

    def traces(self) -> dict[str, list[str]]:
        """Return what there is of this place's runs, by sort."""
        pids = {*processes_with(str(self.home)), *processes_with(self.tag)}
        return {
            "processes": sorted(map(str, pids)),
            "containers": sorted(self.containers()),
            "notes": sorted(path.name for path in self.home.glob("projects/*/sessions/*.json")),
            "directories": sorted(path.name for path in Path(self.env["TMPDIR"]).iterdir()),
        }


class Victim:
    """A run that is to be ended in some way."""

    def __init__(self, place: Place, end: str, *, greeted: bool, moment: float) -> None:
        self.end = end
        self.due = time.monotonic() + moment
        shell = _SHELL if end == "the application dies" else ()
        self.process = subprocess.Popen(
            [*shell, *place.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(place.env),
            cwd="/",
        )
        if greeted and self.process.stdin:
            self.process.stdin.write(json.dumps(HELLO).encode() + b"\n")
            self.process.stdin.flush()

    def strike(self, servers: Callable[[int], Sequence[int]]) -> None:
        """End it.

        Args:
            servers: The pids of its server's processes, of the pid of `run`; may do the killing itself.
        """
        run = self.process.pid
        if self.end == "stdin ends":
            self._end_input()
        elif self.end.startswith("SIG"):
            self.process.send_signal(signal.Signals[self.end])
        elif self.end == "the application dies":
            _kill(run)
        elif self.end == "the server dies":
            for pid in servers(run):
                _kill(pid)
            self._end_input()
        else:
            known = {"run": run, **family(run)}
            for name in self.end.split():
                _kill(known.get(name, 0))
            if "run" not in self.end:
                self._end_input()

    def _end_input(self) -> None:
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def close(self) -> None:
        """Wait for what we have started ourselves."""
        self.process.wait(60)
        self._end_input()


def strike_all(
    place: Place, chosen: random.Random, number: int, *, longest: float, servers: Callable[[int], Sequence[int]]
) -> list[int]:
    """Start runs, end each in a random way at a random moment, and return their pids."""
    victims = [
        Victim(place, chosen.choice(ENDS), greeted=chosen.random() < 0.7, moment=chosen.uniform(0.0, longest))
        for _ in range(number)
    ]
    for victim in sorted(victims, key=lambda item: item.due):
        time.sleep(max(0.0, victim.due - time.monotonic()))
        victim.strike(servers)
    for victim in victims:
        victim.close()
    return [victim.process.pid for victim in victims]


def family(run: int) -> dict[str, int]:
    """Return the watchdog of a `run` and its second, as far as they are there."""
    found: dict[str, int] = {}
    for name, parent in (("watchdog", run), ("second", 0)):
        same = [pid for pid in children_of(parent or found.get("watchdog", 0)) if _words(pid) == _words(run)]
        if same:
            found[name] = same[0]
    return found


def children_of(pid: int) -> list[int]:
    """Return the children of a process's first thread; [] when it is gone."""
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def groups_of(pids: Sequence[int]) -> Iterator[Path]:
    """Yield the control groups that are left of runs."""
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        with contextlib.suppress(OSError):
            for pid in pids:
                yield from hierarchy.rglob(f"hatchlock-{pid}-*")


def _words(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"gone"


def _kill(pid: int) -> None:
    if pid > 0:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
