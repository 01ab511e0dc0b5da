"""What `import` reads: every file as servers, and what stands in the way of one is an error that stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.paths import user_home

if TYPE_CHECKING:
    from hatchlock.clients.catalogue import Scope
    from hatchlock.migrate.merging import Found, Origin
    from hatchlock.migrate.model import Left, Proposed, Reading
    from hatchlock.usecases.import_places import Opened
    from hatchlock.usecases.project import Project

__all__ = ["FileRead", "Sources", "open_or_new", "read_sources", "with_environments"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRead:
    """A file that was read.

    Attributes:
        file: As it is shown.
        title: What kind of file it is.
        client: The application whose file it is; "" for none.
        scope: Whose file of it; "" where the application does not read it here.
        servers: How many servers were found in it.
        ours: Entries that start a server through hatchlock already.
    """

    file: str
    title: str
    client: str
    scope: str
    servers: int
    ours: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Everything that was read.

    Attributes:
        files: The files in which there was something, in the order of reading.
        found: Their servers.
        environments: Environments that the servers name.
        left: What cannot be carried over and belongs to no server: the file, and what.
        asides: `(file, entry)` -> why an apply will not touch it, where its application reads it all the same.
        errors: What could not be read.
    """

    files: tuple[FileRead, ...]
    found: tuple[Found, ...]
    environments: Mapping[str, Mapping[str, Any]]
    left: tuple[tuple[str, Left], ...]
    asides: Mapping[tuple[str, str], str]
    errors: tuple[HatchlockError, ...]


def open_or_new(project: Project) -> tuple[str, bool]:
    """Return the manifest's text, or that of the one that is to be made, and whether it is that.

    Raises:
        ManyErrors: It has mistakes.
        ManifestProblem: It is no text.
    """
    from hatchlock.manifest.edit import new_manifest
    from hatchlock.manifest.load import loads
    from hatchlock.manifest.takeover import name_from
    from hatchlock.usecases.manifest import this_platforms

    if project.manifest_bytes or project.manifest.exists():
        loads(project.manifest_text, shown=project.manifest.name)
        return project.manifest_text, False
    return new_manifest(name_from(project.directory.name), this_platforms()), True


def read_sources(
    project: Project,
    names: Sequence[str],
    *,
    directory: Path,
    as_name: str = "",
    stdin: Callable[[], bytes] = bytes,
) -> Sources:
    """Read what is to be imported.

    Args:
        project: Whose manifest it will be in; it may have none yet.
        names: Applications, files, directories, `-`; every application that is found here if none is named.
        directory: Where paths begin.
        as_name: What they are; "" to recognise it.
        stdin: Reads what `-` stands for.

    Raises:
        UsageError: There is no such format.
        ManyErrors: The manifest has mistakes.
    """
    from hatchlock.manifest.load import loads
    from hatchlock.usecases.import_places import ImportPlaces

    text, _ = open_or_new(project)
    places = ImportPlaces(project, loads(text, shown=project.manifest.name).manifest)
    gathered = _Gathered(project)
    if not names:
        gathered.read_all(places.here())
    for name in names:
        gathered.read_named(places.named([name], directory=directory, as_name=as_name, stdin=stdin), as_name=as_name)
    written_by_others = _Gathered(project)
    for opened in places.of(gathered.listing):
        written_by_others.read(opened)
    return gathered.sources(written_by_others)


