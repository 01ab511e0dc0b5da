"""`logs -f`: what servers write, as they write it, across the rotation of their logs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hatchlock.state.stamps import since, split_stamp
from hatchlock.usecases.run import NoSuchServer, applied_servers, log_path
from hatchlock.usecases.server_log import last

if TYPE_CHECKING:
    from hatchlock.paths import Home

__all__ = ["Tail", "follow_logs"]

_PAUSE = 0.2
_CHUNK = 1 << 16
_LONGEST = 1 << 16


class Tail:
    """The end of a log that grows. Nothing of it is missed when it becomes `.1` and a new one begins.

    Args:
        path: The log; it may not be there yet.
        lines: How many of its last lines come first, those of its predecessor included; None for all.
        start: Of these only what was written from this moment on, as `audit_log.moment_of` gives it; "" for all.
    """

    def __init__(self, path: Path, lines: int | None, start: str = "") -> None:
        self._path = path
        self._descriptor = self._opened()
        self._rest = b""
        older = path.with_name(f"{path.name}.1")
        there = _read(older) + (b"" if self._descriptor is None else self._new())
        *whole, self._rest = there.split(b"\n")
        self._first = [*last([*since(map(_decoded, whole), start)], lines)]

    def close(self) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def lines(self) -> list[str]:
        """Return the lines that have come since the last time; a line is whole, or longer than 64 KiB."""
        data = self._new()
        if self._is_replaced():
            data += self._new()  # what was written between the two
            self.close()
            self._descriptor = self._opened()
            data += self._new()
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            whole.append(self._rest)
            self._rest = b""
        found, self._first = [*self._first, *(split_stamp(_decoded(line))[1] for line in whole)], []
        return found

    def _opened(self) -> int | None:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None

    def _new(self) -> bytes:
        if self._descriptor is None:
            return b""
        if os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
            os.lseek(self._descriptor, 0, os.SEEK_SET)  # somebody has emptied it
        return b"".join(iter(lambda: os.read(self._descriptor or 0, _CHUNK), b""))

    def _is_replaced(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return False
        if self._descriptor is None:
            return True
        return (there.st_dev, there.st_ino) != _identity(self._descriptor)


def follow_logs(
    home: Home,
    project: str,
    names: tuple[str, ...],
    told: Callable[[str, str], None],
    *,
    lines: int | None,
    start: str = "",
) -> NoReturn:
    """Tell what servers write to their logs, from their last lines on, for ever: a signal ends it.

    Args:
        home: The store.
        project: The project's name.
        names: The servers; none for all that are applied.
        told: Told a server's name and a line.
        lines: How many lines that are there already come first, of each server; None for all.
        start: Of these only what was written from this moment on; "" for all.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: It was not applied.
    """
    known = applied_servers(home, project)
    if unknown := [name for name in names if name not in known]:
        raise NoSuchServer(project=project, server=unknown[0], known=tuple(sorted(known)))
    chosen = names or tuple(known)
    tails: Mapping[str, Tail] = {name: Tail(log_path(home, project, name), lines, start) for name in chosen}
    try:
        while True:
            for name, tail in tails.items():
                for line in tail.lines():
                    told(name, line)
            time.sleep(_PAUSE)
    finally:
        for tail in tails.values():
            tail.close()


def _decoded(line: bytes) -> str:
    return line.decode(errors="replace")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _identity(descriptor: int) -> tuple[int, int]:
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino
