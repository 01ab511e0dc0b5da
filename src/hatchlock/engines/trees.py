"""Processes of this machine with all that they have started: frozen, looked at, ended. Linux alone shows them to us."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Found", "Written", "are_gone", "children_of", "freeze", "kill", "names_of", "roots_of", "written_below"]

_PASSES = 20
_PAUSE = 0.02
_MOST = 10_000
_LONGEST = 16 << 20
"""Bytes of a file that is hashed."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A process, named for ever by its pid and when it was started.

    Attributes:
        pid: Its pid.
        started: Clock ticks since boot.
        command: Its program's name, as it says.
    """

    pid: int
    started: str
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """Something in a place that a server may write to.

    Attributes:
        path: Inside of its sandbox; a stranger's text.
        kind: "file", "directory", "link" or "other".
        size: Bytes.
        mode: Permissions.
        modified: Seconds since the epoch.
        sha256: Of a file that is not too large; "" otherwise.
    """

    path: str
    kind: str
    size: int
    mode: int
    modified: int
    sha256: str


def children_of(pids: Collection[int]) -> dict[int, Found]:
    """Return all that some processes have started, directly or not, by pid; without those themselves."""
    facts = {}
    parents: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (read := _facts(int(entry.name))):
            parent, facts[int(entry.name)] = read
            parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = {}, list(pids)
    while waiting:
        for pid in parents.get(waiting.pop(), ()):
            if pid not in found and pid not in pids:
                found[pid] = facts[pid]
                waiting.append(pid)
    return found


def names_of(pids: Iterable[int]) -> dict[int, Found]:
    """Return what is known of processes, by pid, of those that are there."""
    return {pid: read[1] for pid in pids if (read := _facts(pid))}


def freeze(leaders: Collection[int]) -> dict[int, Found]:
    """Stop processes, and all that they have started or start meanwhile, where they stand; return those others.

    A process with the command line of a leader is a fork of it that sees to the end of the rest: it goes on, and is not
    among them.
    """
    frozen: dict[int, Found] = {}
    ours = {_command_line(pid) for pid in leaders}
    for pid in leaders:
        _signal(pid, signal.SIGSTOP)
    for _ in range(_PASSES):
        there = children_of(leaders)
        news = {pid: found for pid, found in there.items() if pid not in frozen and _command_line(pid) not in ours}
        if not news:
            break
        for pid in news:
            _signal(pid, signal.SIGSTOP)
        frozen |= news
    return frozen


def kill(processes: Iterable[Found]) -> None:
    """Kill processes that are still the ones that were found."""
    for found in processes:
        read = _facts(found.pid)
        if read and read[1].started == found.started:
            _signal(found.pid, signal.SIGKILL)


def are_gone(processes: Iterable[Found], *, patience: float) -> tuple[Found, ...]:
    """Wait for the end of processes, and return those that have not ended in time."""
    deadline, left = time.monotonic() + patience, tuple(processes)
    while True:
        left = tuple(found for found in left if (read := _facts(found.pid)) and read[1].started == found.started)
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(_PAUSE)


def roots_of(pids: Iterable[int]) -> tuple[Path, ...]:
    """Return the root of each sandbox that some processes are in, as we see it.

    Who is in one has another number there. Mounts of its own has also who only waits outside for its end.
    """
    ours = Path("/proc/self/ns/pid").readlink()
    roots: dict[Path, Path] = {}
    for pid in sorted(pids):
        with contextlib.suppress(OSError):
            inside, root = Path(f"/proc/{pid}/ns/pid").readlink(), Path(f"/proc/{pid}/root")
            if inside != ours and inside not in roots:
                root.stat()
                roots[inside] = root
    return tuple(roots.values())


def written_below(root: Path, places: Iterable[str]) -> Iterator[Written]:
    """Yield what is in some directories of a sandbox, at most 10,000 things of each.

    Nothing is followed out of them, neither links nor what is mounted into them.

    Args:
        root: As `roots_of` gives it.
        places: Absolute paths inside.
    """
    for place in sorted(set(places)):
        with contextlib.suppress(OSError):
            top = _opened(root, place)
            try:
                yield from _walked(top, place)
            finally:
                os.close(top)


def _opened(root: Path, place: str) -> int:
    """Open a directory below a root, through no link: a link of the server's would lead elsewhere on this machine."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in place.strip("/").split("/"):
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
    return handle


def _walked(top: int, place: str) -> Iterator[Written]:
    count, device = 0, os.fstat(top).st_dev
    for directory, directories, files, handle in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        if os.fstat(handle).st_dev != device:
            directories.clear()
            continue
        for name in sorted((*directories, *files)):
            with contextlib.suppress(OSError):
                count += 1
                if count > _MOST:
                    return
                yield _written(handle, name, os.path.normpath(f"{place}/{directory}/{name}"))


def _written(directory: int, name: str, path: str) -> Written:
    facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "link"))
    kind = next((word for is_one, word in kinds if is_one(facts.st_mode)), "other")
    return Written(
        path=path,
        kind=kind,
        size=facts.st_size,
        mode=stat.S_IMODE(facts.st_mode),
        modified=int(facts.st_mtime),
        sha256=_hash(directory, name) if kind == "file" and facts.st_size <= _LONGEST else "",
    )


def _hash(directory: int, name: str) -> str:
    digest = hashlib.sha256()
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    try:
        while chunk := os.read(handle, _CHUNK):
            digest.update(chunk)
    finally:
        os.close(handle)
    return digest.hexdigest()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _facts(pid: int) -> tuple[int, Found] | None:
    """Return a process's parent and what is known of it; None where there is none, or one that has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    head, _, rest = text.rpartition(")")
    fields = rest.split()
    if fields[0] in {"Z", "X"}:
        return None
    return int(fields[1]), Found(pid=pid, started=fields[19], command=head.partition("(")[2])


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
