"""The lock of a project: as it is, or as one that satisfies the manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.usecases.project import Project

__all__ = ["read_project_lock", "satisfied_lock"]


def read_project_lock(project: Project) -> Lock:
    """Return a project's lock.

    Raises:
        MissingLock, BadLock, NewerLock: There is none that can be read.
    """
    from hatchlock.lock.store import MissingLock, loads

    if project.lock_bytes is None:
        raise MissingLock(path=project.lock.name)
    return loads(project.lock_bytes)


def satisfied_lock(project: Project) -> tuple[Manifest, Lock]:
    """Return a project's manifest, without overlay, and the lock that satisfies it.

    Raises:
        ManyErrors: The manifest has mistakes.
        MissingLock, StaleLock, BadLock, NewerLock: There is no such lock.
    """
    from hatchlock.manifest.load import load_bytes
    from hatchlock.resolve.freshness import StaleLock, stale_reasons

    manifest = load_bytes(project.manifest, project.manifest_bytes, b"").manifest
    lock = read_project_lock(project)
    if reasons := stale_reasons(manifest, lock):
        raise StaleLock(reasons=reasons)
    return manifest, lock
