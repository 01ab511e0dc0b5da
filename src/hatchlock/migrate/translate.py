"""From what an application starts or connects to, to a server of the manifest."""

from __future__ import annotations

from typing import Any

from hatchlock.clients.shape import Address, Start
from hatchlock.errors import HatchlockError
from hatchlock.manifest.takeover import server_from_command, server_from_source
from hatchlock.migrate.model import Left, Proposed, Table
from hatchlock.migrate.names import server_name
from hatchlock.migrate.values import parted, unparted

__all__ = ["translated"]


def translated(server: Start | Address, *, name: str, line: int = 0) -> Proposed | Left:
    """Return the server that an entry means.

    Args:
        server: What the application does with it.
        name: Its name in the file; "" where it has none.
        line: Where it begins; 0 where the file has no lines.

    Returns:
        The server, with what of it cannot be carried over; or why nothing of it can be.
    """
    try:
        own, fields = _started(server) if isinstance(server, Start) else _addressed(server)
    except HatchlockError as error:
        return Left(line=line, what=f"`{name}`: {error}")
    table: Table = "env" if isinstance(server, Start) else "headers"
    values = server.env if isinstance(server, Start) else server.headers
    literals, secrets = parted(table, values)
    if literals:
        fields[table] = {**literals, **fields.get(table, {})}
    return Proposed(
        name=server_name(name) if name else own,
        found_as=name,
        line=line,
        fields=fields,
        secrets=secrets,
        left=unparted(table, values, line=line),
    )


def _started(server: Start) -> tuple[str, dict[str, Any]]:
    name, fields = server_from_command((server.command, *server.args))
    return name, fields | ({"cwd": server.cwd} if server.cwd else {})


def _addressed(server: Address) -> tuple[str, dict[str, Any]]:
    name, fields = server_from_source(server.url)
    return name, fields | ({"transport": "sse"} if server.transport == "sse" else {})
