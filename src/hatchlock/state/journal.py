"""The write-ahead journal of an apply: what was begun and done. It is read to report, never to decide."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hatchlock.digest import canonical_json
from hatchlock.files import private_directory, read_optional

__all__ = ["Interrupted", "Journal", "read_interrupted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted:
    """What an apply that did not end had begun.

    Attributes:
        began: RFC 3339, UTC.
        done: Addresses of finished steps.
        running: Addresses of steps that were begun and not finished.
    """

    began: str
    done: tuple[str, ...]
    running: tuple[str, ...]


class Journal:
    """Appends lines, each durable before the step that it announces. Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        private_directory(path.parent)
        self.path = path
        self._lock = threading.Lock()
        self._stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def write(self, event: str, **facts: str) -> None:
        """Append one line: `begin`, `start`, `done` or `failed`, with its address."""
        line = canonical_json({"event": event, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts})
        with self._lock:
            self._stream.write(line + b"\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())

    def close(self, *, finished: bool) -> None:
        """Close the journal; a finished apply's is deleted, since the world says the rest."""
        self._stream.close()
        if finished:
            self.path.unlink()


def read_interrupted(path: Path) -> Interrupted | None:
    """Return what the journal of a killed or failed apply says, or None when there is nothing to say."""
    data = read_optional(path)
    if not data:
        return None
    events = list(_lines(data))
    done = {str(event["step"]) for event in events if event.get("event") == "done"}
    started = {str(event["step"]) for event in events if event.get("event") == "start"}
    began = str(events[0].get("at", "")) if events else ""
    return Interrupted(began=began, done=tuple(sorted(done)), running=tuple(sorted(started - done)))


def _lines(data: bytes) -> list[Mapping[str, object]]:
    lines: list[Mapping[str, object]] = []
    for line in data.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break  # the line that was being written when the process was killed
    return lines
