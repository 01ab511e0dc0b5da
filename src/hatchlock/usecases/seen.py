"""Which applications have not seen a change yet, as far as anybody can tell without asking them.

An application reads its file when it starts, or asks to approve what is new there. We see neither, but we see sessions: one
of a server that began, or ended, since its entry was written says that somebody who uses it has started anew. Where several
applications have the same server, that may have been another one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.address import ResourceKind
from hatchlock.state.counts import counts_path, last_used
from hatchlock.state.entry_changes import EntryChange, read_entry_changes, write_entry_changes
from hatchlock.usecases.client_places import file_of
from hatchlock.usecases.health import SessionStatus, sessions_now

if TYPE_CHECKING:
    from hatchlock.reconcile.execute import Outcome
    from hatchlock.resources.base import Step
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.plan import Planned

__all__ = ["After", "Sessions", "Unseen", "after_change", "remember_changes"]

Sessions = Mapping[str, tuple[SessionStatus, ...]]
"""The sessions of a project that run, by server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unseen:
    """An application that has not seen what was changed in its file.

    Attributes:
        client: Its name.
        title: What people call it.
        scope: Of the file.
        servers: Whose entries were written, sorted.
        removed: Whose entries were taken out while sessions of them ran that still do, sorted.
        since: When the first of them was, in UTC.
        note: What is to be done, as a clause; "" where nothing is known.
    """

    client: str
    title: str
    scope: str
    servers: tuple[str, ...]
    removed: tuple[str, ...]
    since: str
    note: str

    def __str__(self) -> str:
        parts = [", ".join(self.servers), f"without {', '.join(self.removed)}" if self.removed else ""]
        what = "; ".join(filter(None, parts))
        return f"{self.title}: {what}, since {self.since}" + (f": {self.note}" if self.note else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """What people have to do before everything runs as it was applied.

    Attributes:
        unseen: Applications that have not seen what was changed in their files, by name.
        older: Sessions that run from another launch record than was applied last, by server; of servers that are gone too.
    """

    unseen: tuple[Unseen, ...] = ()
    older: tuple[SessionStatus, ...] = ()


def after_change(state: ProjectState, running: Sessions | None = None) -> After:
    """Return what has to be done by hand before everything runs as it was applied.

    Args:
        state: The project's.
        running: Its sessions; looked for if not given.
    """
    sessions = sessions_now(state) if running is None else running
    older = (session for _, items in sorted(sessions.items()) for session in items if not session.is_current)
    return After(unseen=_unseen_changes(state, sessions), older=tuple(older))


def remember_changes(planned: Planned, outcome: Outcome) -> None:
    """Remember which entries were written just now.

    Args:
        planned: What was to be done.
        outcome: What became of it.

    Raises:
        PermissionProblem: It cannot be written.
    """
    steps = [step for step in outcome.done if step.address.kind is ResourceKind.CLIENT]
    if not steps:
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    changes = [_change(step, planned, now) for step in steps]
    known = {_key(item): item for item in (*read_entry_changes(planned.state.root), *changes)}
    running = sessions_now(planned.state)
    kept = (item for item in known.values() if not item.is_gone or item.server in running)
    write_entry_changes(planned.state.root, kept)


def _unseen_changes(state: ProjectState, running: Sessions) -> tuple[Unseen, ...]:
    waiting: dict[tuple[str, str], list[EntryChange]] = {}
    for item in read_entry_changes(state.root):
        if _is_unseen(item, state, running):
            waiting.setdefault((item.client, item.scope), []).append(item)
    return tuple(_unseen(client, scope, items) for (client, scope), items in sorted(waiting.items()))


def _key(item: EntryChange) -> tuple[str, str, str]:
    return item.client, item.scope, item.server


def _change(step: Step, planned: Planned, now: str) -> EntryChange:
    file = file_of(planned, step.address)
    server = step.address.name.partition("/")[2]
    return EntryChange(client=file.client, scope=file.scope, server=server, is_gone=not step.after, at=now)


def _is_unseen(item: EntryChange, state: ProjectState, running: Sessions) -> bool:
    sessions = running.get(item.server, ())
    if item.is_gone:
        return any(session.since <= item.at for session in sessions)
    has_begun = any(session.since >= item.at for session in sessions)
    return not has_begun and last_used(counts_path(state.root, item.server)) < item.at


def _unseen(client: str, scope: str, items: Iterable[EntryChange]) -> Unseen:
    from hatchlock.clients.catalogue import CLIENTS

    changes = tuple(items)
    known = CLIENTS.get(client)  # what an older or newer version wrote may be unknown to this one
    return Unseen(
        client=client,
        title=known.title if known else client,
        scope=scope,
        servers=tuple(_servers(changes, is_gone=False)),
        removed=tuple(_servers(changes, is_gone=True)),
        since=min(item.at for item in changes),
        note=known.notes.get("project" if scope == "project" else "user", "") if known else "",
    )


def _servers(changes: Iterable[EntryChange], *, is_gone: bool) -> Iterator[str]:
    yield from sorted(item.server for item in changes if item.is_gone is is_gone)
