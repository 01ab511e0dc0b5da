"""What was done with a store, and by whom: `audit/audit.ndjson`, a line of JSON each, only ever appended to.

One log for a store, not for a project: it outlives `destroy`. Several processes write, one after the other, each entry with
one call and with the hash of what stands before it (`audit_chain`). A file that is full becomes `audit.N.ndjson`, and a new one
begins. The oldest go when there are more than eight, and the first entry of the new file says how many entries go with them, so
that nothing is missing silently.
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
from hatchlock.state.audit_chain import CROSSED, DROPPED, end_of, link_of, linked, parse_entry
from hatchlock.state.stamps import moment

__all__ = [
    "AUDIT_FORMAT",
    "AuditNotWritten",
    "Trail",
    "append",
    "audit_files",
    "audit_path",
    "read_audit",
    "record",
    "session",
    "who",
]

AUDIT_FORMAT = 1
_LIMIT = 8 << 20
_KEPT = 8
_ROTATED = re.compile(r"audit\.(\d+)\.ndjson")
_NAME = "audit.ndjson"
_LOCK = ".rotating"
"""Earlier versions hold it, too, while they put a full file aside."""
_LINK = len(linked(b"{}", "0" * 64)) - len(b"{}")
_PATIENCE = 2.0
"""Seconds for another process that writes, which takes far below one millisecond; it may be one that somebody has stopped."""
_PAUSE = 0.0002
_MOST_CROSSED = 100
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
    body = _body(event, facts)
    with contextlib.ExitStack() as opened:
        with _alone(path.parent, os.O_RDWR | os.O_CREAT) as is_alone:
            if is_alone and _size(path) > max(limit - len(body) - _LINK, 0):
                _rotate(path)
            file = opened.enter_context(_opened(path))
            if is_alone:
                _add(path.parent, file, body)
            else:
                _write(
                    file, linked(body, "")
                )  # what somebody else is about to write cannot be known: the chain begins anew
        if durable:
            os.fsync(file)  # nobody waits for the disk but us


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


def audit_files(store: Path) -> list[tuple[str, bytes]]:
    """Return the names and bytes of the log's files, the oldest first, as they are at one moment.

    Raises:
        PermissionProblem: They cannot be read.
    """
    directory = audit_path(store).parent
    with contextlib.ExitStack() as held:
        with contextlib.suppress(FileNotFoundError):  # nobody has written yet who would hold it
            held.enter_context(_alone(directory, os.O_RDONLY))
        paths = (*_rotated(directory).values(), directory / _NAME)
        return [(path.name, data) for path in paths if (data := read_optional(path)) is not None]


def read_audit(store: Path) -> Trail:
    """Return everything that the log holds.

    Raises:
        PermissionProblem: It cannot be read.
    """
    entries, damaged = [], 0
    for _, data in audit_files(store):
        for line in filter(None, data.split(b"\n")):
            entry = parse_entry(line)
            if entry is None:
                damaged += 1
            else:
                entries.append(entry)
    return Trail(entries=tuple(entries), damaged=damaged)


def _body(event: str, facts: Mapping[str, object]) -> bytes:
    entry = {"format_version": AUDIT_FORMAT, "time": moment(), "event": event, **facts}
    if "session" not in facts or event.endswith(".start"):
        entry["who"] = who()  # what follows in a session is of whoever has started it
    return json.dumps(entry, separators=(",", ":")).encode()


def _add(directory: Path, file: int, body: bytes) -> None:
    """Write an entry with the hash of what stands before it, and say so where another one came in between."""
    crossed: list[str] = []
    for _ in range(_MOST_CROSSED):
        size, previous = _end(directory, file)
        line = linked(body, previous)
        if _write(file, line) == size:
            return
        crossed.append(link_of([line[:-1]]))
        body = _body(
            CROSSED, {"entries": crossed}
        )  # an earlier version waits for nobody, and may come before this, too


def _end(directory: Path, file: int) -> tuple[int, str]:
    """Return how long the newest file is, and the hash of what stands at its end, where nobody was just writing."""
    for _ in range(_MOST_CROSSED):
        size = os.fstat(file).st_size
        previous = _link(directory, file)
        if os.fstat(file).st_size == size:
            break
    return size, previous


def _write(file: int, line: bytes) -> int:
    """Write a line at the end, and return where that was."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        line = b"\n" + line  # a disk was full in the middle of the entry before, so that one alone is damaged
    if os.write(file, line) != len(line):
        raise OSError(28, os.strerror(28))  # ENOSPC; a part of it stands there
    return os.lseek(file, 0, os.SEEK_CUR) - len(line)


def _link(directory: Path, file: int) -> str:
    """Return the hash of what stands at the end of the log, whose newest file is open."""
    with contextlib.ExitStack() as opened:

        def files() -> Iterator[int]:
            yield file  # there is hardly ever a need for more
            for path in reversed(_rotated(directory).values()):
                yield opened.enter_context(_opened(path, os.O_RDONLY))

        return link_of(end_of(files()))


@contextlib.contextmanager
def _alone(directory: Path, flags: int) -> Iterator[bool]:
    """Keep the log to oneself for a moment; False where another process does not let go of it.

    Raises:
        PermissionProblem, OSError: What says so cannot be opened.
    """
    with _opened(directory / _LOCK, flags) as lock:
        is_alone = _locked(lock)
        try:
            yield is_alone
        finally:
            if is_alone:
                fcntl.flock(lock, fcntl.LOCK_UN)  # one that forks meanwhile has the descriptor, too


def _locked(lock: int) -> bool:
    end, pause = 0.0, _PAUSE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
            end = end or now + _PATIENCE
            if now >= end:
                return False
            time.sleep(pause)
            pause = min(pause * 2, 0.01)
        else:
            return True


@contextlib.contextmanager
def _opened(path: Path, flags: int = os.O_RDWR | os.O_APPEND | os.O_CREAT) -> Iterator[int]:
    with reporting_permission(path):
        file = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _rotate(path: Path) -> None:
    """Begin a new file; it says what went with the oldest. To be called by whoever has the log for itself."""
    known = _rotated(path.parent)
    path.rename(path.with_name(f"audit.{max(known, default=0) + 1}.ndjson"))
    old = list(_rotated(path.parent).values())[:-_KEPT]
    if not old:
        return
    gone = _told_of(line for file in old for line in (read_optional(file) or b"").splitlines())
    with contextlib.ExitStack() as opened:
        last = link_of(end_of(opened.enter_context(_opened(item, os.O_RDONLY)) for item in reversed(old)))
        file = opened.enter_context(_opened(path))
        _add(path.parent, file, _body(DROPPED, gone | {"last": last}))
        os.fsync(file)
    for item in old:
        item.unlink()


def _told_of(lines: Iterable[bytes]) -> dict[str, object]:
    """Return how many entries are dropped, from when to when, with those of which one of them tells that they were."""
    found = [parse_entry(line) or {} for line in lines] or [{}]  # somebody may have emptied it
    earlier = [entry for entry in found if entry.get("event") == DROPPED]
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
