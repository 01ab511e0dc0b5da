"""`client diff`: what an apply would change in the files of applications, entry by entry. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.address import Address, ResourceKind, scoped
from hatchlock.usecases.client_places import file_of
from hatchlock.usecases.plan import make_plan

if TYPE_CHECKING:
    from hatchlock.clients.catalogue import Client
    from hatchlock.resources.base import Problem, Step
    from hatchlock.resources.client import ClientFile
    from hatchlock.usecases.project import Project

__all__ = ["ClientDiff", "EntryDiff", "client_diff"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryDiff:
    """What would become of one entry.

    Attributes:
        address: The entry's, as in a plan.
        action: "create", "update", "replace" or "delete".
        cause: Why, in words.
        path: The file.
        lines: A unified diff of the entry, as its file writes one, with whatever may be a secret hidden. Nothing differs in it
            where only what is hidden does.
        loss: What is lost with it; "" for nothing.
    """

    address: str
    action: str
    cause: str
    path: str
    lines: tuple[str, ...]
    loss: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientDiff:
    """What an apply would change in the files of applications.

    Attributes:
        entries: In the plan's order.
        problems: What of them cannot be planned.
    """

    entries: tuple[EntryDiff, ...]
    problems: tuple[Problem, ...]


def client_diff(project: Project, clients: Collection[str]) -> ClientDiff:
    """Return what an apply would change.

    Args:
        project: Whose.
        clients: Names of applications, each perhaps with `@SCOPE`; empty for all.

    Raises:
        HatchlockError: What planning raises.
    """
    planned = make_plan(project, purpose="client diff")
    wanted = {entry.address: entry.value for entry in planned.target.entries}

    def is_named(address: Address) -> bool:
        if address.kind is not ResourceKind.CLIENT:
            return False
        file = file_of(planned, address)
        return not clients or not {file.client, scoped(file.client, file.scope)}.isdisjoint(clients)

    return ClientDiff(
        entries=tuple(
            _entry_diff(step, wanted.get(step.address), file_of(planned, step.address))
            for step in planned.plan.steps
            if is_named(step.address)
        ),
        problems=tuple(problem for problem in planned.plan.problems if is_named(problem.address)),
    )


def _entry_diff(step: Step, after: Mapping[str, Any] | None, file: ClientFile) -> EntryDiff:
    from difflib import unified_diff

    from hatchlock.clients.catalogue import CLIENTS

    client, path = CLIENTS[file.client], file.path
    name = step.address.name.partition("/")[2]
    found = _found(client, Path(path), step.before) if step.before else None
    old = _written(client, *found) if found else _empty(client, name, after or {})
    new = _written(client, name, after) if step.after and after is not None else _empty(client, *(found or (name, {})))
    return EntryDiff(
        address=str(step.address),
        action=step.action.value,
        cause=step.cause,
        path=path,
        lines=tuple(unified_diff(old, new, f"{path} (as it is)", f"{path} (applied)", lineterm="")),
        loss=step.loss,
    )


def _found(client: Client, path: Path, digest: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return name and value of the entry that the plan saw; None if it has just gone."""
    from hatchlock.clients.writer import entry_digest, observe

    data = observe(path).data
    entries = client.dialect.read(data, path=str(path)) if data is not None else {}
    return next(((name, item.value) for name, item in entries.items() if entry_digest(item.value) == digest), None)


def _written(client: Client, name: str, value: Any) -> list[str]:
    """Return the lines of a file that has this entry alone."""
    from hatchlock.clients.masked import HIDDEN, masked_entry

    shown = masked_entry(value, shape=client.shape, fields=client.fields)
    if not isinstance(shown, Mapping):
        return [f"{name}: {shown}"]
    # in JSON we write no character beyond ASCII; here people read it
    return client.dialect.set(b"", name, shown).decode().replace(r"\u2026", HIDDEN).splitlines()


def _empty(client: Client, name: str, value: Mapping[str, Any]) -> list[str]:
    """Return the lines of a file that has lost its only entry."""
    data = client.dialect.set(b"", name, value)
    return client.dialect.remove(data, name).decode().splitlines()
