"""What people have to do before applications see a change."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["notes_of"]


def notes_of(changed: Iterable[tuple[str, str]]) -> list[str]:
    """Return what to do after entries of applications changed, a sentence for each, as far as that is known.

    Args:
        changed: Application and scope of the file, of each entry.
    """
    from hatchlock.clients.catalogue import CLIENTS

    found = {
        (name, scope): CLIENTS[name].notes.get("project" if scope == "project" else "user", "")
        for name, scope in changed
    }
    return sorted({f"{CLIENTS[name].title}: {note}" for (name, _), note in found.items() if note})
