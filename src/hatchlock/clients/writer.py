"""Reading and replacing a client's file, and the entry that makes an application start a server through us.

These files belong to the user and to the application, which may rewrite them at any moment. So nothing is written over
a content that was not looked at: each write is a compare-and-swap (`swap`) under a lock of ours, and is tried again on what
the application has written. A file that is empty, or broken, may be one that is just being written: it is looked at again
before that is believed. What an edit puts aside is on the disk before the file is written (`originals`).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.clients.catalogue import Scope
from hatchlock.clients.dialect import Dialect
from hatchlock.clients.edits import Change, Edit, SecretsOf, Taking, changed
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.originals import NO_ORIGINALS, Originals, read_originals, write_originals
from hatchlock.clients.swap import ABSENT, Changed, FileState, Unusable, observe, swap, unlink
from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.paths import Home
from hatchlock.state.originals import remember_link

__all__ = [
    "ABSENT",
    "NEW_FILE_MODE",
    "Changed",
    "EntryChanged",
    "FileState",
    "Unusable",
    "Written",
    "apply_entry",
    "entry_digest",
    "lock_path",
    "observe",
    "take_back",
    "write",
]

NEW_FILE_MODE: Mapping[Scope, int] = {"user": 0o600, "project": 0o644}
"""The mode of a file that we create, before the umask."""

_LOCK_SECONDS = 30.0
_ATTEMPTS = 8
_PAUSE = 0.05
_BEGUN_SECONDS = 1.0


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
        swap(state, new, new_mode)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What an edit did to a file, in this process: nothing of it is ever kept.

    Attributes:
        before: The file before it.
        after: Its bytes after it; None for no file.
        originals: What was put aside before it.
        change: The edit's result.
    """

    before: FileState
    after: bytes | None
    originals: Originals
    change: Change


