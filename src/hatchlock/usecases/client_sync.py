"""`client sync`: servers that are not ours, copied from one application into others, each in its own form.

What they hold is copied as it stands, secrets too: it is the same user on the same machine. None of it is ever shown. A file
of a project is meant to be committed, so nothing that has variables or headers is copied into one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hatchlock.address import scoped
from hatchlock.errors import HatchlockError, UsageError
from hatchlock.events import Event, Sink, discard
from hatchlock.surface import shown
from hatchlock.usecases.audit_trail import doing
from hatchlock.usecases.client_entries import machine_of
from hatchlock.usecases.client_names import NoSuchEntry, known_application

if TYPE_CHECKING:
    from hatchlock.clients.dialect import Entry
    from hatchlock.paths import Home
    from hatchlock.resources.client import ClientFile
    from hatchlock.usecases.project import Project

__all__ = ["CopyStep", "NothingThere", "Synced", "Transfer", "plan_sync", "sync"]

Did = Literal["create", "replace", "unchanged", "refused", "conflict"]


@dataclass(kw_only=True, eq=False)
class NothingThere(HatchlockError):
    """The application to copy from has no file."""

    code: ClassVar[str] = "no-client-file"

    title: str
    path: str

    def __str__(self) -> str:
        return f"{self.title} has no file to copy from: there is no {self.path}"

    def _hint(self) -> str:
        return "see `hatchlock client list`"


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyStep:
    """What becomes of one server in one application.

    Attributes:
        client: The application.
        scope: Of its file.
        path: Its file.
        name: The entry's.
        action: "create", "replace", "unchanged", "conflict" (something else has that name), "refused" (the application cannot
            have it).
        why: Of a conflict or refusal, as a clause; "" else.
        left: What is not carried over, by name.
        notes: What may mean something else there.
        shown: What is written, with whatever may be a secret hidden; None for nothing.
        value: What is written.
        before: The digest of what it replaces; "" for nothing.
    """

    client: str
    scope: str
    path: str
    name: str
    action: Did
    why: str = ""
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shown: Any = None
    value: Mapping[str, Any] | None = field(default=None, repr=False)
    before: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it writes something."""
        return self.action in {"create", "replace"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """What a sync would do.

    Attributes:
        source: The file to copy from, as `CLIENT/SCOPE/PATH`.
        steps: By application, then in the source's order.
        ours: Servers of the source that hatchlock wrote, which are not copied.
        absent: What people call those applications of which nothing was found on this machine.
    """

    source: str
    steps: tuple[CopyStep, ...]
    ours: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    """What a sync did.

    Attributes:
        done: What was written.
        failed: What could not be, with the errors.
    """

    done: tuple[CopyStep, ...]
    failed: tuple[tuple[CopyStep, HatchlockError], ...]


def plan_sync(
    project: Project, source: str, targets: Iterable[str], *, matches: Callable[[str], bool], replace: bool = False
) -> Transfer:
    """Return what would be copied. Reads only.

    Args:
        project: Whose directory counts for files of a project.
        source: An application, perhaps with `@SCOPE`; its user's file if that is not said.
        targets: Others; "all" for every one that is installed.
        matches: Whether a server is meant, by its name.
        replace: Whether other entries of the same names are replaced; never ours.

    Raises:
        UnknownApplication: There is no such application.
        UsageError: It is the source as well.
        NothingThere: The source has no file.
        NoSuchEntry: None of its servers is meant.
        Unparsable, Unusable, PermissionProblem: The source cannot be read.
    """
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.clients.listed import listed
    from hatchlock.clients.writer import observe

    start = _file(project, source)
    files = dict.fromkeys(file for word in targets for file in _targets(project, word, start))
    client = CLIENTS[start.client]
    data = observe(Path(start.path)).data
    if data is None:
        raise NothingThere(title=client.title, path=start.path)
    there = listed(client, data, path=start.path)
    entries = {name: item for name, item in there.items() if matches(name)}
    if not entries:
        raise NoSuchEntry(client=source, servers=(), listed=tuple(there))
    ours = tuple(name for name, item in entries.items() if _is_ours(start, item))
    others = {name: item.value for name, item in entries.items() if name not in ours}
    steps = tuple(step for file in files for step in _steps(start, file, others, replace=replace))
    absent = dict.fromkeys(CLIENTS[file.client].title for file in files if _is_absent(project, file))
    return Transfer(source=str(start), steps=steps, ours=ours, absent=tuple(absent))


def sync(home: Home, transfer: Transfer, *, emit: Sink = discard) -> Synced:
    """Write what a sync would, each entry if what it replaces is still what was shown; one that fails stops no other.

    Args:
        home: The store, which has the locks and the audit log.
        transfer: What to do.
        emit: Told about progress.

    Raises:
        AuditNotWritten: It cannot be written down; nothing was done.
    """
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.clients.writer import NEW_FILE_MODE, apply_entry, lock_path

    steps = [step for step in transfer.steps if step.is_done]
    done, failed = [], []
    named = [scoped(step.client, step.scope, step.name) for step in steps]
    with doing(home.root, "client.sync", source=transfer.source, entries=named) as facts:
        for step in steps:
            path = Path(step.path)
            try:
                apply_entry(
                    path,
                    step.name,
                    step.value,
                    dialect=CLIENTS[step.client].dialect,
                    expected_entry=step.before or None,
                    lock=lock_path(home, path),
                    new_mode=NEW_FILE_MODE["project" if step.scope == "project" else "user"],
                    emit=emit,
                )
            except HatchlockError as error:
                failed.append((step, error))
                continue
            done.append(step)
            emit(Event(name="step.done", address=f"client:{step.client}/{shown(step.name)}", message=step.action))
        facts["failed"] = len(failed)
    return Synced(done=tuple(done), failed=tuple(failed))


def _targets(project: Project, word: str, source: ClientFile) -> Iterator[ClientFile]:
    if word != "all":
        file = _file(project, word)
        if file == source:
            raise UsageError(what=f"{word} is where servers are copied from", advice="name another one to copy into")
        yield file
        return
    from hatchlock.clients.catalogue import CLIENTS

    taken = {source.path}  # what two read, each in another place of it, gets no server twice
    for name in CLIENTS:
        file = _file(project, name)
        if file.path not in taken and not _is_absent(project, file):
            taken.add(file.path)
            yield file


def _is_absent(project: Project, file: ClientFile) -> bool:
    from hatchlock.clients.catalogue import CLIENTS

    machine = machine_of(project)
    signs = CLIENTS[file.client].signs(machine.user_home, project.environ, machine.system)
    return not any(path.exists() for path in signs)


def _file(project: Project, word: str) -> ClientFile:
    from hatchlock.resources.client_target import other_files, usual_files

    name, scope = known_application(word)
    machine = machine_of(project)
    files = (*usual_files(machine), *other_files(machine))
    return next(file for file in files if (file.client, file.scope) == (name, scope or "user"))


def _is_ours(file: ClientFile, entry: Entry) -> bool:
    from hatchlock.clients.owners import mark_of

    return mark_of(file.shape.read(entry.value), scope=file.scope) is not None


def _steps(source: ClientFile, target: ClientFile, entries: Mapping[str, Any], *, replace: bool) -> Iterator[CopyStep]:
    from hatchlock.clients.writer import observe

    try:
        data = observe(Path(target.path)).data
        there = target.dialect.read(data, path=target.path) if data is not None else {}
    except HatchlockError as error:
        for name in entries:
            yield _step(target, name, "refused", why=str(error))
        return
    for name, value in entries.items():
        yield _copy(source, target, name, value, there.get(name), replace=replace)


def _copy(
    source: ClientFile, target: ClientFile, name: str, value: Any, there: Entry | None, *, replace: bool
) -> CopyStep:
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.clients.copying import NotCopied, copied
    from hatchlock.clients.masked import masked_entry
    from hatchlock.clients.owners import whose
    from hatchlock.clients.writer import entry_digest

    client = CLIENTS[target.client]
    copy = copied(value, CLIENTS[source.client], client)
    if isinstance(copy, NotCopied):
        return _step(target, name, "refused", why=copy.why)
    if target.scope == "project" and _has_values(target, copy.value):
        return _step(target, name, "refused", why="its variables or headers would be committed with the project's file")
    before = entry_digest(there.value) if there else ""
    if there and (
        before == entry_digest(copy.value) or target.shape.read(there.value) == target.shape.read(copy.value)
    ):
        return _step(target, name, "unchanged")
    if there and _is_ours(target, there):
        return _step(target, name, "conflict", why=f"the entry there {whose(target.shape.read(there.value))}")
    if there and not replace:
        return _step(target, name, "conflict", why="another entry has that name there")
    return _step(
        target,
        name,
        "replace" if there else "create",
        left=copy.left,
        notes=copy.notes,
        shown=masked_entry(copy.value, shape=client.shape, fields=client.fields),
        value=copy.value,
        before=before,
    )


def _has_values(file: ClientFile, value: Mapping[str, Any]) -> bool:
    server = file.shape.read(value)
    return bool(getattr(server, "env", None) or getattr(server, "headers", None))


def _step(file: ClientFile, name: str, action: Did, **facts: Any) -> CopyStep:
    return CopyStep(client=file.client, scope=file.scope, path=file.path, name=name, action=action, **facts)
