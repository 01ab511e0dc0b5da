"""Leases of projects: one for a command that changes a project, all for one that needs to know what every project uses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.state.project import ProjectState

__all__ = ["all_leases", "all_projects", "project_lease"]


@contextlib.contextmanager
def project_lease(home: Home, name: str, state: ProjectState, *, purpose: str, timeout: float) -> Iterator[None]:
    """Hold a project's lease inside the block.

    A project that the store does not know yet gets its lease only while nobody holds `all_leases`, who could not have
    asked for it.

    Raises:
        LeaseHeld: Another process did not let go of it in time.
    """
    from hatchlock.state.lease import lease

    what = f"the project {name!r}"
    with contextlib.ExitStack() as stack:
        with contextlib.ExitStack() as first:
            if not state.root.is_dir():
                first.enter_context(lease(_newcomers(home), what="the store", purpose=purpose, timeout=timeout))
            stack.enter_context(lease(state.lease_path, what=what, purpose=purpose, timeout=timeout))
        yield


@contextlib.contextmanager
def all_leases(home: Home, *, purpose: str, timeout: float) -> Iterator[None]:
    """Hold the lease of every project inside the block, also of those that are yet to come.

    Raises:
        LeaseHeld: An apply is running.
    """
    from hatchlock.state.lease import lease

    with contextlib.ExitStack() as stack:
        stack.enter_context(lease(_newcomers(home), what="the store", purpose=purpose, timeout=timeout))
        for name, state in all_projects(home).items():
            what = f"the project {name!r}"
            stack.enter_context(lease(state.lease_path, what=what, purpose=purpose, timeout=timeout))
        yield


def all_projects(home: Home) -> dict[str, ProjectState]:
    """Return the projects that the store knows, by name."""
    from hatchlock.state.project import ProjectState

    root = home.root / "projects"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return {name: ProjectState(home.project(name)) for name in names}


def _newcomers(home: Home) -> Path:
    return home.root / "locks" / "projects.lock"