def _no_secrets(names: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG001
    return {}


def apply_entry(
    path: Path,
    name: str,
    value: Mapping[str, Any] | None,
    *,
    dialect: Dialect,
    expected_entry: str | None,
    lock: Path,
    new_mode: int = 0o600,
    renamed_from: str | None = None,
    taking: Taking | None = None,
    may_lose: bool = False,
    own: frozenset[str] = frozenset(),
    originals: Path | None = None,
    secrets: SecretsOf = _no_secrets,
    emit: Sink = discard,
) -> Written | None:
    """Set or remove one entry, if that entry still is what was observed; other changes of the file do not matter.

    An entry that already is as wanted is left alone, and then None is returned. When the application rewrites the file
    meanwhile, the edit is made again on what it wrote.

    Args:
        path: The client's file.
        name: The entry's name.
        value: What it shall be; None to remove it. An entry of ours that is removed gives back what was put aside for it,
            and the last one also the place that was made for it: a file that we made is deleted.
        dialect: The form of the file.
        expected_entry: `entry_digest` of the observed entry; None when there was none.
        lock: The lock's path (`lock_path`).
        new_mode: The mode of a file that does not exist yet, before the umask.
        renamed_from: The name of the observed entry, if it gets another one: it stays where it stands.
        taking: The observed entry is somebody else's: what is put aside of it.
        may_lose: Whether somebody has agreed to lose what was put aside and cannot be put back.
        own: The names of other entries of ours in the file.
        originals: Where what is put aside is kept (`state.originals.original_path`); None to keep nothing.
        secrets: Gives the values of secrets that were in entries of others.
        emit: Told for whom it waits.

    Raises:
        EntryChanged: The entry is neither as expected nor as wanted.
        EntryNotKept: An entry of somebody else's cannot be put aside.
        StandsIn: What was put aside cannot be put back now.
        Unparsable: The file is not understood.
        Changed: The file kept changing under us.
        BadState: What was put aside cannot be read.
        LeaseHeld: Another process is writing it, and does not end.
        PermissionProblem: The file or its directory cannot be used.
    """
    edit = Edit(name=name, value=value, renamed_from=renamed_from, taking=taking, may_lose=may_lose, own=own)
    job = _Job(
        path=path,
        edit=edit,
        expected=expected_entry,
        dialect=dialect,
        new_mode=new_mode,
        originals=originals,
        secrets=secrets,
    )
    with _held(lock, path, emit):
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(Changed):
                return _edit_settled(job)
        return _edit_settled(job)


def take_back(written: Written, *, lock: Path, originals: Path, emit: Sink = discard) -> bool:
    """Make a file what it was before an edit, and return whether it still was what the edit had made of it.

    Raises:
        Changed: The file kept changing under us.
        LeaseHeld: Another process is writing it, and does not end.
        PermissionProblem: The file or its directory cannot be used.
    """
    before = written.before
    with _held(lock, before.path, emit):
        state = observe(before.path)
        if state.data != written.after:
            return False
        if before.data is None:
            unlink(state, _missing(written))
        else:
            swap(state, before.data, before.mode if before.mode is not None else 0o600)
        write_originals(originals, written.originals)
    return True


def _missing(written: Written) -> tuple[str, ...]:
    place = written.change.originals.place
    return place.directories if place and place != written.originals.place else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    path: Path
    edit: Edit
    expected: str | None
    dialect: Dialect
    new_mode: int
    originals: Path | None
    secrets: SecretsOf


def _edit_settled(job: _Job) -> Written | None:
    state = observe(job.path)
    if state.data == b"":
        _check_not_begun(state)
    try:
        return _edit(job, state)
    except Unparsable:
        _check_settled(state)
        raise


def _check_not_begun(state: FileState) -> None:
    """Wait for whoever has just emptied a file, and may be about to fill it."""
    until = time.monotonic() + _BEGUN_SECONDS
    while time.monotonic() < until and time.time() - state.changed < _BEGUN_SECONDS:
        _check_settled(state)


def _check_settled(state: FileState) -> None:
    """Wait a little, and see whether somebody is in the middle of writing a file."""
    time.sleep(_PAUSE)
    if observe(state.path).fingerprint != state.fingerprint:
        raise Changed(path=str(state.path))


def _edit(job: _Job, state: FileState) -> Written | None:
    path, edit = job.path, job.edit
    entries = job.dialect.read(state.data or b"", path=str(path))
    is_renamed = edit.renamed_from is not None and edit.name not in entries
    observed = edit.renamed_from if is_renamed and edit.renamed_from is not None else edit.name
    entry = entries.get(observed)
    found = None if entry is None else entry_digest(entry.value)
    if not is_renamed and found == (None if edit.value is None else entry_digest(edit.value)):
        return None
    if found != job.expected:
        raise EntryChanged(path=str(path), name=observed)
    before = read_originals(job.originals) if job.originals else NO_ORIGINALS
    change = changed(
        state.data,
        edit if is_renamed else replace(edit, renamed_from=None),
        before,
        dialect=job.dialect,
        path=str(path),
        secrets=job.secrets,
        is_first=not entries,
        missing=_directories_to_make(state, before) if state.data is None else (),
    )
    is_put_aside = job.originals is not None and change.originals != before
    gives_back = edit.value is None and edit.taking is None
    if job.originals and is_put_aside and not gives_back:
        write_originals(job.originals, change.originals)
        remember_link(job.originals, path)
    try:
        if change.data is None:
            unlink(state, change.directories)
        else:
            swap(state, change.data, job.new_mode)
    except (HatchlockError, OSError):
        if job.originals and is_put_aside and not gives_back and _is_as_it_was(state):
            write_originals(job.originals, before)
        raise
    if job.originals and is_put_aside and gives_back:
        write_originals(job.originals, change.originals)
    return Written(before=state, after=change.data, originals=before, change=change)


def _is_as_it_was(state: FileState) -> bool:
    try:
        return observe(state.path).fingerprint == state.fingerprint
    except (HatchlockError, OSError):
        return False


def _directories_to_make(state: FileState, originals: Originals) -> tuple[str, ...]:
    """Return the directories that are not there, and those that a process has made which was killed before it wrote the file."""
    begun = originals.place.directories if originals.place else ()
    missing = []
    for parent in state.target.parents:
        if parent.exists() and str(parent) not in begun:
            break
        missing.append(str(parent))
    return tuple(reversed(missing))


def _held(lock: Path, path: Path, emit: Sink) -> contextlib.AbstractContextManager[None]:
    """Wait for whoever writes it, also where --lock-timeout says not to: a write takes an instant."""
    from hatchlock.state.lease import lease  # noqa: PLC0415  reading needs no lock

    return lease(lock, what=f"the file {path}", purpose="apply", timeout=_LOCK_SECONDS, emit=emit)
