"""What an application lists in a file, where several applications share the file and one keeps its servers within another's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hatchlock.clients.catalogue import CLIENTS, Client
from hatchlock.clients.dialect import Entry
from hatchlock.clients.json_object import JsonObject

__all__ = ["listed"]


def listed(client: Client, data: bytes, *, path: str = "") -> Mapping[str, Entry]:
    """Return the entries of a file as `Dialect.read` does, without tables in which another application has its own servers.

    OpenCode 2 has `mcp.servers`, which OpenCode 1 would take for a server of that name.

    Args:
        client: Whose file it is.
        data: Its content.
        path: For errors.

    Raises:
        Unparsable: It is not of the application's form.
    """
    entries = client.dialect.read(data, path=path)
    if not entries:
        return entries
    tables = set(_tables_within(client))
    return {name: entry for name, entry in entries.items() if name not in tables or client.shape.read(entry.value)}


def _tables_within(client: Client) -> Iterator[str]:
    if not isinstance(client.dialect, JsonObject):
        return
    own = client.dialect.place
    for other in CLIENTS.values():
        if other.user_files == client.user_files and isinstance(other.dialect, JsonObject):
            place = other.dialect.place
            if len(place) > len(own) and place[: len(own)] == own:
                yield place[len(own)]
