"""What `destroy` leaves although it was the project's: people should know of it, and how to be rid of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import PermissionProblem
from hatchlock.state.documents import BadState
from hatchlock.usecases.garbage import Kept

if TYPE_CHECKING:
    from hatchlock.paths import Home
    from hatchlock.resources.client import ClientResource
    from hatchlock.state.project import ProjectState

__all__ = ["left_of_files", "left_secrets", "left_unmarked", "was_imported"]


def left_of_files(home: Home, state: ProjectState) -> tuple[Kept, ...]:
    """Return the files of applications that are gone, and into which something would be put back if they were there.

    Args:
        home: The store.
        state: The project's, which knows into which files it has written.
    """
    from hatchlock.clients.originals import read_originals
    from hatchlock.resources.client import ClientFile
    from hatchlock.state.originals import original_path

    found = []
    for file in filter(None, map(ClientFile.parse, state.entry_files())):
        kept = original_path(home.root, Path(file.path))
        try:
            names = sorted({taken.name for taken in read_originals(kept).taken})
        except BadState:
            continue  # it was told and is put aside
        if names and not Path(file.path).is_file():
            why = f"it is gone; what stood in it before ours, {', '.join(map(repr, names))}, is kept in {kept}"
            found.append(Kept(name=file.path, why=why))
    return tuple(found)


def left_unmarked(clients: ClientResource) -> tuple[Kept, ...]:
    """Return the entries that were the project's until somebody has edited them so that nothing says it any more.

    Args:
        clients: The project's entries, observed.
    """
    found = clients.unmarked()
    return tuple(Kept(name=f"the entry {item.name!r} in {item.file.path}", why=f"it was {item.what}") for item in found)


def left_secrets(home: Home, project: str) -> Iterator[Kept]:
    """Yield the secrets that are the project's own: they may be the only copy of a token.

    Args:
        home: The store.
        project: The project's name.
    """
    from hatchlock.security.secrets.store import SecretStore

    try:
        names = SecretStore(home.root).names()
    except PermissionProblem as error:
        yield Kept(name="secrets", why=str(error))
        return
    own = [name.removeprefix(f"{project}/") for name in names if name.startswith(f"{project}/")]
    if own:
        what = "secret" if len(own) == 1 else "secrets"
        word = own[0] if len(own) == 1 else "NAME"
        why = f"kept until `hatchlock secret rm {word} --project {project}`"
        yield Kept(name=f"{what} {', '.join(sorted(own))}", why=why)


def was_imported(state: ProjectState) -> bool:
    """Return whether `import` has read entries of applications for a project."""
    from hatchlock.state.imported import read_imported

    try:
        return bool(read_imported(state.root))
    except BadState:
        return True
