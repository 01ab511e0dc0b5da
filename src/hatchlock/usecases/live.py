"""Whether the directories that a lock names (`path:`, `hatch:`) are still what was locked of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock, Package
    from hatchlock.resolve.freshness import Reason
    from hatchlock.usecases.project import Project

__all__ = ["are_unchanged", "changed_directories", "signatures"]

_IN_DIRECTORIES = (Kind.PATH, Kind.HATCH)
"""Kinds whose packages may lie in directories; those of a registry have no location."""


def signatures(project: Project, lock: Lock) -> dict[str, str]:
    """Return a quick mark of each directory, from paths, sizes and times.

    Raises:
        HatchlockError: One of them is no directory any more, or has something in it that no project has.
    """
    directories = sorted({str(project.directory / package.location) for package in _projects(project, lock)})
    if not directories:
        return {}
    from hatchlock.sources.projects.snapshot import signature

    return {directory: signature(Path(directory), without=project.home.root) for directory in directories}


def _projects(project: Project, lock: Lock) -> list[Package]:
    """Return the directories to look at: one that is gone does no harm as long as the store has what was locked of it."""
    packages = [package for package in lock.packages if package.kind in _IN_DIRECTORIES and package.location]
    if not packages:
        return []
    from hatchlock.store.blobs import Blobs

    blobs = Blobs(project.home.blobs)
    return [
        package
        for package in packages
        if (project.directory / package.location).is_dir() or not blobs.has(package.files[0].digest)
    ]


def are_unchanged(known: Mapping[str, str], project: Project) -> bool:
    """Return whether every directory still has its mark."""
    if not known:
        return True
    from hatchlock.sources.projects.snapshot import signature

    try:
        store = project.home.root
        return all(signature(Path(directory), without=store) == mark for directory, mark in known.items())
    except HatchlockError:
        return False


def changed_directories(project: Project, lock: Lock) -> tuple[Reason, ...]:
    """Return the directories whose content is not the one that was locked.

    Raises:
        HatchlockError: As `signatures`.
    """
    packages = _projects(project, lock)
    if not packages:
        return ()
    from hatchlock.resolve.freshness import Reason
    from hatchlock.sources.projects.snapshot import snapshot

    return tuple(
        Reason(address=f"{package.kind}:{package.name}", what=f"{package.location} changed since it was locked")
        for package in packages
        if snapshot(project.directory / package.location, without=project.home.root).sha256 != package.files[0].sha256
    )
