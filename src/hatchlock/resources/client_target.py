"""What should stand in the files of applications, from manifest and machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.clients.catalogue import CLIENTS, Client, Scope
from hatchlock.clients.dialect import Dialect
from hatchlock.clients.owners import start_for
from hatchlock.clients.shape import Start
from hatchlock.errors import HatchlockError
from hatchlock.manifest.model import Manifest, ServerSpec
from hatchlock.resources.base import Problem
from hatchlock.resources.client import ClientFile, EntrySpec
from hatchlock.resources.machine import Machine

__all__ = [
    "NoProjectFile",
    "SharedFile",
    "Wanted",
    "other_files",
    "own_fields",
    "usual_files",
    "wanted_entries",
    "written_entry",
]

_FIRST = frozenset({"claude-code", "cursor"})
"""Applications whose files are a part of every target: plans and generations are compared by its bytes, which stay."""


@dataclass(kw_only=True, eq=False)
class NoProjectFile(HatchlockError):
    """An application is to list a server for a project, and reads no file of a project."""

    code: ClassVar[str] = "no-project-file"

    client: str
    title: str
    instead: str

    def __str__(self) -> str:
        return f"{self.title} reads no file of a project"

    def _hint(self) -> str:
        return self.instead or f'write scope = "user" into [clients.{self.client}]'


@dataclass(kw_only=True, eq=False)
class SharedFile(HatchlockError):
    """Two applications that write entries differently have one file."""

    code: ClassVar[str] = "shared-client-file"

    path: str
    client: str
    title: str
    server: str

    def __str__(self) -> str:
        return f"{self.path} is the file of {self.title} as well, whose entry {self.server!r} is another one"

    def _hint(self) -> str:
        return f"leave one of the two out of `clients`, or name a file of its own: path in [clients.{self.client}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a manifest wants of applications.

    Attributes:
        entries: What should stand in their files, by server; each starts this home's launcher.
        problems: What an application cannot have.
        left_out: Applications that are left out because they are not installed, sorted.
    """

    entries: tuple[EntrySpec, ...]
    problems: tuple[Problem, ...]
    left_out: tuple[str, ...]


def wanted_entries(manifest: Manifest, machine: Machine) -> Wanted:
    """Return what the manifest wants of applications on this machine."""
    entries: list[EntrySpec] = []
    problems: list[Problem] = []
    left_out: set[str] = set()
    for _, server in sorted(manifest.servers.items()):
        for name in server.clients:
            if manifest.client(name).if_installed and name in machine.absent:
                left_out.add(name)
                continue
            client = CLIENTS[name]
            spec = _entry(server, client, manifest, machine)
            if _path(client, manifest, machine) is None:
                error = NoProjectFile(client=name, title=client.title, instead=client.no_project)
                problems.append(Problem.of(spec.address, error))
            else:
                entries.append(spec)
    shared = tuple(_in_one_place(entries))
    problems += [problem for _, problem in shared]
    entries = [entry for entry in entries if all(entry is not other for other, _ in shared)]
    return Wanted(entries=tuple(entries), problems=tuple(problems), left_out=tuple(sorted(left_out)))


def _in_one_place(entries: Sequence[EntrySpec]) -> Iterator[tuple[EntrySpec, Problem]]:
    """Yield the entries for which there is no room: another application's entry of that name is another one, in the same file."""
    real = {file.path: os.path.realpath(file.path) for file in {entry.file for entry in entries}}
    first: dict[tuple[str, Dialect, str], EntrySpec] = {}
    for entry in entries if len(set(real.values())) < len({entry.file for entry in entries}) else ():
        file = entry.file
        other = first.setdefault((real[file.path], file.dialect, entry.server), entry)
        if other.value != entry.value:
            title = CLIENTS[other.file.client].title
            error = SharedFile(path=file.path, client=file.client, title=title, server=entry.server)
            yield entry, Problem.of(entry.address, error)


def _entry(server: ServerSpec, client: Client, manifest: Manifest, machine: Machine) -> EntrySpec:
    scope = manifest.client(client.name).scope
    start = start_for(
        scope=scope,
        launcher=str(machine.home.bin / "hatchlock"),
        home=machine.home,
        project=manifest.project.name,
        server=server.name,
    )
    file = ClientFile(client=client.name, scope=scope, path=_path(client, manifest, machine) or "")
    return EntrySpec(file=file, server=server.name, value=written_entry(server, client, start))


def written_entry(server: ServerSpec, client: Client, start: Start) -> dict[str, Any]:
    """Return the entry of a server in an application's file, with the application's own fields."""
    return {**client.shape.written(start), **own_fields(server, client)}


def own_fields(server: ServerSpec, client: Client) -> dict[str, Any]:
    """Return the application's own fields, in the catalogue's order: that of the manifest is nothing that an entry shows."""
    given = server.client_fields.get(client.name, {})
    return {name: given[name] for name in client.fields if name in given}


def _path(client: Client, manifest: Manifest, machine: Machine) -> str | None:
    spec = manifest.client(client.name)
    return machine.path(spec.path) if spec.path else _usual_path(client.name, spec.scope, machine)


def usual_files(machine: Machine) -> Iterator[ClientFile]:
    """Yield the files that the first two applications read when nobody has said otherwise, the user's and the project's."""
    return _usual_files(_FIRST, machine)


def other_files(machine: Machine) -> Iterator[ClientFile]:
    """Yield those that all others read."""
    return _usual_files(CLIENTS.keys() - _FIRST, machine)


def _usual_files(names: Iterable[str], machine: Machine) -> Iterator[ClientFile]:
    scopes: tuple[Scope, ...] = ("user", "project")
    for name in sorted(names):
        for scope in scopes:
            if path := _usual_path(name, scope, machine):
                yield ClientFile(client=name, scope=scope, path=path)


def _usual_path(name: str, scope: Scope, machine: Machine) -> str | None:
    client = CLIENTS[name]
    if scope == "user":
        return str(client.user_path(machine.user_home, machine.environ, machine.system))
    path = client.project_path(machine.directory)
    return str(path) if path else None
