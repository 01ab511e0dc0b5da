"""When entries of applications were written last: `projects/NAME/entry-changes.json`.

By it `status` says which applications have to be restarted. It decides on nothing but those words: one that is damaged counts
as one that is not there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from hatchlock.state.documents import BadState, read_document, write_document

__all__ = ["EntryChange", "read_entry_changes", "write_entry_changes"]

_NAME = "entry-changes.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryChange:
    """What was done to one entry.

    Attributes:
        client: The application's name.
        scope: Of its file: "user" or "project".
        server: The server that the entry starts.
        is_gone: Whether the entry was taken out.
        at: When, in UTC: `2026-11-28T07:20:00Z`.
    """

    client: str
    scope: str
    server: str
    is_gone: bool
    at: str


def read_entry_changes(project: Path) -> tuple[EntryChange, ...]:
    """Return the last change of each entry, as far as anybody can say.

    Args:
        project: `projects/NAME`.
    """
    with contextlib.suppress(BadState, KeyError, TypeError):
        document = read_document(project / _NAME)
        return tuple(EntryChange(**item) for item in document["entries"]) if document else ()
    return ()


def write_entry_changes(project: Path, changes: Iterable[EntryChange]) -> None:
    """Remember the last change of each entry; what was remembered before goes.

    Raises:
        PermissionProblem: It cannot be written.
    """
    ordered = sorted(changes, key=lambda item: (item.client, item.scope, item.server))
    write_document(project / _NAME, {"entries": [asdict(item) for item in ordered]})
