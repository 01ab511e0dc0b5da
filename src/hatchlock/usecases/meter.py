"""How many bytes of how many have come, told now and then."""

from __future__ import annotations

import threading
import time

from hatchlock.events import FETCH_PROGRESS, Event, Sink

__all__ = ["Meter"]

_INTERVAL = 0.25


class Meter:
    """Counts bytes from any thread.

    Args:
        whole: How many there will be; 0 when that is not known.
        files: Of how many files; the event says it again, as the one of the beginning.
        emit: Told at most four times a second.
    """

    def __init__(self, whole: int, files: int, emit: Sink) -> None:
        self._whole = whole
        self._files = files
        self._emit = emit
        self._lock = threading.Lock()
        self._bytes = 0
        self._told = time.monotonic()

    def add(self, number: int) -> None:
        """Count some more."""
        with self._lock:
            self._bytes += number
            now = time.monotonic()
            if now - self._told < _INTERVAL:
                return
            self._told = now
            # what is asked for again, since it came damaged, would be counted twice
            done = min(self._bytes, self._whole) if self._whole else self._bytes
        data = {"files": self._files, "bytes": done, "of_bytes": self._whole}
        self._emit(Event(name=FETCH_PROGRESS, message=f"{self._files} files", data=data))
