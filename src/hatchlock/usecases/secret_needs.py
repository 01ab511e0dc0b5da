"""Which entries of applications' files cannot be put back without a secret: their text is kept with references alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.paths import Home
    from hatchlock.state.project import ProjectState

__all__ = ["Needing", "entries_without"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Needing:
    """An entry that stood in an application's file before one of a project's.

    Attributes:
        project: The project.
        path: The application's file.
        entry: The entry's name.
    """

    project: str
    path: str
    entry: str


def entries_without(home: Home, secret: str, *, project: str = "") -> tuple[Needing, ...]:
    """Return the entries that cannot be put back as long as the store of secrets lacks a secret; none if it has it. Reads only.

    Args:
        home: The store.
        secret: The secret's name.
        project: Whose own it is; "" for everybody's.

    Raises:
        PermissionProblem: The store of secrets could be another user's, or be read by one.
    """
    from hatchlock.security.secrets.store import SecretStore
    from hatchlock.usecases.leases import all_projects

    known = SecretStore(home.root).names()
    if secret in known:
        return ()
    found = (
        Needing(project=name, path=path, entry=entry)
        for name, state in all_projects(home).items()
        if project in {"", name} and f"{name}/{secret}" not in known
        for path, entry in _needing(home, state, secret)
    )
    return tuple(dict.fromkeys(found))


def _needing(home: Home, state: ProjectState, secret: str) -> Iterator[tuple[str, str]]:
    from hatchlock.clients.originals import read_originals
    from hatchlock.resources.client import ClientFile
    from hatchlock.state.originals import original_path

    try:
        for file in filter(None, map(ClientFile.parse, state.entry_files())):
            for taken in read_originals(original_path(home.root, Path(file.path))).taken:
                if secret in taken.secrets:
                    yield file.path, taken.name
    except HatchlockError:  # what is damaged is said where it is to be used
        return
