"""Entries of ours that somebody has edited until nothing marks them as ours, and what is kept of those that they replaced.

Such an entry is left alone, as everybody else's is; but what it replaced never comes back by itself, and people should know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Address, ResourceKind
from hatchlock.errors import HatchlockError
from hatchlock.state.documents import BadState
from hatchlock.state.project import ProjectState

if TYPE_CHECKING:
    from hatchlock.paths import Home
    from hatchlock.resources.client import ClientFile

__all__ = ["Unmarked", "unmarked_entries", "unmarked_in"]


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
        return Address(kind=ResourceKind.CLIENT, name=f"{self.file.client}/{self.name}")

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


def unmarked_entries(
    home: Home, state: ProjectState, *, applied: Collection[Address], wanted: Collection[tuple[ClientFile, str]] = ()
) -> tuple[Unmarked, ...]:
    """Return such entries of the files into which a project has written. Reads only; what cannot be read has none.

    Args:
        home: The store.
        state: The project's.
        applied: The addresses of what its last apply left.
        wanted: Entries that are declared, and are written anew where they were taken out.
    """
    return tuple(_entries(home, state, applied, wanted))


def unmarked_in(home: Home, file: ClientFile, data: bytes, *, applied: Iterable[str] = ()) -> Mapping[str, Unmarked]:
    """Return such entries of one file, by name.

    Args:
        home: The store.
        file: The application's file.
        data: What is in it.
        applied: Names of entries that were ours when an apply ended, besides those that have replaced something.

    Raises:
        Unparsable: It is not of the application's form.
    """
    from hatchlock.clients.originals import read_originals
    from hatchlock.clients.owners import owner_of
    from hatchlock.state.originals import original_path

    place = original_path(home.root, Path(file.path))
    try:
        taken = read_originals(place).taken
    except HatchlockError:  # it was told, and is put aside
        taken = ()
    entries = file.dialect.read(data, path=file.path)
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


def _entries(
    home: Home, state: ProjectState, applied: Collection[Address], wanted: Collection[tuple[ClientFile, str]]
) -> Iterator[Unmarked]:
    from hatchlock.clients.swap import observe
    from hatchlock.resources.client import ClientFile

    try:
        files = sorted(filter(None, map(ClientFile.parse, state.entry_files())))
    except BadState:
        return
    for file in files:
        is_only = sum(other.client == file.client for other in files) == 1
        names = {name for address in applied if (name := _name(address, file, is_only=is_only))}
        try:
            seen = observe(Path(file.path))
            found = unmarked_in(home, file, seen.data, applied=names) if seen.data is not None else {}
        except HatchlockError:
            continue
        yield from (item for item in found.values() if item.is_there or (file, item.name) not in wanted)


def _name(address: Address, file: ClientFile, *, is_only: bool) -> str:
    """Return the name that an entry at an address has in a file; "" if it is in another one, or that cannot be told."""
    client, _, name = address.name.partition("/")
    is_here = client == f"{file.client}@{file.scope}" or (is_only and client == file.client)
    return name if is_here and address.kind is ResourceKind.CLIENT else ""
