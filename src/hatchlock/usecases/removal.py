"""What `remove` locks: what stays, as far as that can be locked now; else the lock loses what went, and the rest is as it was."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.events import Sink, discard
from hatchlock.usecases.lock import LockResult, declared, lock_project, write_lock

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.usecases.project import Project

__all__ = ["lock_without"]


def lock_without(
    project: Project, names: Collection[str], *, offline: bool = False, emit: Sink = discard
) -> LockResult:
    """Lock a project whose manifest has lost some servers, and write the lock, if it changed.

    That something that stays cannot be locked is no reason to keep what goes: then only what those servers alone needed
    leaves the lock, `warnings` say why the rest could not be locked, and `reasons` what it lacks. Without a lock, none is written.

    Args:
        project: Whose; with its manifest as it will be.
        names: The servers that it has lost.
        offline: Use what is cached, however old.
        emit: Told about progress.

    Raises:
        ManyErrors: The manifest has mistakes.
        HatchlockError: What locking raises, where the lock that there is cannot be read or does not hold together.
        PermissionProblem: The lock cannot be written.
    """
    try:
        return lock_project(project, offline=offline, emit=emit)
    except HatchlockError as error:
        manifest = declared(project).manifest
        if project.lock_bytes is None:
            return _without_lock(manifest, error)
        before = _whole_lock(project.lock_bytes)
        if before is None:
            raise
        return _cut(project, manifest, before, names, error)


def _whole_lock(data: bytes) -> Lock | None:
    from hatchlock.lock.problems import BadLock
    from hatchlock.lock.store import loads
    from hatchlock.resolve.consistent import inconsistencies

    try:
        lock = loads(data)
    except BadLock:
        return None
    return None if inconsistencies(lock) else lock


def _without_lock(manifest: Manifest, error: HatchlockError) -> LockResult:
    from hatchlock.lock.model import Lock

    return LockResult(
        lock=Lock(project=manifest.project.name, platforms=manifest.project.platforms or ()),
        changes=(),
        differs=False,
        written=False,
        warnings=_why(", so there is no hatch.lock yet", error),
    )


def _cut(
    project: Project, manifest: Manifest, before: Lock, names: Collection[str], error: HatchlockError
) -> LockResult:
    from hatchlock.lock.diff import diff_locks
    from hatchlock.lock.store import dumps
    from hatchlock.resolve.freshness import stale_reasons
    from hatchlock.resolve.remaining import without_servers

    lock = without_servers(before, names)
    return LockResult(
        lock=lock,
        changes=diff_locks(before, lock),
        differs=lock != before,
        written=lock != before and write_lock(project, lock, dumps(lock)),
        warnings=_why(", and is in the lock as it was", error),
        reasons=tuple(map(str, stale_reasons(manifest, lock))),
    )


def _why(what: str, error: HatchlockError) -> tuple[str, ...]:
    """Say what became of what could not be locked, and why it could not, one text for each mistake, with what helps."""
    errors = error.errors if isinstance(error, ManyErrors) else (error,)
    return (f"what stays could not be locked{what}: `hatchlock lock` tries it again", *map(_sentence, errors))


def _sentence(error: HatchlockError) -> str:
    where = f"{error.place or error.address}: " if error.place or error.address else ""
    return f"{where}{error}" + (f" ({error.hint})" if error.hint else "")
