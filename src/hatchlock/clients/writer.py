"""Reading and replacing a client's file, and the entry that makes an application start a server through us.

These files belong to the user and to the application, which may rewrite them at any moment. So nothing is written over
a content that was not looked at: each write is a compare-and-swap under a lock of ours, and the file is read once more
right before it is replaced. (What stays open is the instant between that read and the rename: applications take no lock
of ours.)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.clients.catalogue import Scope
from hatchlock.clients.dialect import Dialect
from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.files import begin_file, clear_unfinished, fsync_directory, reporting_permission
from hatchlock.paths import Home

__all__ = [
    "ABSENT",
    "NEW_FILE_MODE",
    "Changed",
    "EntryChanged",
    "FileState",
    "Unusable",
    "apply_entry",
    "entry_digest",
    "lock_path",
    "observe",
    "write",
]

ABSENT = "absent"
NEW_FILE_MODE: Mapping[Scope, int] = {"user": 0o600, "project": 0o644}
"""The mode of a file that we create, before the umask."""

_LOCK_SECONDS = 30.0
_ATTEMPTS = 5
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # opening a FIFO would block


@dataclass(kw_only=True, eq=False)
class Changed(HatchlockError):
    """A client's file is not as it was when the plan was made."""

    code: ClassVar[str] = "client-file-changed"

    path: str

    def __str__(self) -> str:
        return f"{self.path} changed since the plan was made"

    def _hint(self) -> str:
        return "run `hatchlock plan` again"


@dataclass(kw_only=True, eq=False)
class EntryChanged(HatchlockError):
    """The entry of one server is not as it was when the plan was made."""

    code: ClassVar[str] = "client-entry-changed"

    path: str
    name: str

    def __str__(self) -> str:
        return f"the entry {self.name!r} in {self.path} changed since the plan was made"

    def _hint(self) -> str:
        return "run `hatchlock plan` again"


@dataclass(kw_only=True, eq=False)
class Unusable(HatchlockError):
    """What stands at a client's path is no file that can be read."""

    code: ClassVar[str] = "unusable-client-file"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} cannot be used: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FileState:
    """A client's file as it was at one moment.

    Attributes:
        path: As given.
        target: Where it really is, all symlinks followed.
        data: Its bytes; None when there is no file.
        fingerprint: SHA-256 of the bytes (64 hex digits), or `ABSENT`.
        mode: Its permission bits; None when there is no file.
        uid: Its owner; None when there is no file.
        gid: Its group; None when there is no file.
    """

    path: Path
    target: Path
    data: bytes | None
    fingerprint: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def observe(path: Path) -> FileState:
    """Read a client's file, following symlinks. Nothing is created or changed.

    Raises:
        PermissionProblem: It may not be read.
        Unusable: It is a directory or the like, or symlinks run in a circle.
    """
    target = Path(os.path.realpath(path))
    with reporting_permission(target):
        try:
            with os.fdopen(os.open(target, _READ), "rb") as stream:
                facts = os.fstat(stream.fileno())
                if not stat.S_ISREG(facts.st_mode):
                    raise Unusable(path=str(path), why="it is no regular file")
                data = stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return FileState(path=path, target=target, data=None, fingerprint=ABSENT)
        except PermissionError:
            raise
        except OSError as error:
            raise Unusable(path=str(path), why=error.strerror or str(error)) from error
    return FileState(
        path=path,
        target=target,
        data=data,
        fingerprint=sha256_bytes(data),
        mode=stat.S_IMODE(facts.st_mode),
        uid=facts.st_uid,
        gid=facts.st_gid,
    )


def entry_digest(value: Any) -> str:
    """Return the digest (64 hex digits) by which `apply_entry` knows an entry again; the order of names is no matter."""
    return sha256_bytes(json.dumps(value, sort_keys=True).encode())


def lock_path(home: Home, path: Path) -> Path:
    """Return where the lock of a client's file is: one per file, however it is named."""
    return home.root / "locks" / f"client-{sha256_bytes(os.path.realpath(path).encode(errors='surrogateescape'))[:20]}"


def write(path: Path, new: bytes, *, expected: str, lock: Path, new_mode: int = 0o600) -> None:
    """Replace a client's file, if it still is what was observed. Mode, owner, group and symlinks stay.

    Args:
        path: The file; symlinks are written through. Its directories are made if there is no file yet.
        new: The whole content.
        expected: The fingerprint that it was observed with.
        lock: The lock's path (`lock_path`).
        new_mode: The mode of a file that does not exist yet, before the umask.

    Raises:
        Changed: It is not as expected; nothing was written.
        LeaseHeld: Another process is writing it, and does not end.
        PermissionProblem: The file's directory cannot be written to, or the owner could not be kept.
    """
    with _held(lock, path, discard):
        state = observe(path)
        if state.fingerprint != expected:
            raise Changed(path=str(path))
        _swap(state, new, new_mode)


