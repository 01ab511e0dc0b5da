"""The network of a project's containers that may reach every host: a bridge of the engine's on which they do not see each other."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote

from hatchlock.engines.api import Engine
from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord
from hatchlock.security.container import LABEL, bridge_config, bridge_name

__all__ = ["NetworkTaken", "ensure_bridge"]


@dataclass(kw_only=True, eq=False)
class NetworkTaken(HatchlockError):
    """The engine has a network of that name which is not ours; nothing was started."""

    code: ClassVar[str] = "network-taken"

    network: str

    def __str__(self) -> str:
        return f"the engine has a network {self.network}, which hatchlock has not made"

    def _hint(self) -> str:
        return f"remove it, if nobody needs it: docker network rm {self.network}"


def ensure_bridge(engine: Engine, record: LaunchRecord) -> None:
    """Make the bridge of a server's project, unless it is there. It stays, for the next session.

    Raises:
        NetworkTaken: Somebody else's has its name.
        EngineError: The engine refuses.
        EngineUnreachable: The engine does not answer.
    """
    with _one_at_a_time(record.directory):
        name = bridge_name(record.project)
        found = engine.look_up(f"/networks/{quote(name)}")
        if found is None:
            engine.ask("POST", "/networks/create", bridge_config(record.project, podman=engine.is_podman))
            return
    if (found.get("Labels") or {}).get(f"{LABEL}.project") != record.project:
        raise NetworkTaken(network=name)


@contextlib.contextmanager
def _one_at_a_time(directory: str) -> Iterator[None]:
    """Applications start all their servers at once, and Docker would make two networks of one name."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # it is not there any more: then nobody else is either
            held = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, held)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
