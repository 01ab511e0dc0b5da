"""Which files `import` reads, and as what: those of applications that are found here, or those that are named."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError, UsageError
from hatchlock.paths import user_home
from hatchlock.place import Place

if TYPE_CHECKING:
    from hatchlock.clients.catalogue import Client, Scope
    from hatchlock.manifest.model import Manifest
    from hatchlock.migrate.model import Format
    from hatchlock.usecases.project import Project

__all__ = ["ImportPlaces", "NotImportable", "Opened", "why_none"]

_LARGEST = 32 << 20
_STDIN = Path("<stdin>")


@dataclass(kw_only=True, eq=False)
class NotImportable(HatchlockError):
    """A file that was named is of no kind that can be read."""

    code: ClassVar[str] = "not-importable"

    why: str
    advice: str = "say what it is with --as NAME; `hatchlock import --help` lists the names"

    def __str__(self) -> str:
        return self.why

    def _hint(self) -> str:
        return self.advice


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A file, and what it is to be read as.

    Attributes:
        path: Where it is.
        shown: The same, for people.
        data: What it holds.
        client: The application as whose file it is read; None for another format.
        format: That format.
        is_its_own: Whether it surely is that application's, so that the application lists what was found in it.
        scope: Whose file of the application it is, where the application reads it here; "" where it does not.
        own_directory: Where the application starts its servers, where the path does not say it.
        aside: Why an apply leaves it as it is, where the application reads it all the same; a clause.
    """

    path: Path
    shown: str
    data: bytes
    client: Client | None = None
    format: Format | None = None
    is_its_own: bool = True
    scope: Scope | str = ""
    own_directory: str = ""
    aside: str = ""

    @property
    def directory(self) -> str:
        """Where the application starts the servers of a project's file; "" where nobody knows."""
        file = Path(self.client.project_file) if self.client and self.client.project_file else None
        if file is None or self.scope == "user" or self.path.parts[-len(file.parts) :] != file.parts:
            return self.own_directory
        return str(self.path.parents[len(file.parts) - 1])


@dataclass(frozen=True, kw_only=True, slots=True)
class _ClientFile:
    client: Client
    scope: Scope
    path: Path


