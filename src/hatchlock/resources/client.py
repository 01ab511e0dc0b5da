"""Entries in the configuration files of AI applications. The file is the state: an entry's own arguments mark it as ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hatchlock.address import Address, ResourceKind
from hatchlock.clients.catalogue import CLIENTS, Scope
from hatchlock.clients.dialect import Dialect, Entry
from hatchlock.clients.owners import EntryTaken, owner_of, start_for, whose
from hatchlock.clients.shape import Shape, Start
from hatchlock.clients.writer import NEW_FILE_MODE, apply_entry, entry_digest, lock_path, observe
from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.manifest.handover import NO_HANDOVER, Handover
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Problem, Step
from hatchlock.state.project import ProjectState

__all__ = ["ClientFile", "ClientResource", "EntrySpec"]

_SHOWN_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class ClientFile:
    """A file in which an application lists servers.

    Attributes:
        client: The application's name in the catalogue.
        scope: Whose file it is.
        path: Where it is.
    """

    client: str
    scope: Scope
    path: str

    def __str__(self) -> str:
        return f"{self.client}/{self.scope}/{self.path}"

    @property
    def dialect(self) -> Dialect:
        """The form of the file."""
        return CLIENTS[self.client].dialect

    @property
    def shape(self) -> Shape:
        """How its entries are written."""
        return CLIENTS[self.client].shape

    @classmethod
    def parse(cls, text: str) -> ClientFile | None:
        """Read back what `str` gave; None when it is of a client or scope that this version does not know."""
        client, _, rest = text.partition("/")
        scope, _, path = rest.partition("/")
        if client not in CLIENTS or scope not in {"user", "project"} or not path:
            return None
        return cls(client=client, scope="user" if scope == "user" else "project", path=path)


@dataclass(frozen=True, kw_only=True, slots=True)
class EntrySpec:
    """An entry as it should be.

    Attributes:
        file: Where.
        server: The server's name, which is the entry's.
        value: The entry.
    """

    file: ClientFile
    server: str
    value: Mapping[str, Any]

    @property
    def address(self) -> Address:
        """`client:CLIENT/SERVER`."""
        return _usual_address(self.file, self.server)


def _usual_address(file: ClientFile, server: str) -> Address:
    return Address(kind=ResourceKind.CLIENT, name=f"{file.client}/{server}")


def _facts(file: ClientFile, value: Any) -> Mapping[str, str]:
    # the entry's content stays unsaid: one that is not ours may hold a secret
    return {"file": file.path, "entry": entry_digest(value)[:_SHOWN_DIGITS]}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """An entry, and the name that it should have by now."""

    file: ClientFile
    server: str
    value: Any
    ours: bool
    now: str


class ClientResource:
    """The client entries of one project; see `resources.base.Resource`.

    Args:
        specs: What should be.
        state: Where the project remembers files that it wrote to.
        home: The store.
        project: The project's name.
        usual: The files of every known application, looked at for entries of ours that nothing else remembers.
        applied: Address -> the key of what the last apply left.
        handover: Which servers had another name, and which entries of others are taken over.
        emit: Told for whom it waits.
    """

    def __init__(
        self,
        specs: Iterable[EntrySpec],
        *,
        state: ProjectState,
        home: Home,
        project: str,
        usual: Iterable[ClientFile],
        applied: Mapping[Address, str] = MappingProxyType({}),
        handover: Handover = NO_HANDOVER,
        emit: Sink = discard,
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._state = state
        self._home = home
        self._project = project
        self._declared = {spec.file for spec in self._specs.values()}
        self._usual = tuple(usual)
        self._applied = applied
        self._handover = handover
        self._emit = emit
        self._found: dict[Address, _Found] = {}
        self.problems: tuple[Problem, ...] = ()

    def desired(self) -> Iterable[Desired]:
        """Return every entry; each needs its server."""
        return [
            Desired(
                address=address,
                key=entry_digest(spec.value),
                facts=_facts(spec.file, spec.value),
                depends_on=(Address(kind=ResourceKind.SERVER, name=spec.server),),
            )
            for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return the declared entries that exist, and every other entry of this project.

        One read per file. A declared file that cannot be understood becomes a problem of its entries, and so does an entry
        of somebody else's where one of ours should be, unless it is taken over.
        """
        problems: list[Problem] = []
        self._found = {}
        for file in self._files():
            try:
                for found in self._entries(file):
                    if self._is_in_the_way(found):
                        problems.append(_taken(found))
                    else:
                        self._found[self._address(found)] = found
            except HatchlockError as error:
                affected = [spec.address for spec in self._specs.values() if spec.file == file]
                problems += [Problem.of(address, error) for address in affected]
        self.problems = tuple(problems)
        return [self._observed(address, found) for address, found in self._found.items()]

    def observe_one(self, address: Address) -> Observed | None:
        """Return one entry as it is now.

        Raises:
            Unparsable: Its file is not understood.
        """
        known = self._specs.get(address) or self._found.get(address)
        if known is None:
            return None
        name = known.now if isinstance(known, _Found) else known.server
        found = next((entry for entry in self._entries(known.file) if entry.now == name), None)
        return self._observed(address, found) if found else None

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def apply(self, step: Step) -> None:
        """Set, rename or remove one entry; nothing else of the file changes.

        Raises:
            EntryChanged: It is not what the plan saw.
            Unparsable: The file is not understood; nothing was written.
            LeaseHeld: Another process is writing the file, and does not end.
        """
        found = self._found.get(step.address)
        known = self._specs[step.address] if step.after else self._found[step.address]
        path = Path(known.file.path)
        self._state.remember_entry_file(str(known.file))
        apply_entry(
            path,
            known.server,
            known.value if step.after else None,
            dialect=known.file.dialect,
            expected_entry=step.before or None,
            lock=lock_path(self._home, path),
            new_mode=NEW_FILE_MODE[known.file.scope],
            renamed_from=found.server if found and found.server != found.now else "",
            emit=self._emit,
        )

    def _files(self) -> list[ClientFile]:
        remembered = {file for text in self._state.entry_files() if (file := ClientFile.parse(text))}
        return sorted(self._declared | remembered | set(self._usual))

    def _entries(self, file: ClientFile) -> Iterator[_Found]:
        seen = observe(Path(file.path))
        if seen.data is None:
            return
        entries = file.dialect.read(seen.data, path=file.path)
        for name, entry in entries.items():
            ours = self._is_ours(file, name, entry)
            now = self._name_now(file, name, entries) if ours else name
            spec = self._specs.get(_usual_address(file, now))
            if ours or (spec and spec.file == file):
                yield _Found(file=file, server=name, value=entry.value, ours=ours, now=now)

    def _is_ours(self, file: ClientFile, name: str, entry: Entry) -> bool:
        return owner_of(file.shape.read(entry.value), scope=file.scope, home=self._home) in {
            (self._project, name),
            ("", name),
        }

    def _name_now(self, file: ClientFile, name: str, entries: Mapping[str, Entry]) -> str:
        """Return the name that an entry of ours gets, if its server has moved and nothing has that name already."""
        now = self._handover.name_now(name)
        spec = self._specs.get(_usual_address(file, now))
        if now in entries or spec is None or spec.file != file:
            return name
        present = {old for old, entry in entries.items() if self._is_ours(file, old, entry)}
        return self._handover.moves_to(name, present) or name

    def _is_in_the_way(self, found: _Found) -> bool:
        return not found.ours and self._handover.adopted_from(_usual_address(found.file, found.server)) is None

    def _address(self, found: _Found) -> Address:
        """Return the usual address, unless another file's entry has it."""
        usual = _usual_address(found.file, found.now)
        spec = self._specs.get(usual)
        if spec.file == found.file if spec else usual not in self._found:
            return usual
        return Address(kind=ResourceKind.CLIENT, name=f"{found.file.client}@{found.file.scope}/{found.server}")

    def _observed(self, address: Address, found: _Found) -> Observed:
        return Observed(
            address=address,
            key=entry_digest(found.value),
            facts=_facts(found.file, found.value),
            loss=self._loss(found) if found.ours else "",
            handover=_handover(found),
        )

    def _is_as_it_was_left(self, found: _Found) -> bool:
        """Whether the last apply left the entry so, with fields of the application's own that the manifest had then."""
        left = {
            self._applied.get(address) for address in (self._address(found), _usual_address(found.file, found.server))
        }
        return entry_digest(found.value) in left

    def _loss(self, found: _Found) -> str:
        shape = found.file.shape
        start = shape.read(found.value)
        usual = start_for(
            scope=found.file.scope,
            launcher=start.command if isinstance(start, Start) else "",
            home=self._home,
            project=self._project,
            server=found.server,
        )
        if found.value != shape.written(usual) and not self._is_as_it_was_left(found):
            return f"the entry {found.server!r} in {found.file.path} was edited by hand"
        return ""


def _taken(found: _Found) -> Problem:
    error = EntryTaken(
        path=found.file.path,
        name=found.server,
        client=found.file.client,
        owner=whose(found.file.shape.read(found.value)),
    )
    return Problem.of(_usual_address(found.file, found.server), error)


def _handover(found: _Found) -> str:
    if not found.ours:
        return f"adopted: replaces an entry that {whose(found.file.shape.read(found.value))}"
    return f"moved from {_usual_address(found.file, found.server)}" if found.now != found.server else ""
