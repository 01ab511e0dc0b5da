"""Servers that Claude Code has for single directories: in its user's file, below `projects`, where `claude mcp add` puts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.clients.json_object import JsonObject
from hatchlock.migrate.model import Left

__all__ = ["by_directory", "elsewhere", "local_dialect"]


def local_dialect(directory: str) -> JsonObject:
    """Return how the servers of one directory are read."""
    return JsonObject(("projects", directory, "mcpServers"))


def by_directory(data: bytes, *, file: str) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Yield each directory that has servers of its own, where it begins in the file, and the servers.

    Args:
        data: Claude Code's file.
        file: Its path, as it is shown.

    Raises:
        Unparsable: It is no such file.
    """
    for directory, entry in JsonObject(("projects",)).read(data, path=file).items():
        servers = entry.value.get("mcpServers") if isinstance(entry.value, Mapping) else None
        if isinstance(servers, Mapping) and servers:
            yield directory, entry.span[0], servers


def elsewhere(data: bytes, *, file: str, directory: str) -> Iterator[Left]:
    """Yield the servers of all other directories: they are to be imported there.

    Args:
        data: Claude Code's file.
        file: Its path, as it is shown.
        directory: Whose servers are imported here.

    Raises:
        Unparsable: It is no such file.
    """
    for other, start, servers in by_directory(data, file=file):
        if other != directory:
            line = data.count(b"\n", 0, start) + 1
            named = ", ".join(f"`{name}`" for name in servers)
            yield Left(line=line, what=f"{named}: Claude Code has it for {other} alone; import it there")
