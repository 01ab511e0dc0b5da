"""`import`: what applications and other tools have becomes servers of the manifest, and the entries that were read are known.

Three steps: `import_reading` reads files, `plan_import` decides, and `carry_out` keeps secrets, remembers the entries and
writes the manifest, in this order: after a kill in between the same command goes on. Nothing is locked and no application's
file is written; that is the next `up`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.events import Sink, discard
from hatchlock.files import atomic_write

if TYPE_CHECKING:
    from hatchlock.clients.catalogue import Scope
    from hatchlock.migrate.deciding import Decision, Outcome, Wishes
    from hatchlock.migrate.merging import Found, Origin
    from hatchlock.migrate.model import Left
    from hatchlock.state.imported import Imported
    from hatchlock.usecases.import_reading import Sources
    from hatchlock.usecases.import_secrets import KeptSecret
    from hatchlock.usecases.project import Project

__all__ = ["ImportPlan", "carry_out", "plan_import"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportPlan:
    """What an import would do.

    Attributes:
        project: Whose manifest it is.
        name: The project's name.
        is_new: Whether there is no manifest yet.
        before: The manifest's text as it is; "" where there is none.
        decision: What becomes of it.
        secrets: The secrets of the servers that are in the manifest afterwards, by name.
        left: What cannot be carried over: the file, and what.
        notes: What is to be said of servers: the server's name, and what.
        staying: Entries that stay in their files beside ours: the file, the entry, and why.
    """

    project: Project
    name: str
    is_new: bool
    before: str
    decision: Decision
    secrets: tuple[KeptSecret, ...]
    left: tuple[tuple[str, Left], ...]
    notes: tuple[tuple[str, str], ...]
    staying: tuple[tuple[str, str, str], ...]

    @property
    def keepable(self) -> tuple[KeptSecret, ...]:
        """The secrets whose values the store would be given."""
        return tuple(item for item in self.secrets if item.value and not item.is_there)

    @property
    def has_conflicts(self) -> bool:
        """Whether a server could not be added because of another one of its name."""
        return any(item.state == "conflict" for item in self.decision.outcomes)

    @property
    def is_in_vain(self) -> bool:
        """Whether no server of all that was found is in the manifest afterwards."""
        states = {item.state for item in self.decision.outcomes}
        return bool(self.left) and not states & {"added", "there"}


def plan_import(project: Project, sources: Sources, wishes: Wishes) -> ImportPlan:
    """Decide what an import does. Nothing is changed.

    Args:
        project: Whose manifest it is; it may have none yet.
        sources: What was read.
        wishes: What was said.

    Raises:
        BoundElsewhere: The store has a project of this name that belongs to another directory.
        ManyErrors: The manifest has mistakes.
        PermissionProblem: The store of secrets could be another user's, or be read by one.
        BadState: What earlier imports have read is damaged.
    """
    from hatchlock.manifest.load import loads
    from hatchlock.migrate.deciding import decide
    from hatchlock.migrate.merging import merged
    from hatchlock.migrate.relative import relative_fields
    from hatchlock.paths import user_home
    from hatchlock.state.imported import read_imported
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.import_reading import open_or_new
    from hatchlock.usecases.import_secrets import SecretDesk, exposed_files

    text, is_new = open_or_new(project)
    manifest = loads(text, shown=project.manifest.name).manifest
    name = manifest.project.name
    root = project.home.project(name)
    ProjectState(root).check_binding(name, project.directory)
    scopes = _scopes(sources, said=frozenset(manifest.clients))
    desk = SecretDesk(project, name, text)
    found, environments = _apart_from(text, sources)
    decision = decide(
        text,
        merged(found),
        environments=environments,
        imported=read_imported(root),
        scopes=scopes,
        wishes=wishes,
        is_free=desk.is_free,
        portable=partial(relative_fields, directory=project.directory, home=user_home(project.environ)),
    )
    clients = {item.origin.client for item in found} - {""}
    effective = {client: manifest.client(client).scope for client in clients} | scopes
    present = [item for item in decision.outcomes if item.state in {"added", "there"}]
    return ImportPlan(
        project=project,
        name=name,
        is_new=is_new,
        before="" if is_new else text,
        decision=decision,
        secrets=tuple(desk.listed(present)),
        left=(*sources.left, *_left(decision.outcomes)),
        notes=(
            *((item.name, note) for item in present if item.state == "added" for note in item.server.notes),
            *exposed_files(present, project),
        ),
        staying=tuple(_staying(present, sources.asides, effective)),
    )


def _scopes(sources: Sources, *, said: frozenset[str]) -> dict[str, Scope]:
    """Return the applications that have servers in a file of the project alone, where the manifest says nothing of them."""
    by_client: dict[str, set[str]] = {}
    for item in sources.files:
        if item.client and item.scope and item.servers:
            by_client.setdefault(item.client, set()).add(item.scope)
    return {client: "project" for client, scopes in by_client.items() if scopes == {"project"} and client not in said}


def _apart_from(text: str, sources: Sources) -> tuple[list[Found], dict[str, Mapping[str, Any]]]:
    """Return what was found, with names of environments that the manifest has no other ones of, and those that it lacks."""
    import tomllib

    from hatchlock.migrate.merging import free_name
    from hatchlock.usecases.import_reading import with_environments

    known = tomllib.loads(text).get("environments", {})
    names: dict[str, str] = {}
    fresh: dict[str, Mapping[str, Any]] = {}
    for name, fields in sources.environments.items():
        is_there = known.get(name) == fields
        names[name] = name if is_there else free_name(name, {*known, *fresh}.__contains__)
        if not is_there:
            fresh[names[name]] = fields
    found = [replace(item, server=with_environments(item.server, names)) for item in sources.found]
    return found, fresh


def _left(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, Left]]:
    from hatchlock.migrate.model import Left

    for outcome in outcomes:
        if outcome.state == "added":
            yield from outcome.server.left
        elif outcome.state == "refused":
            origin = outcome.server.origins[0]
            yield origin.file, Left(line=origin.line, what=f"`{origin.entry}`: {outcome.why}")


def _staying(
    outcomes: Iterable[Outcome], asides: Mapping[tuple[str, str], str], scopes: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the entries that their applications go on reading beside ours, and that no apply will touch."""
    for outcome in outcomes:
        for origin in outcome.server.origins:
            scope = _scope(origin)
            if why := asides.get((origin.file, origin.entry)):
                yield origin.file, origin.entry, why
            elif scope and origin.client in outcome.clients and scope != scopes[origin.client]:
                whose = {"user": "your own file", "project": "the project's file"}[scopes[origin.client]]
                yield origin.file, origin.entry, f"{origin.client} gets ours in {whose}; remove this one yourself"


