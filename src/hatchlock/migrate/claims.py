"""Entries of applications that another tool has written: its own file says more of their servers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from hatchlock.migrate.merging import Found
from hatchlock.migrate.model import Proposed

__all__ = ["claimed"]

_HATCH = "hatch:"


def claimed(found: Sequence[Found], others: Iterable[Found] = ()) -> tuple[Found, ...]:
    """Return what was found, where entries that another tool wrote are the servers that its file has.

    An entry is, if the tool's file says that the application lists a server under the entry's name, the entry runs a copy of the
    package of that name, and has no secret that the file does not have. (Hatch writes such entries, and `environments.json`.)

    Args:
        found: Everything that was to be imported.
        others: Entries that were not: they count only where they are such ones.
    """
    tools = [item.server for item in found if not item.origin.client and item.server.clients]
    own = [_claimed(item, tools) or item for item in found]
    return (*own, *_only(_claimed(item, tools) for item in others))


def _only(items: Iterable[Found | None]) -> Iterator[Found]:
    return (item for item in items if item is not None)


def _claimed(item: Found, tools: Iterable[Proposed]) -> Found | None:
    if not item.origin.client:
        return None
    for server in tools:
        if item.origin.client in server.clients and _is_copy(item.server, server):
            entry = item.server
            claimed = replace(
                server, found_as=entry.found_as, client_fields=entry.client_fields, clients=(), left=(), notes=()
            )
            return replace(item, server=claimed)
    return None


def _is_copy(entry: Proposed, server: Proposed) -> bool:
    source, theirs = str(entry.fields.get("source", "")), str(server.fields.get("source", ""))
    if entry.found_as != server.found_as or not source.startswith(_HATCH) or not theirs.startswith(_HATCH):
        return False
    known = {(secret.key, secret.value) for secret in server.secrets}
    is_known = all((secret.key, secret.value) in known for secret in entry.secrets)
    return is_known and PurePath(source.removeprefix(_HATCH)).name == entry.found_as
