"""Where servers that stay are reached on this machine: which port of its loopback leads to which of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.launch import Endpoint, LaunchRecord
from hatchlock.lock.model import Server
from hatchlock.security.network import has_own_network

__all__ = [
    "FIRST_PORT",
    "LAST_PORT",
    "NoPortLeft",
    "PortShared",
    "PortUnsaid",
    "choose_port",
    "endpoint_of",
    "is_reached",
]

FIRST_PORT, LAST_PORT = 24000, 31999
"""The ports that are given to servers which ask for none: below those that systems give to connections by themselves."""


@dataclass(kw_only=True, eq=False)
class PortUnsaid(HatchlockError):
    """A server listens on a port, and neither the manifest nor its image says on which."""

    code: ClassVar[str] = "port-unsaid"

    declared: tuple[str, ...]

    def __str__(self) -> str:
        if self.declared:
            return f"its image declares several ports, {', '.join(self.declared)}, and the manifest chooses none"
        return "neither the manifest nor its image says on which port it listens"

    def _hint(self) -> str:
        first = self.declared[0].partition("/")[0] if self.declared else "8080"
        return f"write port = {first}, then run `hatchlock lock`"


@dataclass(kw_only=True, eq=False)
class PortShared(HatchlockError):
    """A server's network is this machine's, so nothing leads from another port to its own."""

    code: ClassVar[str] = "port-shared"

    port: int
    host_port: int

    def __str__(self) -> str:
        return f"its network is this machine's own, so it is reached at its port {self.port}, not at {self.host_port}"

    def _hint(self) -> str:
        return 'leave out host-port, or give it a network of its own: a list of hosts, or "none"'


@dataclass(kw_only=True, eq=False)
class NoPortLeft(HatchlockError):
    """Every port that could be given to a server is taken."""

    code: ClassVar[str] = "no-port-left"

    def __str__(self) -> str:
        return f"every port from {FIRST_PORT} to {LAST_PORT} is taken"

    def _hint(self) -> str:
        return "write host-port = N with one that is free"


def is_reached(server: Server) -> bool:
    """Whether a server stays, and is reached at a port of this machine."""
    return not server.url and (server.transport == "http" or bool(server.serve))


def choose_port(project: str, server: str, is_taken: Callable[[int], bool] = lambda _: False) -> int:
    """Return the port of this machine that leads to a server: by its name, so that it is the same wherever it is free.

    Raises:
        NoPortLeft: All are taken.
    """
    count = LAST_PORT - FIRST_PORT + 1
    first = int(sha256_bytes(f"{project}/{server}".encode())[:8], 16)
    for step in range(count):
        port = FIRST_PORT + (first + step) % count
        if not is_taken(port):
            return port
    raise NoPortLeft


def endpoint_of(
    server: Server, record: LaunchRecord, host_port: int, *, declared: Collection[str] = (), bare: bool = False
) -> Endpoint:
    """Return where a server that stays is reached.

    Args:
        server: As locked.
        record: How it is started.
        host_port: The port that leads to it, where the manifest does not say one.
        declared: The ports that its image declares, `8080/tcp`.
        bare: Whether it runs as a process without a network of its own, whatever its sandbox says.

    Raises:
        PortUnsaid: Nobody says on which port it listens.
        PortShared: It would have to be reached at another port than its own, and cannot be.
    """
    path = server.path or "/mcp"
    if server.transport != "http":
        return Endpoint(host_port=server.host_port or host_port, path=path)
    port = server.port or _declared(declared)
    if bare or _shares_network(record):
        if server.host_port not in {0, port}:
            raise PortShared(port=port, host_port=server.host_port)
        return Endpoint(host_port=port, path=path, port=port)
    return Endpoint(host_port=server.host_port or host_port, path=path, port=port)


def _declared(ports: Collection[str]) -> int:
    found = sorted(port for port in ports if port.endswith("/tcp"))
    if len(found) != 1:
        raise PortUnsaid(declared=tuple(found))
    return int(found[0].partition("/")[0])


def _shares_network(record: LaunchRecord) -> bool:
    return not has_own_network(record.sandbox) and (record.runtime, *record.sandbox.network) != (
        "container",
        "internet",
    )
