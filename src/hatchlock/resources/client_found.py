"""An entry that is in an application's file, and what is to be said of putting ours into its place. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hatchlock.clients.dialect import Entry
from hatchlock.clients.edits import Taking
from hatchlock.clients.owners import EntryTaken, is_of, owner_of, whose
from hatchlock.paths import Home
from hatchlock.resources.base import Problem
from hatchlock.resources.client_file import ClientFile, usual_address
from hatchlock.resources.client_imports import Read

__all__ = ["Found", "handover_of", "taken", "taking_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An entry, and the name that it should have by now.

    Attributes:
        file: The application's file.
        server: The name that it has.
        entry: What stands there.
        ours: Whether it is this project's.
        now: The name that it should have.
        read: What becomes of it, if `import` has read it.
        loss: What is lost if it is taken out and is somebody else's.
    """

    file: ClientFile
    server: str
    entry: Entry
    ours: bool
    now: str
    read: Read | None = None
    loss: str = ""

    @property
    def value(self) -> Any:
        """What stands there, as plain values."""
        return self.entry.value

    @property
    def is_removed(self) -> bool:
        """Whether it was imported, and another one stands for it."""
        return self.read is not None and self.read.part == "removed"


def taken(found: Found, home: Home, project: str) -> Problem:
    """Return that another entry, of somebody else's as a rule, stands where ours should be.

    Args:
        found: The entry.
        home: The store.
        project: The project.
    """
    start = found.file.shape.read(found.value)
    error = EntryTaken(
        path=found.file.path,
        name=found.server,
        client=found.file.client,
        owner=whose(start, home=home, project=project),
        is_of_this_project=is_of(start, home=home, project=project),
    )
    return Problem.of(usual_address(found.file, found.server), error)


def taking_of(found: Found | None, home: Home, *, may_lose: bool) -> Taking | None:
    """Return what is put aside of an entry if ours stands for it; None if it is ours, or there is none.

    Args:
        found: The entry.
        home: The store.
        may_lose: Whether somebody has agreed to lose what cannot be put aside.
    """
    if found is None or found.ours:
        return None
    by, secrets = (found.read.server, found.read.record.secrets) if found.read else (found.now, ())
    is_ours = owner_of(found.file.shape.read(found.value), scope=found.file.scope, home=home) is not None
    return Taking(by=by, secrets=secrets, may_lose=may_lose, is_ours=is_ours)


def handover_of(found: Found, home: Home, project: str) -> str:
    """Return what a step says of where an entry comes from; "" for nothing.

    Args:
        found: The entry.
        home: The store.
        project: The project.
    """
    if found.read and not found.is_removed:
        name = "" if found.server == found.now else f" {found.server!r}"
        return f"replaces the entry{name} that was imported"
    if not found.ours and not found.read:
        what = whose(found.file.shape.read(found.value), home=home, project=project)
        return f"adopted: replaces an entry that {what}"
    return f"moved from {usual_address(found.file, found.server)}" if found.now != found.server else ""
