"""What `run` does for the network of one server, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.launch import LaunchRecord, size_in_bytes
from hatchlock.security.denials import Report
from hatchlock.security.network import hosts_of, is_listed, ways

if TYPE_CHECKING:
    from hatchlock.serve.network.forwarder import Forwarder
    from hatchlock.serve.network.hub import Hub

__all__ = ["Network", "network_of"]


class Network:
    """A server's network, if it is a list of hosts or if ports of its own are to be reached.

    Attributes:
        session: What tells this run from others, where its connections are noted down.
        ways: What it may reach.
        hosts: Name -> address inside.
    """

    def __init__(
        self,
        record: LaunchRecord,
        forwarder: Forwarder,
        *,
        session: str,
        published: Mapping[int, int],
        lost: Callable[[], None],
    ) -> None:
        self.session = session
        self.ways = ways(record.sandbox)
        self._forwarder = forwarder
        self._published = published
        self._lost = lost
        self._ends: list[Callable[[], None]] = [forwarder.close]
        self.hosts = hosts_of(self.ways)

    def offer(self, pid: int) -> None:
        """Make the listeners in the network of a process, which waits meanwhile.

        Raises:
            NetworkFailed: They cannot be made.
            OSError: A port of this machine is taken.
        """
        from hatchlock.serve.network.inside import enter  # noqa: PLC0415  containers do without

        inside = enter(pid, self.ways, connects=bool(self._published))
        self._ends.append(inside.close)
        for way, listener in zip(self.ways, inside.listeners, strict=True):
            self._forwarder.serve(listener, way)
        self._forwarder.serve_names(inside.questions)
        self._publish(inside.connect)

    def hub(self) -> Hub:
        """Return where a container's relay will connect to; `receive` begins it."""
        from hatchlock.serve.network.hub import Hub  # noqa: PLC0415  processes do without

        hub = Hub()
        self._ends.append(hub.close)
        return hub

    def receive(self, hub: Hub) -> None:
        """Take what the relay hands on; starts threads.

        Raises:
            OSError: A port of this machine is taken.
        """
        hub.open(self._forwarder, self._lost)
        self._publish(hub.connect)

    def close(self) -> None:
        """End everything."""
        for end in self._ends:
            end()

    def _publish(self, connect: Callable[[int], socket.socket]) -> None:
        for here, there in self._published.items():
            listener = socket.create_server(("127.0.0.1", here))
            self._forwarder.publish(listener, there, connect)


@contextlib.contextmanager
def network_of(
    record: LaunchRecord,
    *,
    environ: Mapping[str, str],
    log: Path | None,
    report: Report,
    lost: Callable[[], None],
    published: Mapping[int, int] | None = None,
) -> Iterator[Network | None]:
    """Have what a server's network needs while it runs; None where that is nothing.

    Args:
        record: The server's.
        environ: For a proxy's user name and password.
        log: The server's log: connections are noted down beside it; None for nowhere.
        report: Told of what the server asked for in vain.
        lost: Called, in a thread, when a container's network has gone.
        published: Port of this machine's loopback -> port of the server's own that it leads to. The server needs no way out.

    Raises:
        PermissionProblem: The log cannot be written.
    """
    if not is_listed(record.sandbox) and not published:
        yield None
        return
    from hatchlock.serve.network.forwarder import Forwarder, dialling  # noqa: PLC0415  most servers have no network
    from hatchlock.serve.network.trail import Trail, trail_path  # noqa: PLC0415
    from hatchlock.serve.talk import open_log  # noqa: PLC0415

    session = os.urandom(4).hex()
    file = open_log(trail_path(log) if log else None, size_in_bytes(record.sandbox.log_size))
    forwarder = Forwarder(
        ways(record.sandbox),
        dial=dialling(record.proxies, environ),
        trail=Trail(file, server=record.server, session=session),
        report=report,
    )
    network = Network(record, forwarder, session=session, published=published or {}, lost=lost)
    try:
        yield network
    finally:
        network.close()
