"""What was done with a store, and by whom: `audit/audit.ndjson`, a line of JSON each, only ever appended to.

One log for a store, not for a project: it outlives `destroy`. Several processes write at once, each entry with one call. A
file that is full becomes `audit.N.ndjson`, and a new one begins. The oldest go when there are more than eight, and the first
entry of the new file says how many entries go with them, so that nothing is missing silently.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError, PermissionProblem
from hatchlock.files import private_directory, read_optional, reporting_permission

__all__ = ["AUDIT_FORMAT", "AuditNotWritten", "Trail", "append", "audit_path", "read_audit", "record", "session", "who"]

AUDIT_FORMAT = 1
_LIMIT = 8 << 20
_KEPT = 8
_ROTATED = re.compile(r"audit\.(\d+)\.ndjson")
_NAME = "audit.ndjson"
_DROPPED = "audit.dropped"
_NOBODY = 0xFFFFFFFF
"""What the kernel gives as the login's uid where there was no login."""


@dataclass(kw_only=True, eq=False)
class AuditNotWritten(HatchlockError):
    """What is to be done cannot be written down; nothing was done."""

    code: ClassVar[str] = "audit-not-written"

    path: str
    why: str

    def __str__(self) -> str:
        return f"what is to be done cannot be written into the audit log {self.path}: {self.why}; nothing was done"

    def _hint(self) -> str:
        return "make room where HATCHLOCK_HOME is, and see that the file is yours to write; then run the same command again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail:
    """What an audit log says.

    Attributes:
        entries: The oldest first.
        damaged: Lines that are none: a disk was full, or somebody has edited it.
    """

    entries: tuple[Mapping[str, Any], ...]
    damaged: int = 0


def audit_path(store: Path) -> Path:
    """Return the file that is written now."""
    return store / "audit" / _NAME


def record(store: Path, event: str, facts: Mapping[str, object]) -> None:
    """Write down what is about to be done, so that it survives a power cut.

    Args:
        store: The store's root.
        event: What: `apply.start`.
        facts: JSON values. No secrets; nothing is redacted here.

    Raises:
        AuditNotWritten: It cannot be written: then it must not be done.
    """
    try:
        append(store, event, facts, durable=True)
    except (OSError, PermissionProblem) as error:
        why = str(error) if isinstance(error, PermissionProblem) else error.strerror or str(error)
        raise AuditNotWritten(path=str(audit_path(store)), why=why) from error


def append(store: Path, event: str, facts: Mapping[str, object], *, durable: bool = False, limit: int = _LIMIT) -> None:
    """Add an entry: when, what, who, and the facts in the order in which they are given.

    Args:
        store: The store's root.
        event: What.
        facts: JSON values. No secrets; nothing is redacted here.
        durable: Wait until it survives a power cut.
        limit: Bytes of a file.

    Raises:
        PermissionProblem: It cannot be written.
        OSError: The disk is full, or the like.
    """
    path = audit_path(store)
    private_directory(path.parent)
    line = _line(event, facts)
    with _opened(path) as file:
        if os.fstat(file).st_size + len(line) <= limit or not os.fstat(file).st_size:
            _write(file, line, durable=durable)
            return
    _rotate(path, limit - len(line))
    with _opened(path) as file:
        _write(file, line, durable=durable)


def who() -> dict[str, Any]:
    """Return who does something: the user and the process, what started it, and where."""
    uid, parent = os.getuid(), os.getppid()
    found: dict[str, Any] = {"uid": uid, "user": _user(uid), "pid": os.getpid(), "parent": parent}
    more = {
        "euid": os.geteuid() if os.geteuid() != uid else None,
        "login_uid": _login(uid),
        "application": _command(parent),
        "terminal": _terminal(),
        "host": os.uname().nodename,
    }
    return found | {name: value for name, value in more.items() if value not in {None, ""}}


@functools.cache
def session() -> str:
    """Return what names the sessions of this process in the log: its start, its end and its calls belong together by it."""
    return os.urandom(6).hex()


def read_audit(store: Path) -> Trail:
    """Return everything that the log holds.

    Raises:
        PermissionProblem: It cannot be read.
    """
    directory = audit_path(store).parent
    entries, damaged = [], 0
    for path in (*_rotated(directory).values(), directory / _NAME):
        whole, _, _ = (read_optional(path) or b"").rpartition(b"\n")  # behind it somebody may just be writing
        for line in filter(None, whole.splitlines()):
            entry = _entry(line)
            if entry is None:
                damaged += 1
            else:
                entries.append(entry)
    return Trail(entries=tuple(entries), damaged=damaged)


def _line(event: str, facts: Mapping[str, object]) -> bytes:
    now = time.time()
    when = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z"
    entry = {"format_version": AUDIT_FORMAT, "time": when, "event": event, **facts}
    if "session" not in facts or event.endswith(".start"):
        entry["who"] = who()  # what follows in a session is of whoever has started it
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _write(file: int, line: bytes, *, durable: bool) -> None:
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        # a disk was full in the middle of the entry before, so that one alone is damaged; or it is being written, and this
        # makes an empty line
        line = b"\n" + line
    if os.write(file, line) != len(line):
        raise OSError(28, os.strerror(28))  # ENOSPC; a part of it stands there
    if durable:
        os.fsync(file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    with reporting_permission(path):
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(path, flags, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _rotate(path: Path, room: int) -> None:
    """Begin a new file, unless another process has done so; the new one says what went with the oldest."""
    with _opened(path.parent / ".rotating") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if path.stat().st_size <= max(room, 0):
                return
        except FileNotFoundError:  # another process has just put the full one aside, and nothing is written since
            return
        known = _rotated(path.parent)
        path.rename(path.with_name(f"audit.{max(known, default=0) + 1}.ndjson"))
        old = list(_rotated(path.parent).values())[:-_KEPT]
        if not old:
            return
        gone = _told_of(line for file in old for line in (read_optional(file) or b"").splitlines())
        with _opened(path) as file:
            _write(file, _line(_DROPPED, gone), durable=True)
        for item in old:
            item.unlink()


def _told_of(lines: Iterable[bytes]) -> dict[str, object]:
    """Return how many entries are dropped, from when to when, with those of which one of them tells that they were."""
    found = [_entry(line) or {} for line in lines] or [{}]  # somebody may have emptied it
    earlier = [entry for entry in found if entry.get("event") == _DROPPED]
    counts = [entry.get("entries") for entry in earlier]
    count = len(found) - len(earlier) + sum(number for number in counts if isinstance(number, int))
    first, last = (earlier or found)[0], found[-1]
    return {"entries": count, "since": first.get("since") or first.get("time", ""), "until": last.get("time", "")}


def _rotated(directory: Path) -> dict[int, Path]:
    """Return the files that are full, by their numbers, the oldest first."""
    found = {
        int(match[1]): path for path in directory.glob("audit.*.ndjson") if (match := _ROTATED.fullmatch(path.name))
    }
    return dict(sorted(found.items()))


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("event"), str) else None


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415  not on every system

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _login(uid: int) -> int | None:
    """Who has logged in, which neither sudo nor su change (Linux); None if that is the same, or nobody has."""
    try:
        found = int(Path("/proc/self/loginuid").read_bytes())
    except (OSError, ValueError):
        return None
    return found if found not in {uid, _NOBODY} else None


def _command(pid: int) -> str:
    if sys.platform != "linux":
        return ""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().decode(errors="replace").strip()
    except OSError:
        return ""


def _terminal() -> str:
    for descriptor in (0, 2):
        with contextlib.suppress(OSError):
            return os.ttyname(descriptor)
    return ""