class ImportPlaces:
    """Where `import` looks.

    Args:
        project: Whose directory counts for applications that read files of a project.
        manifest: Its manifest, which may say where an application's file is.
    """

    def __init__(self, project: Project, manifest: Manifest) -> None:
        self._project = project
        self._manifest = manifest

    def here(self) -> Iterator[Opened | HatchlockError]:
        """Yield the files of every application that is found on this machine: the user's, and those of the project.

        A file of the project that several applications read is read once, also where none of them is found here. A file that
        cannot be opened is an error in its place.
        """
        from hatchlock.usecases.applications import is_installed

        clients = _clients()
        found = [client for client in clients if is_installed(client.name, self._project.environ)]
        users = [self._user_file(client) for client in found]
        yield from self._opened(users)
        known = {os.path.realpath(file.path) for file in users}
        for client in (*found, *(client for client in clients if client not in found)):
            path = client.project_path(self._project.directory)
            if path is not None and (real := os.path.realpath(path)) not in known and path.is_file():
                known.add(real)
                yield from self._opened([_ClientFile(client=client, scope="project", path=path)])

    def of(self, clients: Iterable[str]) -> Iterator[Opened]:
        """Yield the user's files of applications, as far as they are there and can be opened."""
        from hatchlock.clients.catalogue import CLIENTS

        files = [self._user_file(CLIENTS[name]) for name in sorted(clients)]
        yield from (item for item in self._opened(files) if isinstance(item, Opened) and item.scope)

    def named(
        self, names: Sequence[str], *, directory: Path, as_name: str, stdin: Callable[[], bytes]
    ) -> Iterator[Opened | HatchlockError]:
        """Yield the files that were named.

        Args:
            names: An application, or its files of one scope (`cursor@project`); a file; a directory, in which every file of a
                known kind counts; or `-`.
            directory: Where paths begin.
            as_name: What they are: a format, or an application; "" to recognise it.
            stdin: Reads what `-` stands for.

        Yields:
            The files; for one that is not there, or is of no known kind, an error.

        Raises:
            UsageError: There is no such format.
        """
        reader = _reader(as_name)
        for name in names:
            path = directory / os.path.expanduser(name)  # noqa: PTH111  a path object raises for unknown users
            if name == "-":
                data = stdin()
                yield self._found(_STDIN, data, reader) or why_none(data, name=_form_of(data), shown="stdin")
            elif not as_name and _is_application(name.partition("@")[0]) and not path.exists():
                yield from self._of_application(name)
            elif path.is_dir():
                yield from self._in_directory(path, reader)
            else:
                yield from self._file(path, reader)

    @property
    def _home(self) -> Path:
        return user_home(self._project.environ)

    def _user_file(self, client: Client) -> _ClientFile:
        spec = self._manifest.client(client.name)
        path = client.user_path(self._home, self._project.environ, sys.platform)
        if spec.path and spec.scope == "user":
            below = spec.path.removeprefix("~/")
            path = (self._home if spec.path.startswith("~/") else self._project.directory) / below
        return _ClientFile(client=client, scope="user", path=path.absolute())

    def _files_of(self, client: Client) -> list[_ClientFile]:
        user = self._user_file(client)
        path = client.project_path(self._project.directory)
        if path is None or os.path.realpath(path) == os.path.realpath(user.path):
            return [user]
        return [user, _ClientFile(client=client, scope="project", path=path)]

    def _of_application(self, word: str) -> Iterator[Opened | HatchlockError]:
        from hatchlock.clients.catalogue import CLIENTS
        from hatchlock.usecases.client_names import UnknownApplication, known_application

        try:
            name, scope = known_application(word)
        except UnknownApplication as error:
            yield error
            return
        files = [file for file in self._files_of(CLIENTS[name]) if scope in {"", file.scope}]
        if not any(file.path.exists() for file in files):
            places = " or ".join(self._shown(file.path) for file in files)
            what = f"{CLIENTS[name].title} has no file here: there is no {places}"
            yield NotImportable(why=what, advice=f"name the file itself, with --as {name} if it is called otherwise")
        yield from self._opened(files)

    def _opened(self, files: Sequence[_ClientFile]) -> Iterator[Opened | HatchlockError]:
        for file in files:
            data = _data(file.path)
            if isinstance(data, HatchlockError):
                yield data
            elif data is not None:
                shown = self._shown(file.path)
                yield from self._with_local(
                    Opened(path=file.path, shown=shown, data=data, client=file.client, scope=file.scope)
                )

    def _with_local(self, opened: Opened) -> Iterator[Opened]:
        """Claude Code keeps servers of its own for single directories in its user's file, and prefers these."""
        from hatchlock.migrate.claude_local import local_dialect

        yield opened
        if opened.client is not None and opened.client.name == "claude-code" and opened.scope == "user":
            why = "Claude Code prefers it in this directory; `claude mcp remove --scope local` takes it away"
            client = replace(opened.client, dialect=local_dialect(str(self._project.directory)))
            yield replace(opened, client=client, scope="", own_directory=str(self._project.directory), aside=why)

    def _file(self, path: Path, reader: Client | Format | None) -> Iterator[Opened | HatchlockError]:
        from hatchlock.clients.catalogue import CLIENTS
        from hatchlock.manifest.problem import did_you_mean

        data = _data(path)
        if isinstance(data, HatchlockError):
            yield data
        elif data is None:
            place = Place(file=self._shown(path))
            advice = did_you_mean(path.name, CLIENTS, "name a file, or an application")
            yield NotImportable(place=place, why="there is no such file", advice=advice)
        elif found := self._found(path, data, reader):
            yield from self._with_local(found)
        else:
            yield why_none(data, name=path.name, shown=self._shown(path))

    def _in_directory(self, directory: Path, reader: Client | Format | None) -> Iterator[Opened | HatchlockError]:
        """Yield every file of a known kind that lies in a directory, and every one that its tool would read below it."""
        from hatchlock.migrate.formats import FORMATS

        below = {client.project_file for client in _clients() if client.project_file}
        below |= {name for form in FORMATS for name in form.below}
        is_empty = True
        for path in sorted({*directory.iterdir(), *(directory / name for name in below)}):
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            data = _data(path)
            if isinstance(data, HatchlockError):
                yield data
            elif data and (found := self._found(path, data, reader)):
                is_empty = False
                yield from self._with_local(found)
            elif data and (problem := self._broken(path, data)):
                is_empty = False
                yield problem
        if is_empty:
            why = "no file in this directory is of a kind that can be read"
            yield NotImportable(place=Place(file=self._shown(directory)), why=why)

    def _broken(self, path: Path, data: bytes) -> HatchlockError | None:
        """Return what is wrong with a file of no known kind, if it is one that speaks of MCP: others are nobody's affair here."""
        from hatchlock.migrate.no_servers import broken

        speaks = b"mcp" in data.lower() or "mcp" in path.name.lower()
        return broken(data, name=path.name, file=self._shown(path)) if speaks else None

    def _found(self, path: Path, data: bytes, reader: Client | Format | None) -> Opened | None:
        from hatchlock.migrate.model import Format

        opened = Opened(path=path, shown="stdin" if path == _STDIN else self._shown(path), data=data)
        if isinstance(reader, Format):
            return replace(opened, format=reader)
        for client in [reader] if reader else _clients():
            for file in self._files_of(client):
                if os.path.realpath(file.path) == os.path.realpath(path):
                    return replace(opened, path=file.path, client=client, scope=file.scope)
        return replace(opened, client=reader) if reader else _recognised(opened)

    def _shown(self, path: Path) -> str:
        absolute = Path(os.path.normpath(path.absolute()))
        for start, word in ((self._project.directory, ""), (self._home, "~")):
            if absolute.is_relative_to(start) and absolute != start:
                return str(Path(word) / absolute.relative_to(start))
        return str(absolute)


