"""Counting those who come without the right token, of whom there may be many: now and then into a file, for `status`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hatchlock.errors import PermissionProblem

__all__ = ["Knocks"]

_SECONDS = 1.0


class Knocks:
    """Counts for some servers. The first one is written at once, further ones once in a second. Safe for several threads."""

    def __init__(self, state: Path, launches: Iterable[tuple[str, str]]) -> None:
        """Begin to count.

        Args:
            state: The project's state.
            launches: Server and digest of its launch record, as it was applied, of each that is served.
        """
        self._state = state
        self._launches = tuple(launches)
        self._waiting = 0
        self._written = -_SECONDS
        self._lock = threading.Lock()

    def knock(self) -> None:
        """Count one."""
        with self._lock:
            self._waiting += 1
            if time.monotonic() - self._written >= _SECONDS:
                self._write()

    def write(self) -> None:
        """Write down those that were not yet; where that is not possible, they are forgotten."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        from hatchlock.state.counts import Counts, add_counts, counts_path  # noqa: PLC0415  rarely needed

        more, self._waiting, self._written = Counts(unauthorized=self._waiting), 0, time.monotonic()
        with contextlib.suppress(OSError, PermissionProblem):
            for server, launch in self._launches:
                add_counts(counts_path(self._state, server), launch, more)
