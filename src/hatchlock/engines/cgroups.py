"""Control groups: limits over all processes of a server together, where this machine lets us make groups.

A group lives as long as a session. It is made below, or (in the unified hierarchy, where a group with processes has no
groups below it that limit anything) beside, the one that we are in ourselves, so that the limits of those who started us
hold for the server as well.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hatchlock.launch import Sandbox, size_in_bytes

__all__ = [
    "CONTROLLERS",
    "NO_GROUPS",
    "Group",
    "Place",
    "bound",
    "bound_here",
    "find_places",
    "remove_groups",
    "sweep_groups",
]

CONTROLLERS = frozenset({"memory", "cpu", "pids"})
"""What limits are set through."""

_PREFIX = "hatchlock-"
_PERIOD = 100_000
_OUR_OWN = 2
"""Bubblewrap has a process outside of the sandbox and one inside."""
_REMOVAL_SECONDS = 5.0
_RETRY_SECONDS = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A directory in which groups can be made.

    Attributes:
        directory: It.
        controllers: Which of `CONTROLLERS` limit what is in a group there.
        unified: Whether it belongs to the unified hierarchy (version 2).
        missing: Those of `controllers` that have to be switched on first.
    """

    directory: Path
    controllers: frozenset[str]
    unified: bool
    missing: frozenset[str] = frozenset()


def bound(places: Iterable[Place]) -> frozenset[str]:
    """Return which of `CONTROLLERS` limit all processes of a server together."""
    return frozenset().union(*(place.controllers for place in places))


@functools.cache
def bound_here() -> frozenset[str]:
    """Return `bound` of this machine, which is looked at once."""
    return bound(find_places())


def find_places(root: Path = Path("/")) -> tuple[Place, ...]:
    """Return where groups for a server can be made, each controller at most once. Reads only, and never raises.

    Args:
        root: Where this machine's /proc and /sys are.
    """
    try:
        mounts = [line.split() for line in (root / "proc/self/mountinfo").read_text().splitlines()]
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ()
    own = {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}
    found: list[Place] = []
    for controller in sorted(CONTROLLERS):
        directory = _own_group(mounts, root, "cgroup", own, controller)
        if directory and _writable(directory, "cgroup.procs"):
            found.append(Place(directory=directory, controllers=frozenset({controller}), unified=False))
    unified = _own_group(mounts, root, "cgroup2", own, "")
    if unified:
        found += _unified(unified, CONTROLLERS - bound(found))
    return tuple(found)


def _own_group(mounts: list[list[str]], root: Path, kind: str, own: Mapping[str, str], name: str) -> Path | None:
    """Return the directory of the group that we are in ourselves, in the hierarchy with a controller."""
    if name not in own:
        return None
    for fields in mounts:
        start, point, (filesystem, *_, options) = fields[3], fields[4], fields[fields.index("-") + 1 :]
        if filesystem == kind and (not name or name in options.split(",")):
            inside = os.path.relpath(own[name], start)
            directory = root / point.lstrip("/") / inside
            return directory if not inside.startswith("..") and directory.is_dir() else None
    return None


def _writable(directory: Path, *files: str) -> bool:
    return all(os.access(path, os.W_OK) for path in (directory, *(directory / name for name in files)))


def _unified(own: Path, wanted: frozenset[str]) -> Iterator[Place]:
    """Yield the nearest group above our own that limits memory and processes, else the nearest that limits anything."""
    found = []
    # the one at the very top may have processes and limit others all the same; it alone has no such file
    above = own.parents if (own / "cgroup.events").exists() else (own,)
    for directory in above:
        if not _writable(directory, "cgroup.procs", "cgroup.subtree_control"):
            break
        can, does = _words(directory / "cgroup.controllers"), _words(directory / "cgroup.subtree_control")
        quiet = not _words(directory / "cgroup.procs") or not (directory / "cgroup.events").exists()
        controllers = wanted & (can if quiet else does)
        if controllers:
            found.append(Place(directory=directory, controllers=controllers, unified=True, missing=controllers - does))
    yield from sorted(found, key=lambda place: -len(place.controllers & {"memory", "pids"}))[:1]


def _words(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text().split())
    except OSError:
        return frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The groups of one session, one for each hierarchy: at first only their names.

    Attributes:
        places: Where they are.
        name: What they are called; no other session has the same.
    """

    places: tuple[Place, ...]
    name: str = field(default_factory=lambda: f"{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}")

    @property
    def directories(self) -> tuple[Path, ...]:
        """Their directories, whether they exist or not."""
        return tuple(place.directory / self.name for place in self.places)

    @property
    def bound(self) -> frozenset[str]:
        """Which of `CONTROLLERS` they limit."""
        return bound(self.places)

    def make(self, sandbox: Sandbox) -> Group:
        """Make them, set the limits, and return those that there are now; what dead sessions left is removed.

        A machine that allows less than it seemed to is one with fewer groups.
        """
        made = []
        for place in self.places:
            _sweep(place.directory)
            directory = place.directory / self.name
            try:
                if place.missing:
                    _switch_on(place)
                directory.mkdir()
                for file, value in _settings(place, directory, sandbox):
                    (directory / file).write_text(value)
            except OSError:
                remove_groups([directory])
            else:
                made.append(place)
        return Group(places=tuple(made), name=self.name)

    def join(self) -> None:
        """Move this process into them: to be called between fork and exec.

        Raises:
            OSError: The kernel does not allow it, which cannot be seen beforehand.
        """
        for place, directory in zip(self.places, self.directories, strict=True):
            # one thread and oneself: the old hierarchies do that without waiting for all processors
            file = directory / ("cgroup.procs" if place.unified else "tasks")
            descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
            os.write(descriptor, b"0")
            os.close(descriptor)

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended a process of the server because all of them together needed too much memory."""
        return any(
            _count(directory / ("memory.events" if place.unified else "memory.oom_control"), "oom_kill")
            for place, directory in self._with("memory")
        )

    def refused_processes(self) -> bool:
        """Whether the server was refused a process or a thread because it had too many."""
        return any(_count(directory / "pids.events", "max") for _, directory in self._with("pids"))

    def _with(self, controller: str) -> Iterator[tuple[Place, Path]]:
        for place, directory in zip(self.places, self.directories, strict=True):
            if controller in place.controllers:
                yield place, directory


NO_GROUPS = Group(places=(), name="")


def remove_groups(directories: Iterable[Path]) -> None:
    """Kill whatever is in groups, and remove them; those that do not exist are passed over."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    for directory in directories:
        while directory.exists():
            for pid in sorted(_words(directory / "cgroup.procs")):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):  # until the last one is quite gone
                directory.rmdir()
                break
            if time.monotonic() > deadline:
                break
            time.sleep(_RETRY_SECONDS)


def sweep_groups() -> None:
    """Remove the empty groups of sessions whose `run` and watchdogs were killed, wherever groups are made here."""
    for place in find_places():
        _sweep(place.directory)


def _settings(place: Place, group: Path, sandbox: Sandbox) -> Iterator[tuple[str, str]]:
    """Yield file and content for each limit, in an order that the kernel accepts."""
    memory, swap = size_in_bytes(sandbox.memory), size_in_bytes(sandbox.swap)
    share = max(round(sandbox.cpus * _PERIOD), 1_000)
    if "pids" in place.controllers:
        yield "pids.max", str(sandbox.pids + _OUR_OWN)
    if "memory" in place.controllers:
        more = "memory.swap.max" if place.unified else "memory.memsw.limit_in_bytes"
        yield ("memory.max" if place.unified else "memory.limit_in_bytes"), str(memory)
        if (group / more).exists():  # not every kernel counts it
            yield more, str(swap if place.unified else memory + swap)
    if "cpu" in place.controllers and place.unified:
        yield "cpu.max", f"{share} {_PERIOD}"
    if "cpu" in place.controllers and not place.unified:
        yield "cpu.cfs_period_us", str(_PERIOD)
        yield "cpu.cfs_quota_us", str(share)


def _switch_on(place: Place) -> None:
    for controller in sorted(place.missing):
        (place.directory / "cgroup.subtree_control").write_text(f"+{controller}")


def _sweep(directory: Path) -> None:
    """Remove the empty groups of sessions whose `run` and watchdog were killed both."""
    for left in directory.glob(f"{_PREFIX}*"):
        if not Path(f"/proc/{left.name.split('-')[1]}").exists():
            with contextlib.suppress(OSError):
                left.rmdir()


def _count(file: Path, name: str) -> int:
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(line[1]) for line in lines if line[0] == name), 0)