def _recognised(opened: Opened) -> Opened | None:
    from hatchlock.migrate.formats import FORMATS
    from hatchlock.migrate.recognise import application_like, application_of

    path, data = opened.path, opened.data
    if form := next((item for item in FORMATS if item.matches(path, data)), None):
        return replace(opened, format=form)
    if client := application_of(path, data):
        return replace(opened, client=client)
    if client := application_like(path, data):
        return replace(opened, client=client, is_its_own=False)
    return None


def why_none(data: bytes, *, name: str, shown: str, advice: str = "") -> HatchlockError:
    """Return why there is no server in a file.

    Args:
        data: What it holds.
        name: Its name.
        shown: The same, for people.
        advice: What to do about it; that `--as` says what it is, if not said.
    """
    from hatchlock.migrate.no_servers import no_servers

    hint = advice or NotImportable.advice
    unknown = NotImportable(place=Place(file=shown), why="it is of no kind that is known", advice=hint)
    return no_servers(data, name=name, file=shown, advice=hint) or unknown


def _form_of(data: bytes) -> str:
    return "stdin.json" if data.lstrip()[:1] in {b"{", b"["} else "stdin"


def _clients() -> list[Client]:
    from hatchlock.clients.catalogue import CLIENTS

    return list(CLIENTS.values())


def _is_application(name: str) -> bool:
    from hatchlock.clients.catalogue import CLIENTS

    return name in CLIENTS


def _data(path: Path) -> bytes | HatchlockError | None:
    from hatchlock.clients.writer import observe

    try:
        return observe(path).data
    except HatchlockError as error:
        return error


def _reader(name: str) -> Client | Format | None:
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.manifest.problem import did_you_mean
    from hatchlock.migrate.formats import FORMATS, format_of

    if not name:
        return None
    if found := format_of(name) or CLIENTS.get(name):
        return found
    known = sorted({*CLIENTS, *(item.name for item in FORMATS)})
    advice = did_you_mean(name, known, f"known are {', '.join(known)}")
    raise UsageError(what=f"--as {name}: there is no such format", advice=advice)