class _Gathered:
    def __init__(self, project: Project) -> None:
        self._directory = project.directory
        self._home = user_home(project.environ)
        self.errors: list[HatchlockError] = []
        self._files: list[FileRead] = []
        self._found: list[Found] = []
        self._environments: dict[str, Mapping[str, Any]] = {}
        self._left: list[tuple[str, Left]] = []
        self._asides: dict[tuple[str, str], str] = {}

    def read_all(self, chosen: Iterable[Opened | HatchlockError]) -> list[Opened]:
        """Read files, and return them; what could not be opened is among the errors."""
        every = []
        for opened in chosen:
            if isinstance(opened, HatchlockError):
                self.errors.append(opened)
            else:
                every.append(opened)
                self.read(opened)
        return every

    def read_named(self, chosen: Iterable[Opened | HatchlockError], *, as_name: str) -> None:
        """Read what one word names: it is an error if nothing is in it."""
        from hatchlock.usecases.import_places import why_none

        before = len(self.errors) + len(self._files)
        every = {opened.shown: opened for opened in self.read_all(chosen)}
        if len(self.errors) + len(self._files) == before:
            advice = f"leave out --as {as_name}: then it is recognised, if it can be" if as_name else ""
            self.errors += (
                why_none(item.data, name=item.path.name, shown=item.shown, advice=advice) for item in every.values()
            )

    def read(self, opened: Opened) -> None:
        from hatchlock.clients.json_object import JsonObject
        from hatchlock.migrate.applications import ApplicationReading, read_application
        from hatchlock.migrate.claude_local import elsewhere
        from hatchlock.migrate.repeated import repeated

        try:
            if opened.format is not None:
                whole = ApplicationReading(reading=opened.format.read(opened.path, opened.data))
                self._left += [(opened.shown, item) for item in repeated(opened.data, JsonObject(()))]
            elif opened.client is not None:
                whole = read_application(
                    opened.client,
                    opened.data,
                    file=opened.shown,
                    directory=opened.directory,
                    is_its_own=opened.is_its_own,
                )
                if opened.client.name == "claude-code" and opened.scope == "user":
                    far = elsewhere(opened.data, file=opened.shown, directory=str(self._directory))
                    self._left += [(opened.shown, item) for item in far]
            else:
                return
        except ManyErrors as found:
            self.errors += found.errors
            return
        except HatchlockError as error:
            if not opened.aside:  # else it was said of the whole file
                self.errors.append(error)
            return
        self._take(opened, whole.reading, whole.digests, whole.ours)

    @property
    def listing(self) -> set[str]:
        """Applications that list a server, as the file of another tool says, and that were not read."""
        listing = {client for item in self._found if not item.origin.client for client in item.server.clients}
        return listing - {item.client for item in self._files}

    def sources(self, others: _Gathered) -> Sources:
        from hatchlock.migrate.claims import claimed

        return Sources(
            files=tuple(self._files),
            found=claimed(self._found, others._found),
            environments=self._environments,
            left=tuple(self._left),
            asides=self._asides,
            errors=tuple(self.errors),
        )

    def _take(self, opened: Opened, reading: Reading, digests: Mapping[str, str], ours: tuple[str, ...]) -> None:
        from hatchlock.migrate.merging import Found
        from hatchlock.migrate.relative import relative_to

        client = opened.client.name if opened.client and opened.is_its_own else ""
        if reading.servers or reading.left or ours:
            title = reading.title if client or opened.format else "a list of MCP servers"
            self._files.append(
                FileRead(
                    file=opened.shown,
                    title=title,
                    client=client,
                    scope=opened.scope,
                    servers=len(reading.servers),
                    ours=ours,
                )
            )
        names = self._named_apart(reading)
        for server in reading.servers:
            found = relative_to(with_environments(server, names), self._directory, home=self._home)
            self._found.append(Found(server=found, origin=_origin(opened, found, client, digests)))
            if opened.aside:
                self._asides[opened.shown, server.found_as] = opened.aside
        self._left += [(opened.shown, item) for item in reading.left]

    def _named_apart(self, reading: Reading) -> dict[str, str]:
        """Keep a file's environments, and return the names that they get: something different may have theirs."""
        from hatchlock.migrate.merging import free_name

        names = {}
        for name, fields in reading.environments.items():
            same = (other for other, known in self._environments.items() if known == fields and other.startswith(name))
            names[name] = next(same, "") or free_name(name, self._environments.__contains__)
            self._environments[names[name]] = fields
        return names


def with_environments(server: Proposed, environments: Mapping[str, str]) -> Proposed:
    """Return a server in whose keys an environment has the name that it got.

    Args:
        server: As it was read.
        environments: Name -> the name that it got.
    """
    named = server.fields.get("environment")
    if named is None or environments.get(named, named) == named:
        return server
    return replace(server, fields={**server.fields, "environment": environments[named]})


def _origin(opened: Opened, server: Proposed, client: str, digests: Mapping[str, str]) -> Origin:
    from hatchlock.migrate.merging import Origin
    from hatchlock.resources.client import ClientFile

    record = ""
    if client and opened.scope:
        scope: Scope = "user" if opened.scope == "user" else "project"
        record = str(ClientFile(client=client, scope=scope, path=str(opened.path)))
    return Origin(
        file=opened.shown,
        line=server.line,
        entry=server.found_as,
        client=client,
        record=record,
        digest=digests.get(server.found_as, ""),
    )
