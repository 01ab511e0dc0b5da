"""One writer at a time: a kernel lock that dies with its process, and a note of who holds it.

Leases are taken in one order, so that two commands never wait for each other: a manifest's, the store's, a project's, and
then those of single things, each with those of what it is made from (`docs/architecture.md`).
"""

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
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.files import naming_full, private_directory, read_optional, reporting_permission
from hatchlock.process import owner, owner_is_gone
from hatchlock.state.stamps import in_utc

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Holder", "LeaseHeld", "holder_elsewhere", "lease"]

_SILENCE = 0.5
"""Seconds of waiting that nobody has to be told of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a lease.

    Attributes:
        pid: Process id on `host`.
        host: Host name.
        since: RFC 3339, UTC.
        purpose: The command.
        process: What names the process for ever, as another one gets its pid (`process.owner`); "" where nothing does.
    """

    pid: int
    host: str
    since: str
    purpose: str
    process: str = ""

    def __str__(self) -> str:
        return f"`{self.purpose}`, process {self.pid} on {self.host}, since {in_utc(self.since)}"


@dataclass(kw_only=True, eq=False)
class LeaseHeld(HatchlockError):
    """Another process is changing the same thing, and did not finish in time."""

    code: ClassVar[str] = "lease-held"

    what: str
    holder: Holder | None
    waited: float

    def __str__(self) -> str:
        by = f" by {self.holder}" if self.holder else ""
        return f"{self.what} is held{by}; waited {self.waited:g} s"

    def _hint(self) -> str:
        return "wait for it, or give it more time with --lock-timeout SECONDS; the lock ends with its process"


@contextlib.contextmanager
def lease(
    path: Path, *, what: str, purpose: str, timeout: float, emit: Sink = discard, lasting: bool = True
) -> Iterator[None]:
    """Hold the lease at `path` inside the block.

    Args:
        path: The lock file; its directory is made if needed. Who holds it is written beside it.
        what: What is held, for messages.
        purpose: The command that holds it.
        timeout: Seconds to wait for another holder; 0 does not wait.
        emit: Told whom it waits for (`lease.wait`), if that takes longer than half a second.
        lasting: Whether the lock file stays when nobody holds it; otherwise it is gone with its last holder.

    Raises:
        LeaseHeld: Somebody else held it all the time.
        PermissionProblem: The file cannot be made.
    """
    import filelock  # noqa: PLC0415  reading commands never get here

    private_directory(path.parent)
    note = path.with_suffix(".holder.json")
    lock = filelock.FileLock(path, mode=0o600)
    began = time.monotonic()
    with reporting_permission(path):
        if not _acquired(lock, min(timeout, _SILENCE)):
            if timeout > _SILENCE:
                emit(_waiting(what, _read_holder(note)))
            if timeout <= _SILENCE or not _acquired(lock, timeout - _SILENCE):
                waited = round(time.monotonic() - began, 1)
                raise LeaseHeld(what=what, holder=_read_holder(note), waited=waited)
    try:
        _write_holder(note, purpose)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)
            if not lasting:  # while it is held: whoever waits for it sees that it is gone, and makes it anew
                path.unlink(missing_ok=True)
    finally:
        lock.release()


def holder_elsewhere(path: Path) -> Holder | None:
    """Return which other process holds the lease at `path`, to tell of it; None if nobody does, or this process."""
    holder = _read_holder(path.with_suffix(".holder.json"))
    return None if holder is None or holder.pid == os.getpid() else holder


def _acquired(lock: BaseFileLock, timeout: float) -> bool:
    import filelock  # noqa: PLC0415  as above

    try:
        lock.acquire(timeout=timeout)
    except filelock.Timeout:
        return False
    return True


def _waiting(what: str, holder: Holder | None) -> Event:
    by = f", held by {holder}" if holder else ""
    facts: dict[str, str | int] = {}
    if holder:
        facts = {"pid": holder.pid, "host": holder.host, "since": holder.since, "purpose": holder.purpose}
    return Event(name="lease.wait", message=f"{what}{by}", data={**facts})


def _write_holder(note: Path, purpose: str) -> None:
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(timespec="seconds")
    holder = Holder(pid=pid, host=socket.gethostname(), since=since, purpose=purpose, process=owner(pid))
    # always the same name, for nobody else writes it meanwhile: what a killed holder leaves goes with the next one
    temporary = note.with_name(f".{note.name}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with naming_full(note), os.fdopen(handle, "wb") as stream:
            stream.write(json.dumps(asdict(holder)).encode())
        temporary.replace(note)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _read_holder(note: Path) -> Holder | None:
    """Return who has written it; None for whoever was killed: he holds nothing, and who does has not written yet."""
    data = read_optional(note)
    try:
        holder = Holder(**json.loads(data)) if data else None
    except (ValueError, TypeError):
        return None
    return None if holder is None or owner_is_gone(str(holder.process)) else holder
