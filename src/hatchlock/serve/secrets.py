"""A session and its secrets: which ones it was started with, and where their files are if no sandbox makes them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from hatchlock.errors import HatchlockError
from hatchlock.files import atomic_write, read_optional
from hatchlock.launch import LaunchRecord
from hatchlock.process import owner, owner_is_gone
from hatchlock.security.secrets.memory import check_secret_files, memory_directory, memory_places, remove_directory
from hatchlock.security.secrets.values import Secrets
from hatchlock.serve.watchdog import RELEASED, Cleanup
from hatchlock.state.quarantine import check_quarantine
from hatchlock.state.sessions import RunningSession, forget_ended, kept

__all__ = ["and_forget", "and_remove", "left_secrets", "remembered", "remove_left_secrets", "reserve"]

_OWNER = ".owner"
_END_SECONDS = 5.0
_GLANCE = 0.01


@contextlib.contextmanager
def remembered(record: LaunchRecord, secrets: Secrets, store: Path) -> Iterator[None]:
    """Let others see, while the block runs, that this session does, and what it was started with.

    `destroy` asks for sessions that run, `history` whose generation they are of, `status` whether a secret has changed since.
    What sessions left that were killed is removed. Whoever puts the server into quarantine either sees the session, or is
    seen by it.

    Args:
        record: As it was applied.
        secrets: What it was started with.
        store: The store's root.

    Raises:
        PermissionProblem: It has secrets, and the store cannot be written, or its key could be read by somebody else.
        InQuarantine: It must not be started.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_noted(record, secrets, store))
        except (HatchlockError, OSError):
            if secrets.bare:
                raise  # a store that is read-only serves all the same
        check_quarantine(store / "projects" / record.project, record.server)
        yield


@contextlib.contextmanager
def _noted(record: LaunchRecord, secrets: Secrets, store: Path) -> Iterator[None]:
    project = store / "projects" / record.project
    forget_ended(project)
    session = RunningSession(
        server=record.server,
        owner=owner(os.getpid()),
        pid=os.getpid(),
        launch=record.digest,
        secrets=_fingerprints(secrets, store),
    )
    with kept(project, session):
        yield


def _fingerprints(secrets: Secrets, store: Path) -> Mapping[str, str]:
    if not secrets.bare:
        return {}
    from hatchlock.security.secrets.store import fingerprint  # noqa: PLC0415  few servers have secrets

    return fingerprint(store, secrets.bare, create=True)


def reserve(record: LaunchRecord, environ: Mapping[str, str]) -> Path:
    """Return a directory that does not exist yet, for `lay_out`, and remove those whose session is provably over.

    Beside it stands who it belongs to, so that a later session can tell, whatever ended this one.

    Raises:
        NoMemory: There is no place for it that is memory, or the server's engine cannot see this machine's.
    """
    check_secret_files(record)
    above = memory_directory(environ)
    remove_left_secrets(environ)
    directory = above / os.urandom(6).hex()
    atomic_write(directory.with_suffix(_OWNER), owner(os.getpid()).encode(), durable=False)
    return directory


def left_secrets(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the directories with secrets of sessions that were killed, and whose watchdogs were as well. Reads only."""
    for above in memory_places(environ):
        for note in sorted(above.glob(f"*{_OWNER}")):
            if owner_is_gone((read_optional(note) or b"").decode()):
                yield note.with_suffix("")


def remove_left_secrets(environ: Mapping[str, str]) -> None:
    """Remove what `left_secrets` yields."""
    for left in left_secrets(environ):
        _remove(left)


def and_remove(directory: Path | None, cleanup: Cleanup) -> Cleanup:
    """Return a cleanup that removes a reserved directory, if there is one, before it does the other."""
    if directory is None:
        return cleanup

    def both(notes: bytes, group: int) -> None:
        # first: what ends processes may end the one who does it
        _remove(directory)
        cleanup(notes, group)

    return both


def and_forget(project: Path, cleanup: Cleanup) -> Cleanup:
    """Return a cleanup that forgets, after the other, that this session runs, if `run` was killed.

    Args:
        project: The project's state.
        cleanup: The other.
    """
    run = os.getpid()

    def both(notes: bytes, group: int) -> None:
        cleanup(notes, group)
        if RELEASED not in notes:
            _await_end(run)
            with contextlib.suppress(HatchlockError, OSError):  # a store that is read-only has no notes
                forget_ended(project)

    return both


def _await_end(pid: int) -> None:
    """Wait until a killed process has ended: its pipes do so an instant before, which is longer where much else runs."""
    patience = time.monotonic() + _END_SECONDS
    while owner(pid) and time.monotonic() < patience:
        time.sleep(_GLANCE)


def _remove(directory: Path) -> None:
    remove_directory(directory)
    directory.with_suffix(_OWNER).unlink(missing_ok=True)
