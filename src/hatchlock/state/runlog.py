"""What applies, rollbacks and the like of a project did: a file of events each, `projects/NAME/applies/N.ndjson`.

Nothing is decided by it. It is written as far as that is possible, and read with whatever is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchlock.errors import PermissionProblem
from hatchlock.events import Event, Sink, event_to_dict, is_progress
from hatchlock.files import private_directory, read_optional

__all__ = ["LineWriter", "logging_run", "read_run", "run_path", "runs"]

_DIRECTORY = "applies"
_KEPT = 20
_MOST_BYTES = 1 << 20
_RUN = re.compile(r"(\d+)\.ndjson")


class LineWriter:
    """Appends documents to a file, each as one whole line. Safe to use from threads.

    Args:
        path: The file; it is made, for its owner only, if it is not there.
        most: Bytes after which nothing more is written; None for no end.

    Raises:
        OSError: It cannot be opened for writing.
    """

    def __init__(self, path: Path, *, most: int | None = None) -> None:
        self._lock = threading.Lock()
        self._room = most
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.problem = ""

    def write(self, document: dict[str, Any]) -> None:
        """Append one line. When that fails, `problem` says why, and nothing more is written: half a line stays the last."""
        line = json.dumps(document).encode() + b"\n"
        with self._lock:
            if self.problem or (self._room is not None and self._room < len(line)):
                return
            if self._room is not None:
                self._room -= len(line)
            try:
                while line:
                    line = line[os.write(self._file, line) :]
            except OSError as error:
                self.problem = error.strerror or str(error)

    def close(self) -> None:
        """Write nothing more."""
        with self._lock:
            self.problem = self.problem or "closed"
            os.close(self._file)


@contextlib.contextmanager
def logging_run(root: Path, emit: Sink) -> Iterator[Sink]:
    """Return a sink that writes each event to a new file of a project before it goes on to `emit`.

    The oldest files beyond twenty are deleted. A disk that is full, or cannot be written to, hinders nothing.

    Args:
        root: The project's directory in the store; the caller holds its lease.
        emit: Where the events go as well.
    """
    try:
        numbers = runs(root)
        path = run_path(root, max(numbers, default=0) + 1)
        private_directory(path.parent)
        for number in numbers[: max(0, len(numbers) - _KEPT + 1)]:
            run_path(root, number).unlink(missing_ok=True)
        writer = LineWriter(path, most=_MOST_BYTES)
    except (OSError, PermissionProblem):
        yield emit
        return

    def write(event: Event) -> None:
        if not is_progress(event):
            writer.write(event_to_dict(event))
        emit(event)

    with contextlib.closing(writer):
        yield write


def runs(root: Path) -> tuple[int, ...]:
    """Return the numbers of a project's runs that there are, the oldest first."""
    try:
        names = [path.name for path in (root / _DIRECTORY).iterdir()]
    except (FileNotFoundError, NotADirectoryError):  # nothing was applied, or the project is just being destroyed
        return ()
    return tuple(sorted(int(match[1]) for match in map(_RUN.fullmatch, names) if match))


def read_run(root: Path, number: int) -> tuple[dict[str, Any], ...] | None:
    """Return the events of a project's run, the oldest first, or None when there is no such run.

    A line that is none, since the process was killed or the disk full, is passed over.
    """
    data = read_optional(run_path(root, number))
    return None if data is None else tuple(_events(data))


def _events(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            document = json.loads(line)
            if isinstance(document, dict):
                yield document


def run_path(root: Path, number: int) -> Path:
    """Return the file that has the events of a project's run, or would."""
    return root / _DIRECTORY / f"{number}.ndjson"
