"""Whether the directories that a lock names (`path:`, `hatch:`) are still what was locked of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.usecases.contexts import context_from_text, context_of, context_to_text
from hatchlock.usecases.profiles import changed_profiles

if TYPE_CHECKING:
    from hatchlock.lock.model import Build, Lock, Package
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
    directories = {str(project.place(package.location)) for package in _projects(project, lock)}
    contexts = {context_to_text(project, build) for build in _builds(project, lock)}
    return {text: _signature(text, project) for text in sorted(directories | contexts)}


def _signature(text: str, project: Project) -> str:
    from hatchlock.sources.projects.snapshot import signature

    store = project.home.root
    context = context_from_text(project, text)
    return context.signature(without=store) if context else signature(Path(text), without=store)


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
        if project.place(package.location).is_dir() or not blobs.has(package.files[0].digest)
    ]


def _builds(project: Project, lock: Lock) -> list[Build]:
    """Return the Dockerfiles whose directories are to be looked at, likewise."""
    if not lock.builds:
        return []
    from hatchlock.store.blobs import Blobs

    blobs = Blobs(project.home.blobs)
    return [
        build
        for build in lock.builds
        if project.place(build.context).is_dir()
        or not (build.image or all(blobs.has(file.digest) for file in build.files))
    ]


def are_unchanged(known: Mapping[str, str], project: Project) -> bool:
    """Return whether every directory still has its mark."""
    try:
        return all(_signature(text, project) == mark for text, mark in known.items())
    except HatchlockError:
        return False


def changed_directories(project: Project, lock: Lock) -> tuple[Reason, ...]:
    """Return the directories, and the seccomp profiles, whose content is not the one that was locked.

    Raises:
        HatchlockError: As `signatures`.
    """
    packages, builds = _projects(project, lock), _builds(project, lock)
    profiles = tuple(changed_profiles(project, lock))
    if not packages and not builds:
        return profiles
    from hatchlock.resolve.freshness import Reason
    from hatchlock.sources.projects.snapshot import snapshot

    store = project.home.root
    own = tuple(
        Reason(address=f"{package.kind}:{package.name}", what=f"{package.location} changed since it was locked")
        for package in packages
        if snapshot(project.place(package.location), without=store).sha256 != package.files[0].sha256
    )
    return (
        own
        + profiles
        + tuple(
            Reason(address=f"server:{build.server}", what=f"{build.context} changed since it was locked")
            for build in builds
            if [context_of(project, build).snapshot(without=store).sha256] != [file.sha256 for file in build.files]
        )
    )
