"""The container beside a server's own whose network both have: nothing but a loopback, and the relay that listens there.

It has the whole default sandbox, one socket of ours, and none of the server's files, variables or secrets.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from hatchlock.engines.api import Engine, EngineError
from hatchlock.engines.host import host_facts
from hatchlock.engines.images import engine_traits
from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord, Mount, Relay, Sandbox
from hatchlock.security.container import EngineTraits, HostFacts, container_config
from hatchlock.security.network import HOSTNAME, ways
from hatchlock.security.provided import RELAY_INSIDE
from hatchlock.serve.network.hub import Hub, RelayFailed

__all__ = ["Sidecar", "relay_config"]

_NOT_FOUND = 404
_START = {"python": ("-I", "-S", "-c"), "node": ("-e",)}
_PROGRAMS = {"python": "relay_program.py", "node": "relay.js"}


def relay_config(
    record: LaunchRecord, relay: Relay, *, socket: str, host: HostFacts, labels: Mapping[str, str], engine: EngineTraits
) -> dict[str, Any]:
    """Return the body of `POST /containers/create` for the sidecar of a server.

    Args:
        record: The server's.
        relay: What the sidecar is made of.
        socket: Path of the hub's socket.
        host: This machine.
        labels: Those of the server's container.
        engine: The engine, and what it says of the relay's image.
    """
    found = ways(record.sandbox)
    items = [f"{way.name} {way.port} {way.address}" for way in found]
    program = Path(__file__).with_name(_PROGRAMS[relay.language]).read_text(encoding="utf-8")
    # a label that lets it use a socket of ours would let it use those of every other program of the user's
    sandbox = Sandbox(
        mounts=(Mount(source=socket, target=RELAY_INSIDE),), selinux="disable" if host.selinux else "default"
    )
    itself = LaunchRecord(
        project=record.project,
        server=record.server,
        runtime="container",
        argv=(relay.interpreter, *_START[relay.language], program, RELAY_INSIDE, *items),
        sandbox=sandbox,
        key=record.key,
        image=relay.image,
    )
    config = container_config(itself, env={}, host=host, labels={**labels, "role": "relay"}, engine=engine)
    config |= dict.fromkeys(("OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"), False)
    config["Hostname"] = HOSTNAME  # the server's, too, as it has the same network
    config["HostConfig"]["Sysctls"] = {"net.ipv4.ip_unprivileged_port_start": "0"}
    return config


class Sidecar:
    """A sidecar that was created. It starts while the server's own container is made."""

    def __init__(self, engine: Engine, container: str, relay: Relay, hub: Hub) -> None:
        self.id = container
        self._engine = engine
        self._relay = relay
        self._hub = hub
        self._error: HatchlockError | None = None
        self._starting = threading.Thread(target=self._start, daemon=True)
        self._starting.start()

    @classmethod
    def create(cls, name: str, record: LaunchRecord, engine: Engine, *, hub: Hub, labels: Mapping[str, str]) -> Self:
        """Create the sidecar of a server, and let it start.

        Args:
            name: Its own.
            record: The server's.
            engine: Where both will run.
            hub: Where it connects to.
            labels: Those of the server's container.

        Raises:
            RelayFailed: There is no image for it.
            EngineError: The engine refuses.
            EngineUnreachable: The engine does not answer.
        """
        relay = record.relay
        if relay is None:
            raise RelayFailed(image="", why="its launch record names none")
        try:
            traits = engine_traits(engine, relay.image)
            config = relay_config(record, relay, socket=str(hub.path), host=host_facts(), labels=labels, engine=traits)
            return cls(engine, engine.create(name, config), relay, hub)
        except EngineError as error:
            if error.status == _NOT_FOUND:
                raise RelayFailed(image=relay.image, why="the engine has not got it") from error
            raise

    def wait(self) -> None:
        """Wait until it listens.

        Raises:
            RelayFailed: It does not.
            EngineError: The engine refuses to start it.
            EngineUnreachable: The engine does not answer.
        """
        self._starting.join()
        if self._error is not None:
            raise self._error
        self._hub.wait(self._relay.image, self._ended)

    def _start(self) -> None:
        try:
            self._engine.start(self.id)
        except EngineError as error:
            self._error = RelayFailed(image=self._relay.image, why=error.message)
        except HatchlockError as error:
            self._error = error

    def _ended(self) -> str:
        state = self._engine.inspect(self.id)["State"]
        return "" if state["Running"] else f"it ended with status {state['ExitCode']}"