def _scope(origin: Origin) -> str:
    return origin.record.split("/", 2)[1] if origin.record else ""


def carry_out(plan: ImportPlan, *, keep: bool, lock_timeout: float, emit: Sink = discard) -> tuple[Path, ...]:
    """Keep the secrets if that is agreed to, remember which entries were read, and write the manifest.

    The manifest's lease is held by whoever calls.

    Args:
        plan: What `plan_import` decided on the manifest as it is.
        keep: Whether the values of secrets go into the store of secrets.
        lock_timeout: How long to wait for another command of the project.
        emit: Told for whom it waits.

    Returns:
        The files that were written, the manifest first; none if nothing changed.

    Raises:
        AuditNotWritten: It cannot be written down; nothing was done.
        LeaseHeld: Another command of the project did not end in time.
        PermissionProblem: A file or the store cannot be written.
    """
    from hatchlock.usecases.audit_trail import doing
    from hatchlock.usecases.secrets import set_secret

    project = plan.project
    added = [item.name for item in plan.decision.outcomes if item.state == "added"]
    with doing(project.home.root, "import", project=plan.name, manifest=str(project.manifest), servers=added) as told:
        for secret in plan.keepable if keep else ():
            set_secret(project.home, secret.name, secret.value, project.environ, project=plan.name)
        told["entries"] = _remember(plan, keep=keep, lock_timeout=lock_timeout, emit=emit)
        return _written(plan)


def _remember(plan: ImportPlan, *, keep: bool, lock_timeout: float, emit: Sink) -> int:
    from hatchlock.state.imported import read_imported, write_imported
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.leases import project_lease

    records = {(item.file, item.entry): item for item in _records(plan, keep=keep)}
    if not records:
        return 0
    home = plan.project.home
    root = home.project(plan.name)
    state = ProjectState(root)
    with project_lease(home, plan.name, state, purpose="import", timeout=lock_timeout, emit=emit):
        state.check_binding(plan.name, plan.project.directory)
        earlier = {(item.file, item.entry): item for item in read_imported(root)}
        if earlier | records != earlier:
            write_imported(root, (earlier | records).values())
    return len(records)


def _records(plan: ImportPlan, *, keep: bool) -> Iterator[Imported]:
    from hatchlock.state.imported import Imported

    kept = {item.name for item in plan.secrets if item.is_there or (keep and item.value)}
    staying = {(file, entry) for file, entry, _ in plan.staying}
    for outcome in plan.decision.outcomes:
        if outcome.state not in {"added", "there"}:
            continue
        valued = [secret for secret in outcome.server.secrets if secret.value]
        names = {name for name in outcome.kept_under.values() if name in kept}
        is_kept = all(outcome.kept_under.get(secret) in names for secret in valued)
        for origin in outcome.server.origins:
            if origin.record and origin.client in outcome.clients and (origin.file, origin.entry) not in staying:
                yield Imported(
                    file=origin.record,
                    entry=origin.entry,
                    digest=origin.digest,
                    server=outcome.name,
                    secrets=tuple(sorted(names)),
                    is_kept=is_kept,
                )


def _written(plan: ImportPlan) -> tuple[Path, ...]:
    from hatchlock.usecases.manifest import tell_git

    text, path = plan.decision.text, plan.project.manifest
    if not any(item.state == "added" for item in plan.decision.outcomes):
        return ()
    if plan.is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text.encode(), mode=0o644)
        return (path, *tell_git(path.parent))
    atomic_write(path.resolve(), text.encode(), mode=path.stat().st_mode & 0o7777)
    return (path,)
