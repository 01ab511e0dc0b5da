"""Commands of hatchlock whose leases and programs are written down, by processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.project import TrialProject

__all__ = ["RANKS", "Event", "begin", "events", "held_twice", "out_of_order", "rank"]

RANKS: Mapping[str, int] = {
    "manifest": 0,
    "projects": 1,
    "lease": 2,
    "dpkg": 3,
    "env": 3,
    "image": 3,
    "blob": 3,
    "python": 4,
    "conda": 4,
    "build": 4,
    "bytecode": 5,
    "client": 5,
}
"""The order in which leases are taken, by what their files are called up to the first `-`."""

# Runs the command line with each lease and each program of `uv` written into a file, a line of JSON each. Product code
# knows nothing of it.
_DRIVER = """
import contextlib, json, os, sys, threading
import hatchlock.state.lease as module

report, *words = sys.argv[1:]
out = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
main = threading.get_ident()

def note(event, name, waits=True):
    thread = 0 if threading.get_ident() == main else threading.get_ident()
    line = {"process": os.getpid(), "thread": thread, "event": event, "name": name, "waits": waits}
    os.write(out, json.dumps(line).encode() + b"\\n")

original = module.lease

@contextlib.contextmanager
def lease(path, **options):
    name = path.name.replace("lease", f"lease-{path.parent.name}")
    note("wants", name, options["timeout"] > 0)
    with original(path, **options):
        note("has", name)
        try:
            yield
        finally:
            note("frees", name)

module.lease = lease

def hook(event, arguments):
    if event == "subprocess.Popen" and "venv" in arguments[1]:
        note("builds", arguments[1][-1])

sys.addaudithook(hook)
from hatchlock.cli.main import main as run
sys.exit(run(words))
"""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A lease that is wanted, had or freed, or an environment that is built; thread 0 is the one that waits for the others."""

    process: int
    thread: int
    event: str
    name: str
    waits: bool


def begin(project: TrialProject, report: Path, *words: str) -> subprocess.Popen[str]:
    """Start a command that writes its events into a file."""
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(report), *words],
        cwd=project.directory,
        env=project.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def events(report: Path) -> list[Event]:
    """Return what was written."""
    return [Event(**json.loads(line)) for line in report.read_text().splitlines()]


def rank(name: str) -> int:
    """Return where a lease stands in the order."""
    return RANKS[name.partition(".")[0].partition("-")[0]]


def out_of_order(found: Iterable[Event]) -> Iterator[Any]:
    """Yield each lease that is waited for while one is held that does not come before it."""
    held: dict[tuple[int, int], list[str]] = defaultdict(list)
    for item in found:
        own = held[item.process, item.thread]
        if item.event == "has":
            own.append(item.name)
        elif item.event == "frees":
            own.remove(item.name)
        elif item.event == "wants" and item.waits:
            above = {*own, *held[item.process, 0]}
            yield from ((name, item.name) for name in above if rank(name) >= rank(item.name))


def held_twice(found: Iterable[Event]) -> Iterator[str]:
    """Yield each lease that somebody gets while another has it."""
    held: set[str] = set()
    for item in found:
        if item.event == "has":
            if item.name in held:
                yield item.name
            held.add(item.name)
        elif item.event == "frees":
            held.remove(item.name)
