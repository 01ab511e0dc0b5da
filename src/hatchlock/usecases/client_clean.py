"""`client clean`: away with entries of ours whose project, store or server is gone. `client remove`: with those of others.

Both show what they would take out, ask, and take out exactly that: an entry that has changed since it was shown stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hatchlock.address import scoped
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.surface import shown
from hatchlock.usecases.audit_trail import doing
from hatchlock.usecases.client_entries import list_applications

if TYPE_CHECKING:
    from hatchlock.clients.catalogue import Scope
    from hatchlock.paths import Home
    from hatchlock.usecases.client_entries import ApplicationFile, ListedEntry
    from hatchlock.usecases.project import Project

__all__ = ["Emptied", "OursToRemove", "Surplus", "chosen_entries", "orphaned_entries", "take_out"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Surplus:
    """An entry that is to go.

    Attributes:
        client: The application.
        scope: Of the file.
        path: The file.
        name: The entry's.
        why: As a clause; "" where somebody named it.
        shown: What stands there, with whatever may be a secret hidden.
        digest: Of what stands there.
    """

    client: str
    scope: Scope
    path: str
    name: str
    why: str
    shown: Any
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Emptied:
    """What became of entries.

    Attributes:
        gone: Those that were taken out.
        failed: Those that stay, with the errors.
    """

    gone: tuple[Surplus, ...]
    failed: tuple[tuple[Surplus, HatchlockError], ...]


@dataclass(kw_only=True, eq=False)
class OursToRemove(HatchlockError):
    """An entry is to be removed that a manifest, or another project, wants."""

    code: ClassVar[str] = "entry-is-ours"

    client: str
    server: str
    project: str

    def __str__(self) -> str:
        return f"the entry {self.server!r} of {self.client} belongs to the project {self.project!r}"

    def _hint(self) -> str:
        return f"take {self.client} out of the server's `clients` there, and apply; or `hatchlock client clean` if that is gone"


def orphaned_entries(
    project: Project, matches: Callable[[str, str], bool]
) -> tuple[tuple[Surplus, ...], tuple[str, ...]]:
    """Return the entries whose project, store or server is gone; and why some files could not be looked at.

    Args:
        project: Where the command was started, whose files are looked at besides those of the user.
        matches: Whether an application's files of a scope are meant.
    """
    applications = list_applications(project)
    found = [
        _surplus(item.name, file, entry, entry.detail)
        for item in applications
        for file, entry in item.entries
        if entry.state == "orphaned" and matches(item.name, file.scope)
    ]
    problems = dict.fromkeys(file.problem for item in applications for file in item.files if file.problem)
    return tuple(_once(found)), tuple(problems)


def chosen_entries(project: Project, client: str, scope: str, matches: Callable[[str], bool]) -> tuple[Surplus, ...]:
    """Return the entries of an application that are not ours and are named.

    Args:
        project: As above.
        client: The application.
        scope: "" for the user's file.
        matches: Whether a server is meant.

    Raises:
        OursToRemove: One of them is ours, or another project's.
        Unparsable: The application's file is not understood.
    """
    (item,) = (item for item in list_applications(project) if item.name == client)
    files = [file for file in item.files if file.scope == (scope or "user") and not file.directory]
    for file in files:
        if file.problem:
            _read_again(client, file.path)
    found = [
        (file, entry) for file in files for entry in file.entries if entry.value is not None and matches(entry.name)
    ]
    for _, entry in found:
        if entry.project:
            raise OursToRemove(client=client, server=entry.name, project=entry.project)
    return tuple(_surplus(client, file, entry) for file, entry in found)


def take_out(home: Home, command: str, entries: Iterable[Surplus], *, emit: Sink = discard) -> Emptied:
    """Take entries out of their files, each if it is still what was shown; one that cannot be stops no other.

    Args:
        home: The store, which has the locks and the audit log.
        command: "client clean" or "client remove", for the audit log.
        entries: Which.
        emit: Told for whom it waits.

    Raises:
        AuditNotWritten: It cannot be written down; nothing was done.
    """
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.clients.writer import apply_entry, lock_path

    items = tuple(entries)
    gone, failed = [], []
    named = [scoped(item.client, item.scope, item.name) for item in items]
    with doing(home.root, command.replace(" ", "."), entries=named) as facts:
        for item in items:
            path = Path(item.path)
            try:
                apply_entry(
                    path,
                    item.name,
                    None,
                    dialect=CLIENTS[item.client].dialect,
                    expected_entry=item.digest,
                    lock=lock_path(home, path),
                    emit=emit,
                )
            except HatchlockError as error:
                failed.append((item, error))
                continue
            gone.append(item)
            emit(Event(name="step.done", address=f"client:{item.client}/{shown(item.name)}", message="delete"))
        facts["failed"] = len(failed)
    return Emptied(gone=tuple(gone), failed=tuple(failed))


def _surplus(client: str, file: ApplicationFile, entry: ListedEntry, why: str = "") -> Surplus:
    from hatchlock.clients.writer import entry_digest

    return Surplus(
        client=client,
        scope=file.scope,
        path=file.path,
        name=entry.name,
        why=why,
        shown=entry.shown,
        digest=entry_digest(entry.value),
    )


def _once(found: Iterable[Surplus]) -> Iterator[Surplus]:
    """Several applications read some files in the same way; what is gone for one is gone for all."""
    from hatchlock.clients.catalogue import CLIENTS

    seen: list[tuple[object, ...]] = []
    for item in found:
        key = (CLIENTS[item.client].dialect, item.path, item.name, item.digest)
        if key not in seen:
            seen.append(key)
            yield item


def _read_again(client: str, path: str) -> None:
    """Raise what is wrong with a file, with its place."""
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.clients.writer import observe

    CLIENTS[client].dialect.read(observe(Path(path)).data or b"", path=path)
