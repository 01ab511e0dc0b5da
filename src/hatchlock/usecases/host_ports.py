"""Which port of this machine leads to each server that stays: the one that it has, else a free one by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.paths import Home
    from hatchlock.usecases.project import Project

__all__ = ["host_ports"]


def host_ports(project: Project, manifest: Manifest, lock: Lock) -> dict[str, int]:
    """Return server -> port, of those that stay and whose manifest says none. Reads only.

    A server keeps the port that its active launch record has, also under a new name. Another one gets one that no server of
    this store has and at which nobody listens now.

    Raises:
        NoPortLeft: All are taken.
    """
    from hatchlock.engines.loopback import is_free
    from hatchlock.resources.endpoints import choose_port, is_reached

    asking = [server.name for server in lock.servers if is_reached(server) and not server.host_port]
    if not asking:
        return {}
    name = manifest.project.name
    own = dict(_ports_of(project.home, name))
    kept = {server: port for server in asking if (port := _kept(server, manifest, own))}
    said = {server.host_port for server in lock.servers}
    if len(kept) == len(asking):
        return kept
    known = {*said, *kept.values(), *_ports_of_others(project.home, name)}
    for server in asking:
        if server not in kept:
            kept[server] = choose_port(name, server, lambda port: port in known or not is_free(port))
            known.add(kept[server])
    return kept


def _kept(server: str, manifest: Manifest, own: dict[str, int]) -> int:
    names = (server, *manifest.handover.names_before(server))
    return next((own[name] for name in names if name in own), 0)


def _ports_of(home: Home, project: str) -> Iterator[tuple[str, int]]:
    from hatchlock.state.project import ProjectState

    state = ProjectState(home.project(project), forgiving=True)
    for server, digest in state.active().items():
        record = state.record(digest)
        if record and record.endpoint:
            yield server, record.endpoint.host_port


def _ports_of_others(home: Home, project: str) -> Iterator[int]:
    for path in sorted(home.root.glob("projects/*/active.json")):
        if path.parent.name != project:
            with contextlib.suppress(HatchlockError):  # of a newer version; what listens is seen all the same
                yield from (port for _, port in _ports_of(home, path.parent.name))
