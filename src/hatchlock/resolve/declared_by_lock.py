"""What a lock says of the manifest that it satisfied. Pure."""

from __future__ import annotations

from dataclasses import replace

from hatchlock.address import Kind, Source
from hatchlock.lock.model import Lock, Server
from hatchlock.manifest.handover import NO_HANDOVER
from hatchlock.manifest.model import EnvironmentSpec, Manifest, ServerSpec
from hatchlock.resolve.entries import entries_of
from hatchlock.surface import SurfaceRules

__all__ = ["declared_by"]


def declared_by(lock: Lock, manifest: Manifest) -> Manifest:
    """Return a manifest with the servers and environments that a lock is for.

    Args:
        lock: The lock.
        manifest: Says what no lock holds: the project's name and bounds, and by which applications a server is listed. One that
            it does not know is listed by none.
    """
    declared = (item.name for item in lock.environments if not item.private and not item.makes)
    return replace(
        manifest,
        handover=NO_HANDOVER,
        environments={name: EnvironmentSpec(name=name) for name in declared},
        servers={server.name: _server(server, lock, manifest) for server in lock.servers},
    )


def _server(locked: Server, lock: Lock, manifest: Manifest) -> ServerSpec:
    now = manifest.servers.get(locked.name)
    shared = {item.name for item in lock.environments if not item.private}
    return ServerSpec(
        name=locked.name,
        source=_source(locked, lock),
        command=locked.command,
        args=locked.args,
        cwd=locked.cwd,
        env_literals=locked.env,
        secrets=locked.secrets,
        runtime=locked.runtime,
        isolation=locked.isolation,
        clients=now.clients if now else (),
        groups=now.groups if now else (),
        trust=locked.trust,
        environment=locked.environment if locked.environment in shared else None,
        private=EnvironmentSpec(name=locked.name),
        sandbox=locked.sandbox,
        startup_timeout=locked.startup_timeout,
        transport=locked.transport,
        url=locked.url,
        headers=locked.headers,
        header_secrets=locked.header_secrets,
        port=locked.port,
        path=locked.path,
        host_port=locked.host_port,
        serve="http" if locked.serve else "",
        tools=now.tools if now else SurfaceRules(),
    )


def _source(locked: Server, lock: Lock) -> Source | None:
    """Return what a server is installed from; for an entry of the MCP registry what that stands for."""
    if locked.image:
        return Source(kind=Kind.OCI, spec=locked.image)
    entry = entries_of(lock).get(locked.source)
    text = entry.dependencies[0] if entry else locked.source
    return Source.parse(text) if text else None
