"""Entries of ours that somebody has edited until nothing marks them as ours, and what is kept of those that they replaced.

Such an entry is left alone, as everybody else's is; but what it replaced never comes back by itself, and people should know.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hatchlock.address import Address, ResourceKind, scoped
from hatchlock.clients.dialect import Entry
from hatchlock.clients.originals import read_originals
from hatchlock.clients.owners import owner_of
from hatchlock.clients.put_aside import Taken
from hatchlock.errors import HatchlockError
from hatchlock.paths import Home
from hatchlock.resources.client_file import ClientFile, usual_address
from hatchlock.state.originals import original_path

__all__ = ["Unmarked", "applied_names", "unmarked_among"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmarked:
    """An entry that an apply has written, and that nothing marks as ours any more.

    Attributes:
        file: The application's file, which is there.
        name: The entry's name.
        is_there: Whether an entry of that name is in the file.
        kept: The names of the entries that stood there before it.
        place: Where these are kept; "" if there are none.
    """

    file: ClientFile
    name: str
    is_there: bool
    kept: tuple[str, ...] = ()
    place: str = ""

    @property
    def address(self) -> Address:
        """`client:CLIENT/NAME`."""
        return usual_address(self.file, self.name)

    @property
    def what(self) -> str:
        """What is to be said of it, as a clause that does not name it."""
        edited = "edited until nothing marks it as hatchlock's, so it is left alone" if self.is_there else "taken out"
        return "; ".join(filter(None, (edited, self.kept_where)))

    @property
    def kept_where(self) -> str:
        """What is kept, as a clause; "" for nothing."""
        if not self.kept:
            return ""
        return f"what stood there before it, {', '.join(map(repr, self.kept))}, is kept in {self.place}"


def unmarked_among(
    home: Home, file: ClientFile, entries: Mapping[str, Entry], *, applied: Iterable[str] = ()
) -> Mapping[str, Unmarked]:
    """Return such entries of one file, by name. Reads only what was put aside of it.

    Args:
        home: The store.
        file: The application's file.
        entries: What is in it.
        applied: Names of entries that were ours when an apply ended, besides those that have replaced something.
    """
    place = original_path(home.root, Path(file.path))
    try:
        taken = read_originals(place).taken
    except HatchlockError:  # it was told, and is put aside
        taken = ()
    taken = tuple(item for item in taken if not _still_stands(item, entries))
    found = {}
    for name in sorted({item.by for item in taken} | (set(applied) & entries.keys())):
        entry = entries.get(name)
        owner = owner_of(file.shape.read(entry.value), scope=file.scope, home=home) if entry else None
        if owner is None or owner[1] != name:
            kept = tuple(sorted({item.name for item in taken if item.by == name}))
            found[name] = Unmarked(
                file=file, name=name, is_there=entry is not None, kept=kept, place=str(place) if kept else ""
            )
    return found


def _still_stands(taken: Taken, entries: Mapping[str, Entry]) -> bool:
    """Whether an entry was put aside and is there all the same: whoever was about to replace it was killed before."""
    entry = entries.get(taken.name)
    return entry is not None and taken.value.is_of(json.dumps(entry.value))


def applied_names(file: ClientFile, files: Collection[ClientFile], applied: Iterable[Address]) -> set[str]:
    """Return the names of the entries that an apply has left in a file.

    Args:
        file: The application's file.
        files: All into which the project has written.
        applied: The addresses of what its last apply left. Those that may be of another file do not count.
    """
    is_only = sum(other.client == file.client for other in files) == 1
    names = set()
    for address in applied:
        client, _, name = address.name.partition("/")
        is_here = client == scoped(file.client, file.scope) or (is_only and client == file.client)
        if is_here and address.kind is ResourceKind.CLIENT:
            names.add(name)
    return names
