"""Whether the directories that a lock names (`path:`) are still what was locked of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.resolve.freshness import Reason
    from hatchlock.usecases.project import Project

__all__ = ["are_unchanged", "changed_directories", "signatures"]


def signatures(project: Project, lock: Lock) -> dict[str, str]:
    """Return a quick mark of each directory, from paths, sizes and times.

    Raises:
        HatchlockError: One of them is no directory any more, or has something in it that no project has.
    """
    locations = {package.location for package in lock.packages if package.kind is Kind.PATH}
    if not locations:
        return {}
    from hatchlock.sources.projects.snapshot import signature

    directories = sorted(str(project.directory / location) for location in locations)
    return {directory: signature(Path(directory)) for directory in directories}


def are_unchanged(known: Mapping[str, str]) -> bool:
    """Return whether every directory still has its mark."""
    if not known:
        return True
    from hatchlock.sources.projects.snapshot import signature

    try:
        return all(signature(Path(directory)) == mark for directory, mark in known.items())
    except HatchlockError:
        return False


def changed_directories(project: Project, lock: Lock) -> tuple[Reason, ...]:
    """Return the directories whose content is not the one that was locked.

    Raises:
        HatchlockError: As `signatures`.
    """
    packages = [package for package in lock.packages if package.kind is Kind.PATH]
    if not packages:
        return ()
    from hatchlock.resolve.freshness import Reason
    from hatchlock.sources.projects.snapshot import snapshot

    return tuple(
        Reason(address=f"{Kind.PATH}:{package.name}", what=f"{package.location} changed since it was locked")
        for package in packages
        if snapshot(project.directory / package.location).sha256 != package.files[0].sha256
    )