def apply_entry(
    path: Path,
    name: str,
    value: Mapping[str, Any] | None,
    *,
    dialect: Dialect,
    expected_entry: str | None,
    lock: Path,
    new_mode: int = 0o600,
    renamed_from: str = "",
    emit: Sink = discard,
) -> None:
    """Set or remove one entry, if that entry still is what was observed; other changes of the file do not matter.

    An entry that already is as wanted is left alone. When the application rewrites the file meanwhile, the edit is made
    again on what it wrote.

    Args:
        path: The client's file.
        name: The entry's name.
        value: What it shall be; None to remove it.
        dialect: The form of the file.
        expected_entry: `entry_digest` of the observed entry; None when there was none.
        lock: The lock's path (`lock_path`).
        new_mode: The mode of a file that does not exist yet, before the umask.
        renamed_from: The name of the observed entry, if it gets another one: it stays where it stands.
        emit: Told for whom it waits.

    Raises:
        EntryChanged: The entry is neither as expected nor as wanted.
        Unparsable: The file is not understood.
        Changed: The file kept changing under us.
        LeaseHeld: Another process is writing it, and does not end.
        PermissionProblem: The file or its directory cannot be used.
    """
    with _held(lock, path, emit):
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(Changed):
                return _edit(
                    path, name, value, expected_entry, dialect=dialect, new_mode=new_mode, renamed_from=renamed_from
                )
        return _edit(path, name, value, expected_entry, dialect=dialect, new_mode=new_mode, renamed_from=renamed_from)


def _edit(
    path: Path,
    name: str,
    value: Mapping[str, Any] | None,
    expected_entry: str | None,
    *,
    dialect: Dialect,
    new_mode: int,
    renamed_from: str,
) -> None:
    state = observe(path)
    data = state.data or b""
    entries = dialect.read(data, path=str(path))
    is_renamed = bool(renamed_from) and name not in entries
    entry = entries.get(renamed_from if is_renamed else name)
    found = None if entry is None else entry_digest(entry.value)
    if not is_renamed and found == (None if value is None else entry_digest(value)):
        return
    if found != expected_entry:
        raise EntryChanged(path=str(path), name=renamed_from if is_renamed else name)
    if value is None:
        _swap(state, dialect.remove(data, name, path=str(path)), new_mode)
    elif is_renamed:
        _swap(state, dialect.rename(data, renamed_from, name, value, path=str(path)), new_mode)
    else:
        _swap(state, dialect.set(data, name, value, path=str(path)), new_mode)


def _held(lock: Path, path: Path, emit: Sink) -> contextlib.AbstractContextManager[None]:
    """Wait for whoever writes it, also where --lock-timeout says not to: a write takes an instant."""
    from hatchlock.state.lease import lease  # noqa: PLC0415  reading needs no lock

    return lease(lock, what=f"the file {path}", purpose="apply", timeout=_LOCK_SECONDS, emit=emit)


def _swap(state: FileState, new: bytes, new_mode: int) -> None:
    target = state.target
    with reporting_permission(target):
        _check_writable(state)
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_unfinished(target.parent, target.name)
        handle, temporary = begin_file(target, mode=new_mode if state.mode is None else 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                _keep_owner_and_mode(stream.fileno(), state)
                stream.write(new)
                stream.flush()
                os.fsync(stream.fileno())
                _check_unchanged(state)
                temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_directory(target.parent)


def _check_writable(state: FileState) -> None:
    # A rename would get past a file that its owner has made read-only.
    if state.data is not None and not os.access(state.target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(state.target))


def _check_unchanged(state: FileState) -> None:
    now = observe(state.path)
    if (now.fingerprint, now.target) != (state.fingerprint, state.target):
        raise Changed(path=str(state.path))


def _keep_owner_and_mode(handle: int, state: FileState) -> None:
    if state.mode is None or state.uid is None or state.gid is None:
        return
    facts = os.fstat(handle)
    if (facts.st_uid, facts.st_gid) != (state.uid, state.gid):
        os.fchown(handle, state.uid, state.gid)
    os.fchmod(handle, state.mode)
