"""The leases that commands take: a manifest's, a project's, and all for one that needs to know what every project uses."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.events import Sink, discard
from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.state.project import ProjectState

__all__ = ["all_leases", "all_projects", "manifest_lease", "project_lease"]


@contextlib.contextmanager
def manifest_lease(home: Home, manifest: Path, *, purpose: str, timeout: float, emit: Sink = discard) -> Iterator[None]:
    """Hold the lease of a manifest and its lock inside the block; what is to be changed of them is read there.

    Raises:
        LeaseHeld: Another process did not let go of it in time.
    """
    from hatchlock.digest import sha256_bytes
    from hatchlock.state.lease import lease

    path = home.root / "locks" / f"manifest-{sha256_bytes(bytes(manifest.resolve()))[:20]}.lock"
    with lease(path, what=f"the manifest {manifest}", purpose=purpose, timeout=timeout, emit=emit, lasting=False):
        yield


@contextlib.contextmanager
def project_lease(
    home: Home, name: str, state: ProjectState, *, purpose: str, timeout: float, emit: Sink = discard
) -> Iterator[None]:
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
                store = lease(_newcomers(home), what="the store", purpose=purpose, timeout=timeout, emit=emit)
                first.enter_context(store)
            stack.enter_context(lease(state.lease_path, what=what, purpose=purpose, timeout=timeout, emit=emit))
        yield


@contextlib.contextmanager
def all_leases(home: Home, *, purpose: str, timeout: float, emit: Sink = discard) -> Iterator[None]:
    """Hold the lease of every project inside the block, also of those that are yet to come.

    While it waits for one it holds none: a slow apply of one project keeps those of others waiting no longer.

    Raises:
        LeaseHeld: An apply is running.
    """
    from hatchlock.state.lease import LeaseHeld, lease

    deadline = time.monotonic() + timeout
    while True:
        with contextlib.ExitStack() as stack:
            held = None
            for path, what in _every_lease(home):
                try:
                    stack.enter_context(lease(path, what=what, purpose=purpose, timeout=0))
                except LeaseHeld as error:
                    if time.monotonic() >= deadline:
                        raise LeaseHeld(what=what, holder=error.holder, waited=timeout) from error
                    held = (path, what)
                    break
            if held is None:
                yield
                return
        path, what = held
        left = max(deadline - time.monotonic(), 0.0)
        # a trial that ends takes its state with it, and the lock that is waited for
        with contextlib.suppress(FileNotFoundError), lease(path, what=what, purpose=purpose, timeout=left, emit=emit):
            pass  # it is free now; whether all the others are shows when they are asked for


def all_projects(home: Home) -> dict[str, ProjectState]:
    """Return the projects that the store knows, by name."""
    from hatchlock.state.project import ProjectState

    root = home.root / "projects"
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    return {name: ProjectState(home.project(name)) for name in names}


def _every_lease(home: Home) -> Iterator[tuple[Path, str]]:
    """Yield the store's own, and then, when that is held, those of the projects that there are."""
    yield _newcomers(home), "the store"
    for name, state in all_projects(home).items():
        if state.root.is_dir():  # a trial may have ended since they were listed: nobody is to make its directory anew
            yield state.lease_path, f"the project {name!r}"


def _newcomers(home: Home) -> Path:
    return home.root / "locks" / "projects.lock"
