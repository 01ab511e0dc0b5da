"""What a server uses at most: memory, processes, open files, temporary space. Looked at ten times a second."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hatchlock.security.sandbox import HOME_INSIDE

__all__ = ["Usage", "UsageWatch"]

_INTERVAL = 0.1
_TEMPORARY = ("/tmp", HOME_INSIDE, "/dev/shm")  # noqa: S108  inside the sandbox
_KIBIBYTE = 1 << 10


@dataclass(slots=True)
class Usage:
    """The most that was seen; 0 where nothing could be seen.

    Attributes:
        memory: Bytes of all processes together, that are theirs alone, and of temporary files.
        data: Bytes of data that one process had reserved.
        processes: Processes and threads.
        files: Open files of one process.
        tmp: Bytes in the fullest temporary directory.
    """

    memory: int = 0
    data: int = 0
    processes: int = 0
    files: int = 0
    tmp: int = 0


class UsageWatch:
    """Watches a process with all its descendants, in a thread, until it is told to stop."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._most = Usage()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> Usage:
        """Stop watching, and return the most that was seen."""
        self._stop.set()
        self._thread.join()
        return self._most

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self._look()
            self._stop.wait(max(_INTERVAL - (time.monotonic() - began), _INTERVAL / 10))

    def _look(self) -> None:
        most, now = self._most, Usage()
        for pid in descendants(self._pid):
            with contextlib.suppress(OSError, ValueError, KeyError):  # it has ended meanwhile
                facts = _status(pid)
                # what it had between two looks shows in its own record of all that is in memory
                peak = facts["VmHWM"] - facts["RssFile"]
                now.memory += max(peak, facts["RssAnon"] + facts["RssShmem"]) * _KIBIBYTE
                now.data = max(now.data, facts["VmData"] * _KIBIBYTE)
                now.processes += facts["Threads"]
                now.files = max(now.files, len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208  cheaper
        spaces = [_used(f"/proc/{self._pid}/root", path) for path in _TEMPORARY]
        most.memory = max(most.memory, now.memory + sum(spaces))
        most.data = max(most.data, now.data)
        most.processes = max(most.processes, now.processes)
        most.files = max(most.files, now.files)
        most.tmp = max(most.tmp, *spaces)


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it, as far as this machine tells."""
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        yield one
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):  # noqa: PTH208  cheaper
                waiting += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())


def _status(pid: int) -> dict[str, int]:
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    wanted = {"RssAnon", "RssShmem", "RssFile", "VmHWM", "VmData", "Threads"}
    return {name: int(value.split()[0]) for name, _, value in lines if name in wanted}


def _used(root: str, path: str) -> int:
    """Return the bytes in a file system that is mounted at `path` alone; 0 where it is the root's own."""
    try:
        if os.stat(root + path).st_dev == os.stat(root).st_dev:  # noqa: PTH116  strings are cheaper
            return 0
        facts = os.statvfs(root + path)
    except OSError:
        return 0
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize
