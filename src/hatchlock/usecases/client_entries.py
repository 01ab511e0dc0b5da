"""`client list`, `client show`: what stands in the files of applications, and how that is to what is declared. Reads only.

Neither lock nor engine is asked: an entry depends on the manifest and on where things are on this machine. Outside of a
project there is nothing declared; then each entry is somebody's, or nobody's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.address import Address, ResourceKind, scoped
from hatchlock.errors import HatchlockError
from hatchlock.manifest.handover import covers
from hatchlock.paths import user_home
from hatchlock.state.applied import read_applied
from hatchlock.state.documents import BadState
from hatchlock.state.forgotten import read_forgotten
from hatchlock.state.imported import known_imported
from hatchlock.state.project import ProjectState
from hatchlock.usecases.leases import all_projects

if TYPE_CHECKING:
    from hatchlock.clients.catalogue import Scope
    from hatchlock.clients.dialect import Entry
    from hatchlock.clients.owners import Mark
    from hatchlock.clients.states import EntryState, Owner, Standing
    from hatchlock.manifest.handover import Handover
    from hatchlock.manifest.model import Manifest
    from hatchlock.resources.client import ClientFile, EntrySpec
    from hatchlock.resources.machine import Machine
    from hatchlock.usecases.project import Project

__all__ = ["Application", "ApplicationFile", "ListedEntry", "list_applications", "machine_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedEntry:
    """One server in a file of an application.

    Attributes:
        name: Its name there.
        state: How it stands to what is declared.
        detail: What is to be said of that, as a clause; "" for nothing.
        project: The project that it says it is of; "" for one that is not ours.
        server: The server that it starts; "" likewise.
        shown: What stands there, with whatever may be a secret hidden; what should, where nothing does.
        value: What stands there; None for nothing. Shown to nobody.
    """

    name: str
    state: EntryState
    detail: str = ""
    project: str = ""
    server: str = ""
    shown: Any = None
    value: Any = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationFile:
    """A file in which an application lists servers.

    Attributes:
        scope: Whose it is.
        path: Where.
        exists: Whether there is one.
        problem: Why nobody can say what is in it; "" for nothing.
        hint: What can be done about that.
        entries: Its servers in its order; then those that are missing.
        directory: The directory for which alone the application has these servers, in the same file; "" as a rule. Nothing is
            ever written there.
    """

    scope: Scope
    path: str
    exists: bool
    problem: str = ""
    hint: str = ""
    entries: tuple[ListedEntry, ...] = ()
    directory: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """An application of the catalogue.

    Attributes:
        name: What the manifest calls it.
        title: What people call it.
        is_installed: Whether something of it is on this machine.
        files: Those that it reads here: the user's, and the project's where it has one; then others that were written to.
        lacks: What it cannot do.
    """

    name: str
    title: str
    is_installed: bool
    files: tuple[ApplicationFile, ...]
    lacks: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[tuple[ApplicationFile, ListedEntry], ...]:
        """Its servers, each with the file that it is in."""
        return tuple((file, entry) for file in self.files for entry in file.entries)


def list_applications(project: Project) -> tuple[Application, ...]:
    """Return every application of the catalogue, with what its files list.

    Args:
        project: The project; one with an empty manifest for none.

    Raises:
        ManyErrors: The manifest has mistakes.
    """
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.usecases.applications import is_installed

    survey = _Survey(project)
    found: dict[str, list[ApplicationFile]] = {}
    for file in survey.files():
        found.setdefault(file.client, []).extend(survey.look(file))
    return tuple(
        Application(
            name=name,
            title=client.title,
            is_installed=is_installed(name, project.environ),
            files=tuple(found.get(name, ())),
            lacks=client.lacks,
        )
        for name, client in CLIENTS.items()
    )


def machine_of(project: Project, manifest: Manifest | None = None) -> Machine:
    """Return what must be known of this machine to know the files of applications.

    Args:
        project: Whose directory counts.
        manifest: Which applications are left out where they are not installed.
    """
    from hatchlock.engines.process import host_platform
    from hatchlock.resources.machine import Machine
    from hatchlock.usecases.applications import look_for_applications

    return Machine(
        platform=host_platform(),
        system=sys.platform,
        home=project.home,
        user_home=user_home(project.environ),
        directory=project.directory,
        environ=project.environ,
        interpreters={},
        programs={},
        engine="",
        is_root=os.geteuid() == 0,
        absent=look_for_applications(manifest, project.environ)[0] if manifest else frozenset(),
    )


class _Survey:
    """A project, its store, and the files of applications, as they are now."""

    def __init__(self, project: Project) -> None:
        from hatchlock.manifest.load import load_bytes
        from hatchlock.resources.client_target import wanted_entries

        self._home = project.home
        loaded = None
        if project.manifest_bytes:
            loaded = load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes).manifest
        self.machine = machine_of(project, loaded)
        self._name = loaded.project.name if loaded else ""
        wanted = wanted_entries(loaded, self.machine).entries if loaded else ()
        self._wanted = {(spec.file, spec.server): spec for spec in wanted}
        self._handover: Handover | None = loaded.handover if loaded else None
        root = project.home.project(self._name) if loaded else None
        self._left = read_applied(root).keys if root else {}
        self._active = _active(root)
        self._imported = known_imported(root) if root else ()
        self._given_up = (*_given_up(root), *(self._handover.forgotten if self._handover else ()))

    def files(self) -> list[ClientFile]:
        """Return the files to look at: usual ones, declared ones, and those that projects of this store have written to."""
        from hatchlock.resources.client import ClientFile
        from hatchlock.resources.client_target import other_files, usual_files

        usual = {*usual_files(self.machine), *other_files(self.machine)}
        users = {(file.client, file.path) for file in usual if file.scope == "user"}
        # in the home directory, an application's file of the project is the user's
        usual = {file for file in usual if file.scope == "user" or (file.client, file.path) not in users}
        written = [
            file
            for name, state in all_projects(self._home).items()
            for text in _entry_files(state)
            if (file := ClientFile.parse(text)) and (file.scope == "user" or name == self._name)
        ]
        everything = {*usual, *(file for file, _ in self._wanted), *written}
        return sorted(everything, key=lambda file: (file.client, file.scope != "user", file not in usual, file.path))

    def look(self, file: ClientFile) -> Iterator[ApplicationFile]:
        from hatchlock.clients.catalogue import CLIENTS
        from hatchlock.clients.listed import listed
        from hatchlock.clients.writer import observe

        try:
            seen = observe(Path(file.path))
            entries = listed(CLIENTS[file.client], seen.data, path=file.path) if seen.data is not None else {}
        except HatchlockError as error:
            yield _unread(file, error)
            return
        kept, replaced = self._kept(file, entries), self._replaced(file, entries)
        there = [
            self._entry(file, name, entries, kept=kept.get(name, ""), replaced_by=replaced.get(name, ""))
            for name in entries
        ]
        missing = [
            self._missing(spec) for (place, name), spec in self._wanted.items() if place == file and name not in entries
        ]
        yield ApplicationFile(
            scope=file.scope, path=file.path, exists=seen.data is not None, entries=(*there, *missing)
        )
        if seen.data is not None and (file.client, file.scope) == ("claude-code", "user"):
            yield from _of_directories(file, seen.data)

    def _missing(self, spec: EntrySpec) -> ListedEntry:
        from hatchlock.clients.states import declared_standing

        standing = declared_standing(None, "", owner="nobody", left=())
        return ListedEntry(
            name=spec.server,
            state=standing.state,
            detail=standing.detail,
            project=self._name,
            server=spec.server,
            shown=_shown(spec.file, spec.value),
        )

    def _kept(self, file: ClientFile, entries: Mapping[str, Entry]) -> dict[str, str]:
        from hatchlock.resources.client_unmarked import unmarked_among

        return {name: item.kept_where for name, item in unmarked_among(self._home, file, entries).items()}

    def _replaced(self, file: ClientFile, entries: Mapping[str, Entry]) -> dict[str, str]:
        """Return which entries `import` has read that `apply` puts others into the place of, and which servers these are."""
        from hatchlock.resources.client_imports import entries_read

        if self._handover is None:
            return {}
        found = entries_read(
            [item for item in self._imported if item.file == str(file)],
            entries,
            is_ours=lambda name: self._is_ours(file, name, entries[name].value),
            is_wanted=lambda server: (file, server) in self._wanted,
            handover=self._handover,
        )
        return {name: read.server for name, read in found.items() if not read.is_left}

    def _is_ours(self, file: ClientFile, name: str, value: Any) -> bool:
        from hatchlock.clients.owners import owner_of

        whose = owner_of(file.shape.read(value), scope=file.scope, home=self._home)
        return bool(self._name) and whose in {(self._name, name), ("", name)}

    def _entry(
        self, file: ClientFile, name: str, entries: Mapping[str, Entry], *, kept: str, replaced_by: str
    ) -> ListedEntry:
        from hatchlock.clients.owners import mark_of

        value = entries[name].value
        mark = mark_of(file.shape.read(value), scope=file.scope)
        standing = self._standing(file, name, entries, mark, replaced_by)
        return ListedEntry(
            name=name,
            state=standing.state,
            detail="; ".join(filter(None, (standing.detail, kept))),
            project=(mark.project or self._name) if mark else "",
            server=mark.server if mark else "",
            shown=_shown(file, value),
            value=value,
        )

    def _standing(
        self, file: ClientFile, name: str, entries: Mapping[str, Entry], mark: Mark | None, replaced_by: str
    ) -> Standing:
        from hatchlock.clients.states import declared_standing, replaced_standing, undeclared_standing
        from hatchlock.clients.writer import entry_digest
        from hatchlock.usecases.client_gone import gone_of

        value = entries[name].value
        owner: Owner = "nobody" if mark is None else "another project"
        if self._is_ours(file, name, value):
            owner = "this project"
        addresses = _addresses(file, name)
        if spec := self._wanted.get((file, name)):
            digest = entry_digest(value)
            return declared_standing(
                digest,
                entry_digest(spec.value),
                owner=owner,
                left=[self._left[address] for address in addresses if address in self._left],
                is_imported=bool(replaced_by),
                starts_something=self._active is None or name in self._active,
            )
        if replaced_by:
            return replaced_standing(owner=owner, by=replaced_by)
        moved = self._handover.name_now(name) if self._handover else name
        has_it = moved in entries and self._is_ours(file, moved, entries[moved].value)
        return undeclared_standing(
            owner=owner,
            gone=gone_of(mark, self._home, in_project=bool(self._name)) if mark else "",
            moved_to=moved if moved != name and (file, moved) in self._wanted and not has_it else "",
            is_held_back=moved in entries,
            is_given_up=owner == "this project"
            and any(covers(word, address) for word in self._given_up for address in addresses),
        )


def _of_directories(file: ClientFile, data: bytes) -> Iterator[ApplicationFile]:
    """Yield what Claude Code has for single directories, in its user's file: it alone writes there."""
    from hatchlock.migrate.claude_local import by_directory

    how = "`claude mcp remove --scope local {}` there takes it away"
    try:
        found = list(by_directory(data, file=file.path))
    except HatchlockError as error:
        yield _unread(file, error)
        return
    for directory, _, servers in found:
        entries = tuple(
            ListedEntry(
                name=name,
                state="foreign",
                detail=f"Claude Code has it in {directory} alone; {how.format(name)}",
                shown=_shown(file, value),
                value=value,
            )
            for name, value in servers.items()
        )
        yield ApplicationFile(scope=file.scope, path=file.path, exists=True, entries=entries, directory=directory)


def _unread(file: ClientFile, error: HatchlockError) -> ApplicationFile:
    return ApplicationFile(scope=file.scope, path=file.path, exists=True, problem=str(error), hint=error.hint)


def _entry_files(state: ProjectState) -> tuple[str, ...]:
    try:
        return state.entry_files()
    except BadState:
        return ()  # `status` and `apply` say it; here the usual files are looked at all the same


def _active(root: Path | None) -> Container[str] | None:
    """Return the servers that an apply has made; None where nobody can say."""
    try:
        return ProjectState(root).active() if root else None
    except HatchlockError:
        return None


def _given_up(root: Path | None) -> tuple[Address, ...]:
    if root is None:
        return ()
    try:
        return read_forgotten(root)
    except BadState:
        return ()


def _addresses(file: ClientFile, name: str) -> tuple[Address, ...]:
    """Return the addresses that an entry may have had in plans."""
    names = (f"{file.client}/{name}", scoped(file.client, file.scope, name))
    return tuple(Address(kind=ResourceKind.CLIENT, name=text) for text in names)


def _shown(file: ClientFile, value: Mapping[str, Any]) -> Any:
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.clients.masked import masked_entry

    return masked_entry(value, shape=file.shape, fields=CLIENTS[file.client].fields)
