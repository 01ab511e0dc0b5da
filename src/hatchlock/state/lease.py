"""One writer at a time: a kernel lock that dies with its process, and a note of who holds it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, private_directory, read_optional, reporting_permission

__all__ = ["Holder", "LeaseHeld", "lease"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a lease.

    Attributes:
        pid: Process id on `host`.
        host: Host name.
        since: RFC 3339, UTC.
        purpose: The command.
    """

    pid: int
    host: str
    since: str
    purpose: str


@dataclass(kw_only=True, eq=False)
class LeaseHeld(HatchlockError):
    """Another process is changing the same thing, and did not finish in time."""

    code: ClassVar[str] = "lease-held"

    what: str
    holder: Holder | None
    waited: float

    def __str__(self) -> str:
        who = self.holder
        by = f" by `{who.purpose}`, process {who.pid} on {who.host}, since {who.since}" if who else ""
        return f"{self.what} is held{by}; waited {self.waited:g} s"

    def _hint(self) -> str:
        return "wait for it, or give it more time with --lock-timeout SECONDS; the lock ends with its process"


@contextlib.contextmanager
def lease(path: Path, *, what: str, purpose: str, timeout: float) -> Iterator[None]:
    """Hold the lease at `path` inside the block.

    Args:
        path: The lock file; its directory is made if needed. Who holds it is written beside it.
        what: What is held, for messages.
        purpose: The command that holds it.
        timeout: Seconds to wait for another holder; 0 does not wait.

    Raises:
        LeaseHeld: Somebody else held it all the time.
        PermissionProblem: The file cannot be made.
    """
    import filelock  # noqa: PLC0415  reading commands never get here

    private_directory(path.parent)
    note = path.with_suffix(".holder.json")
    lock = filelock.FileLock(path, timeout=timeout, mode=0o600)
    began = time.monotonic()
    try:
        with reporting_permission(path):
            lock.acquire()
    except filelock.Timeout as error:
        raise LeaseHeld(what=what, holder=_read_holder(note), waited=round(time.monotonic() - began, 1)) from error
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=since, purpose=purpose)
        atomic_write(note, json.dumps(asdict(holder)).encode(), durable=False)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)
    finally:
        lock.release()


def _read_holder(note: Path) -> Holder | None:
    data = read_optional(note)
    try:
        return Holder(**json.loads(data)) if data else None
    except (ValueError, TypeError):
        return None
