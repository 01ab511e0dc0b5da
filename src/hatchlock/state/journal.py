"""The write-ahead journal of an apply: what was begun and done. It is read to report, never to decide."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hatchlock.digest import canonical_json
from hatchlock.files import fsync_directory, naming_full, private_directory, read_optional

__all__ = ["Interrupted", "Journal", "read_interrupted"]

_COMMAND = re.compile(r"apply|destroy|rollback [1-9]\d*|client restore [a-z0-9-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Interrupted:
    """What a command that did not end had begun.

    Attributes:
        began: RFC 3339, UTC.
        done: Addresses of finished steps.
        running: Addresses of steps that were begun and neither finished nor failed.
        failed: Addresses of steps that failed.
        command: Which it was: `apply`, `rollback N`, `destroy` or `client restore NAME`.
        held_by: The process that holds the project's lease, in words: it is not interrupted, it runs; "" if nobody does.
    """

    began: str
    done: tuple[str, ...]
    running: tuple[str, ...]
    failed: tuple[str, ...] = ()
    command: str = "apply"
    held_by: str = ""

    @property
    def what(self) -> str:
        """What it was, in words."""
        name, _, number = self.command.partition(" ")
        if name == "client":
            return "a client restore"
        return {"rollback": f"a rollback to generation {number}", "destroy": "a destroy"}.get(name, "an apply")

    @property
    def told(self) -> str:
        """One sentence: what it was, how far it came, and how to go on."""
        failed = f", {', '.join(self.failed)} failed" if self.failed else ""
        unfinished = failed + (f", in the middle of {', '.join(self.running)}" if self.running else "")
        if self.held_by:
            return f"the project is held by {self.held_by}{unfinished}; what is here changes meanwhile"
        return f"{self.what} begun {self.began} did not finish{unfinished}; {self.way_on}"

    @property
    def way_on(self) -> str:
        """How to go on, in words."""
        on = f"`hatchlock {self.command}` goes on from here"
        return on if self.command == "apply" else f"{on}, `hatchlock apply` goes to what the lock says"


class Journal:
    """Appends lines, each durable before the step that it announces. Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        private_directory(path.parent)
        self.path = path
        self._lock = threading.Lock()
        self._stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)
        self._length = 0
        fsync_directory(path.parent)

    def write(self, event: str, **facts: str) -> None:
        """Append one line: `begin`, `start`, `done` or `failed`, with its address.

        Raises:
            OSError: The disk is full, or the like; nothing of the line is left.
        """
        line = canonical_json({"event": event, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts})
        with self._lock:
            try:
                with naming_full(self.path):
                    self._append(line + b"\n")
            except OSError:
                self._stream.truncate(self._length)
                self._stream.seek(self._length)
                raise

    def _append(self, line: bytes) -> None:
        rest = line
        while rest:
            rest = rest[self._stream.write(rest) :]
        os.fsync(self._stream.fileno())
        self._length += len(line)

    def close(self, *, finished: bool) -> None:
        """Close the journal; a finished apply's is deleted, since the world says the rest."""
        self._stream.close()
        if finished:
            self.path.unlink()


def read_interrupted(path: Path) -> Interrupted | None:
    """Return what the journal of a killed or failed apply says, or None when there is none.

    It is told and never acted upon, so whatever stands in it is good enough: what is no line of a journal is passed over.
    """
    data = read_optional(path)
    if data is None:
        return None
    events = list(_events(data))
    done = {step for event, step, _ in events if event == "done"}
    started = {step for event, step, _ in events if event == "start"}
    failed = {step for event, step, _ in events if event == "failed"} - done
    began = next((at for _, _, at in events if at), "at some time")
    command = next((word for event, word, _ in events if event == "begin"), "")
    return Interrupted(
        began=began,
        done=tuple(sorted(done)),
        running=tuple(sorted(started - done - failed)),
        failed=tuple(sorted(failed)),
        command=command if _COMMAND.fullmatch(command) else "apply",
    )


def _events(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield event, step or command, and time of each line; "" for what is not text. The last line may be half a one."""
    for line in data.splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            about = "command" if found.get("event") == "begin" else "step"
            event, what, at = (
                value if isinstance(value := found.get(name), str) else "" for name in ("event", about, "at")
            )
            yield event, what, at
