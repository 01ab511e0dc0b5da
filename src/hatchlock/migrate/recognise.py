"""Whose file is this? By its path, where an application reads one of that name, else by what is in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path, PurePath

from hatchlock.clients.catalogue import CLIENTS, Client
from hatchlock.clients.file_text import Unparsable
from hatchlock.migrate.applications import readable_entries

__all__ = ["application_like", "application_of"]

_WORDS = (b"ervers", b"mcp", b"extensions")
"""Every form has one of these; most other files have none, and are not read 30 times."""
_LARGEST = 4 << 20
_OTHER_FORMS = {".toml": ("codex", "mistral-vibe"), ".yaml": ("continue", "goose"), ".yml": ("continue", "goose")}
"""Ending -> the applications whose files are of that form; all others have JSON."""


def application_of(path: Path, data: bytes) -> Client | None:
    """Return the application that reads a file of this name, in a home directory or in a project; None if none does.

    Of several the one that finds most in it.
    """
    return _best((client for client in CLIENTS.values() if _reads(client, path)), data, at_least=0)


def application_like(path: Path, data: bytes) -> Client | None:
    """Return an application that would find servers in a file, whatever it is called; None if none would."""
    if len(data) > _LARGEST or not any(word in data for word in _WORDS):
        return None
    others = {name for names in _OTHER_FORMS.values() for name in names}
    names = _OTHER_FORMS.get(path.suffix.lower()) or CLIENTS.keys() - others
    return _best((CLIENTS[name] for name in sorted(names)), data, at_least=1)


def _reads(client: Client, path: Path) -> bool:
    files = {*client.user_files.values(), client.project_file} - {""}
    return any(path.parts[-len(tail) :] == tail for tail in (PurePath(file).parts for file in files))


def _best(clients: Iterable[Client], data: bytes, *, at_least: int) -> Client | None:
    ranked = [(rank, client) for client in clients if (rank := _rank(client, data))[0] >= at_least]
    return max(ranked, key=lambda item: item[0])[1] if ranked else None  # of equal ones the first


def _rank(client: Client, data: bytes) -> tuple[int, int]:
    with contextlib.suppress(Unparsable):  # whoever reads it says what is wrong with it
        entries, unknown = readable_entries(client, data, file="")
        return entries, -unknown
    return 0, 0
