"""Entries in the configuration files of AI applications. The file is the state: an entry's own arguments mark it as ours."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hatchlock.address import Address, ResourceKind
from hatchlock.clients.dialect import Entry
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.owners import may_hold_entry, owner_of, start_for
from hatchlock.clients.shape import Start
from hatchlock.clients.swap import Unusable
from hatchlock.clients.writer import NEW_FILE_MODE, Written, apply_entry, entry_digest, lock_path, observe, take_back
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.manifest.handover import NO_HANDOVER, Handover
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Problem, Step
from hatchlock.resources.client_file import ClientFile, EntrySpec, scoped_address, usual_address
from hatchlock.resources.client_found import Found, handover_of, taken, taking_of
from hatchlock.resources.client_imports import Read, entries_read
from hatchlock.resources.client_kept import NO_REMOVAL, KeptEntries, how_put_back
from hatchlock.resources.client_links import Parted, parted_by, what_parts
from hatchlock.resources.client_unmarked import Unmarked, applied_names, unmarked_among
from hatchlock.state.documents import BadState
from hatchlock.state.imported import Imported
from hatchlock.state.originals import put_original_aside
from hatchlock.state.project import ProjectState

__all__ = ["ClientFile", "ClientResource", "EntrySpec"]

_SHOWN_DIGITS = 12


def _facts(file: ClientFile, value: Any) -> Mapping[str, str]:
    # the entry's content stays unsaid: one that is not ours may hold a secret
    return {"file": file.path, "entry": entry_digest(value)[:_SHOWN_DIGITS]}


@dataclass(frozen=True, kw_only=True, slots=True)
class _There:
    """A file, read."""

    data: bytes
    entries: Mapping[str, Entry]


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
        imported: Entries of others that `import` has read.
        environ: The variables that the keyring's program gets, where secrets were in entries of others.
        emit: Told for whom it waits, and what could not be put back as it was.
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
        imported: Iterable[Imported] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
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
        self._imported = tuple(imported)
        self._kept = KeptEntries(home, project, environ)
        self._emit = emit
        self._found: dict[Address, Found] = {}
        self._unmarked: list[Unmarked] = []
        self._names: dict[ClientFile, int] = {}
        self._written: dict[Address, Written] = {}
        self.problems: tuple[Problem, ...] = ()

    def has_own(self) -> bool:
        """Return whether an entry of this project was there when it was last observed."""
        return any(found.ours for found in self._found.values())

    def unmarked(self) -> tuple[Unmarked, ...]:
        """Return the entries that an apply has written and nothing marks as ours any more, as they were last observed.

        One that was taken out, and is declared, is not among them: it is written anew.
        """
        wanted = {(spec.file, spec.server) for spec in self._specs.values()}
        return tuple(item for item in self._unmarked if item.is_there or (item.file, item.name) not in wanted)

    def parted(self, steps: Container[Address]) -> Iterable[Parted]:
        """Return the files that steps write and that have several names, of which the others keep what they have now."""
        entries = {address: spec.file for address, spec in self._specs.items()}
        return parted_by(steps, self._names, entries=entries, found=self._found)

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
        of somebody else's where one of ours should be, unless it is taken over, and one that no edit can change. A file that is not declared any more, and may
        hold an entry of ours still, is a problem of its own: `client:APPLICATION@SCOPE`.
        """
        problems: list[Problem] = []
        self._found, self._unmarked = {}, []
        remembered = self._remembered()
        for file in self._files():
            try:
                if (there := self._there(file)) is None:
                    continue
                if file in remembered:
                    names = applied_names(file, remembered, self._applied)
                    self._unmarked += unmarked_among(self._home, file, there.entries, applied=names).values()
                for found in self._entries(file, there):
                    problem = self._in_the_way(found)
                    if problem:
                        problems.append(problem)
                    if found.ours or not problem:
                        self._found[self._address(found)] = found
            except HatchlockError as error:
                affected = [spec.address for spec in self._specs.values() if spec.file == file]
                problems += [Problem.of(address, error) for address in affected]
                if not affected and self._may_hold_ours(file, error):
                    more = "; entries of this project may still be in it"
                    problems.append(Problem.of(scoped_address(file), error, more=more))
        self.problems = tuple(problems)
        return [self._observed(address, found) for address, found in self._found.items()]

    def observe_one(self, address: Address) -> Observed | None:
        """Return one entry as it is now.

        Raises:
            Unparsable: Its file is not understood.
        """
        if (known := self._specs.get(address) or self._found.get(address)) is None:
            return None
        name = known.now if isinstance(known, Found) else known.server
        there = self._there(known.file)
        found = (
            next((entry for entry in self._entries(known.file, there) if entry.now == name), None) if there else None
        )
        return self._observed(address, found) if found else None

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def apply(self, step: Step) -> None:
        """Set, rename or remove one entry; nothing else of the file changes.

        What it takes out of others' is put aside; with the last that stands for it, it is put back.

        Raises:
            EntryChanged: It is not what the plan saw.
            EntryNotKept: It would take out what could not be put back.
            StandsIn: What stood there before cannot be put back now.
            Unparsable: The file is not understood; nothing was written.
            LeaseHeld: Another process is writing the file, and does not end.
        """
        known = self._specs[step.address] if step.after else self._found[step.address]
        self._state.remember_entry_file(str(known.file))
        try:
            self._edit(step, known)
        except BadState as error:
            put_original_aside(Path(error.path))
            self._note(step.address, f"{error}; what stood in {known.file.path} before is not known any more")
            self._edit(step, known)

    def can_take_back(self, step: Step) -> bool:
        """Return whether `apply` has changed a file for a step, and nothing else depends on it: it has no new name."""
        found = self._found.get(step.address)
        return step.address in self._written and not (found and found.ours and found.server != found.now)

    def take_back(self, step: Step) -> bool:
        """Undo what `apply` has done for a step for which that can be done, and return whether it is undone.

        The file is as it was, byte for byte; where its application has written it meanwhile, the entry is.

        Raises:
            HatchlockError: The file cannot be written, or is not understood.
        """
        written = self._written.pop(step.address)
        known = self._specs[step.address] if step.after else self._found[step.address]
        path, found = Path(known.file.path), self._found.get(step.address)
        lock, originals = lock_path(self._home, path), self._kept.path(path)
        if take_back(written, lock=lock, originals=originals, emit=self._emit):
            return True
        if not step.after:
            return False  # what was put back with it is in the way
        is_ours = found is not None and found.ours
        apply_entry(
            path,
            found.server if found and is_ours else known.server,
            found.value if found and is_ours else None,
            dialect=known.file.dialect,
            expected_entry=step.after,
            lock=lock,
            originals=originals,
            secrets=self._kept.values,
            emit=self._emit,
        )
        return True

    def _edit(self, step: Step, known: EntrySpec | Found) -> None:
        found, path = self._found.get(step.address), Path(known.file.path)
        written = apply_entry(
            path,
            known.server,
            known.value if step.after else None,
            dialect=known.file.dialect,
            expected_entry=step.before or None,
            lock=lock_path(self._home, path),
            new_mode=NEW_FILE_MODE[known.file.scope],
            renamed_from=found.server if found and found.server != found.now else None,
            taking=taking_of(found, self._home, may_lose=bool(step.loss)),
            may_lose=bool(step.loss),
            own=frozenset(item.now for item in self._found.values() if item.ours and item.file == known.file),
            originals=self._kept.path(path),
            secrets=self._kept.values,
            emit=self._emit,
        )
        if written is None:
            return
        self._written[step.address] = written
        if written.before.names > 1:
            self._note(step.address, what_parts(known.file.path, written.before.names))
        for name, how in written.change.put_back:
            if what := how_put_back(how, path):
                self._note(step.address, f"the entry {name!r} {what}")

    def _note(self, address: Address, what: str) -> None:
        self._emit(Event(name="client.note", address=str(address), message=what))

    def _remembered(self) -> set[ClientFile]:
        return {file for text in self._state.entry_files() if (file := ClientFile.parse(text))}

    def _files(self) -> list[ClientFile]:
        return sorted(self._declared | self._remembered() | set(self._usual))

    def _may_hold_ours(self, file: ClientFile, error: HatchlockError) -> bool:
        """Whether an apply has written to a file that cannot be read now, and nothing shows that our entries are gone."""
        if file not in self._remembered() or isinstance(error, Unusable):
            return False
        return not isinstance(error, Unparsable) or may_hold_entry(
            observe(Path(file.path)).data or b"", scope=file.scope, project=self._project
        )

    def _there(self, file: ClientFile) -> _There | None:
        state = observe(Path(file.path))
        self._names[file] = state.names
        data = state.data
        return None if data is None else _There(data=data, entries=file.dialect.read(data, path=file.path))

    def _entries(self, file: ClientFile, there: _There) -> Iterator[Found]:
        entries = there.entries
        read = self._read(file, entries)
        for name, entry in entries.items():
            ours, imported = self._is_ours(file, name, entry), read.get(name)
            now = self._name_now(file, name, entries) if ours else name
            if imported and imported.part != "removed":
                now = imported.server
            if not (ours or imported or self._is_wanted(file, now)):
                continue
            found = Found(file=file, server=name, entry=entry, ours=ours, now=now, read=imported)
            if ours or (imported and imported.is_left):
                yield found
            else:
                record = imported.record if imported else None
                loss = self._kept.loss_of_taking(Path(file.path), name, entry, record, there.data)
                yield replace(found, loss=loss)

    def _read(self, file: ClientFile, entries: Mapping[str, Entry]) -> Mapping[str, Read]:
        records = [record for record in self._imported if record.file == str(file)]
        if not records:
            return {}
        return entries_read(
            records,
            entries,
            is_ours=lambda name: self._is_ours(file, name, entries[name]),
            is_wanted=lambda server: self._is_wanted(file, server),
            handover=self._handover,
        )

    def _is_wanted(self, file: ClientFile, server: str) -> bool:
        spec = self._specs.get(usual_address(file, server))
        return spec is not None and spec.file == file

    def _is_ours(self, file: ClientFile, name: str, entry: Entry) -> bool:
        return owner_of(file.shape.read(entry.value), scope=file.scope, home=self._home) in {
            (self._project, name),
            ("", name),
        }

    def _name_now(self, file: ClientFile, name: str, entries: Mapping[str, Entry]) -> str:
        """Return the name that an entry of ours gets, if its server has moved and nothing has that name already."""
        now = self._handover.name_now(name)
        spec = self._specs.get(usual_address(file, now))
        if now in entries or spec is None or spec.file != file:
            return name
        present = {old for old, entry in entries.items() if self._is_ours(file, old, entry)}
        return self._handover.moves_to(name, present) or name

    def _in_the_way(self, found: Found) -> Problem | None:
        if not found.ours and self._handover.adopted_from(usual_address(found.file, found.server)) is None:
            if found.read is None:
                return taken(found, self._home, self._project)
            if error := found.read.hindrance(found.file.path):
                return Problem.of(usual_address(found.file, found.now), error)
        if found.entry.refusal and self._is_edited(found):
            return Problem.of(self._address(found), found.entry.refusal)
        return None

    def _is_edited(self, found: Found) -> bool:
        spec = self._specs.get(usual_address(found.file, found.now))
        if found.is_removed or spec is None or spec.file != found.file:
            return found.is_removed
        return (spec.server, spec.value) != (found.server, found.value)

    def _address(self, found: Found) -> Address:
        """Return the usual address, unless another file's entry has it, or it is one too many."""
        usual = usual_address(found.file, found.now)
        spec = self._specs.get(usual)
        is_free = spec.file == found.file if spec else usual not in self._found
        return usual if is_free and not found.is_removed else scoped_address(found.file, found.server)

    def _observed(self, address: Address, found: Found) -> Observed:
        path, is_going = Path(found.file.path), address not in self._specs and found.ours
        loss = self._loss(found) if found.ours else found.loss
        removal = self._kept.removal(path, found.server) if is_going else NO_REMOVAL
        return Observed(
            address=address,
            key=entry_digest(found.value),
            facts=_facts(found.file, found.value),
            loss="; ".join(filter(None, (loss, removal.loss))),
            cause=f"imported: {found.read.server} stands for it" if found.read and found.is_removed else "",
            remedy=removal.details,
            handover=handover_of(found, self._home, self._project),
            stays=Problem.of(address, found.entry.refusal) if is_going and found.entry.refusal else None,
            former=usual_address(found.file, found.server) if found.ours and found.server != found.now else None,
            successor=self._successor(found, address) if is_going else None,
        )

    def _successor(self, found: Found, address: Address) -> Address | None:
        """Return the entry by which the application has the server of one that goes, if it is to have it by another."""
        usual = usual_address(found.file, self._handover.name_now(found.server))
        return usual if usual != address else None

    def _is_as_it_was_left(self, found: Found) -> bool:
        """Whether the last apply left the entry so, with fields of the application's own that the manifest had then."""
        left = {
            self._applied.get(address) for address in (self._address(found), usual_address(found.file, found.server))
        }
        return entry_digest(found.value) in left

    def _loss(self, found: Found) -> str:
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
