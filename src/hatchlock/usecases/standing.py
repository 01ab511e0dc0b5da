"""What the MCP registry says now of servers that are its entries: some become deprecated, or turn out to be malware.

A plan does not depend on it: whoever cannot be asked in time says nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError, PermissionProblem

if TYPE_CHECKING:
    from hatchlock.net.cache import Cache
    from hatchlock.resources.target import ListedServer
    from hatchlock.sources.mcp_registry.registry import McpRegistry
    from hatchlock.usecases.project import Project

__all__ = ["Note", "server_notes"]

_TTL = 600.0
_LONGEST = 1.0
"""Seconds that a plan waits for the registry."""
_AT_ONCE = 8
_CACHE = "mcp-standing-1"
_SILENT = frozenset({"active", "unknown", ""})


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something that people should know; it changes nothing.

    Attributes:
        address: What it is about: `server:NAME`, `container:NAME`, `client:APPLICATION`, `engine`.
        what: A sentence; parts of it are a stranger's text.
    """

    address: str
    what: str


def server_notes(project: Project, listed: Iterable[ListedServer], *, offline: bool = False) -> tuple[Note, ...]:
    """Return what the registry says of entries that are no longer as they were, by server.

    What it said within its time to live is not asked again, and what could not be asked not before that. This takes about a
    second at most; it never fails.

    Args:
        project: Whose registry is asked.
        listed: The servers.
        offline: Ask nobody.
    """
    servers = tuple(listed)
    if not servers:
        return ()
    from hatchlock.net.cache import Cache

    memory = _Memory(Cache(project.home.cache / _CACHE))
    said = {item: memory.said(item) for item in servers}
    due = [item for item in servers if memory.is_due(item)]
    if due and not offline:
        answers = _asked(project, due)
        for item in due:
            said[item] = answers.get((item.entry, item.version), said[item])
            memory.keep(item, said[item])
    return tuple(
        Note(address=f"server:{item.server}", what=_sentence(item, status))
        for item, status in said.items()
        if status.status not in _SILENT
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """Status and message of an entry."""

    status: str = ""
    message: str = ""


class _Memory:
    """What was said last, and when; without the libraries that asking needs."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def said(self, item: ListedServer) -> _Said:
        kept = self._cache.load(_key(item))
        status, _, message = kept.body.decode(errors="replace").partition("\n") if kept else ("", "", "")
        return _Said(status=status, message=message)

    def is_due(self, item: ListedServer) -> bool:
        kept = self._cache.load(_key(item))
        return kept is None or self._cache.age(kept) >= (_TTL if item.ttl is None else item.ttl)

    def keep(self, item: ListedServer, said: _Said) -> None:
        with contextlib.suppress(PermissionProblem, OSError):  # then it is asked again the next time
            self._cache.save(_key(item), f"{said.status}\n{said.message}".encode())


def _key(item: ListedServer) -> str:
    return f"{item.registry} {item.entry}@{item.version}"


def _sentence(item: ListedServer, said: _Said) -> str:
    why = f": {said.message}" if said.message else ""
    return f"the registry says that mcp:{item.entry}@{item.version} is {said.status}{why}"


def _asked(project: Project, due: Iterable[ListedServer]) -> Mapping[tuple[str, str], _Said]:
    """Ask for all entries at once, and return what was said in time."""
    from hatchlock.events import discard
    from hatchlock.manifest.load import load_bytes
    from hatchlock.net.http import Http
    from hatchlock.net.patience import Patience
    from hatchlock.usecases.sources import Sources

    manifest = load_bytes(project.manifest, project.manifest_bytes, b"").manifest
    waiting = sorted({(item.entry, item.version) for item in due})
    found: dict[tuple[str, str], _Said] = {}
    patience = Patience(connect=_LONGEST, read=_LONGEST, repeats=0)
    http = Http(environ=project.environ, patience=patience)
    with Sources(project, manifest, offline=False, refresh=False, emit=discard, http=http) as sources:
        work = partial(_ask, sources.mcp_registry, waiting, found)
        # nobody waits for them in the end: looking up a name takes as long as the system's resolver likes
        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_AT_ONCE, len(waiting)))]
        until = time.monotonic() + _LONGEST
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
    return dict(found)


def _ask(registry: McpRegistry, waiting: list[tuple[str, str]], found: dict[tuple[str, str], _Said]) -> None:
    while waiting:
        with contextlib.suppress(HatchlockError, OSError, IndexError):  # nothing is said; or another thread was faster
            entry = waiting.pop()
            status = registry.status(*entry)
            found[entry] = _Said(status=status.status, message=status.message)
