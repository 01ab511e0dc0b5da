"""The resources of one project on this machine: each kind with what the target says of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from hatchlock.address import ResourceKind
from hatchlock.engines.host import host_facts
from hatchlock.events import Sink, discard
from hatchlock.launch import LaunchRecord
from hatchlock.paths import Home, store_mark
from hatchlock.resources.base import Problem, Resource
from hatchlock.resources.client import ClientResource
from hatchlock.resources.container import ContainerResource
from hatchlock.resources.endpoint import EndpointResource
from hatchlock.resources.env import EnvResource
from hatchlock.resources.guards import guard_problems
from hatchlock.resources.image import ImageResource
from hatchlock.resources.image_tags import ImageTags
from hatchlock.resources.leased import Leased
from hatchlock.resources.network import NetworkResource, on_bridge
from hatchlock.resources.server import ServerResource, ServerSpec
from hatchlock.resources.system import SystemResource
from hatchlock.resources.target import Target
from hatchlock.resources.volume import VolumeResource, VolumeSpec
from hatchlock.security.container import server_user
from hatchlock.state.applied import AppliedKeys
from hatchlock.state.imported import known_imported
from hatchlock.state.project import ProjectState

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.engines.docker import Engine
    from hatchlock.engines.tagged import ImageFacts

__all__ = ["World"]


class World:
    """The resources of one project on this machine.

    Args:
        target: What should be.
        home: The store.
        state: The project's state.
        applied: What the last applies left.
        connect: Gives the engine; called only when there is something to ask it.
        listed: Gives the engine's images, by tag, if there is a quicker way.
        environ: Where PATH finds the host's package manager; used only when there is something to ask it.
        lock_digest: SHA-256 of the lock that the target follows from.
        purpose: The command, for those who wait for its locks.
        lock_timeout: Seconds to wait for somebody else's lock.
        offline: Whether nothing may be fetched.
        takeover: Whether the project begins anew where it is bound to something else.
        emit: Told for whom its resources wait, when they are applied.
    """

    def __init__(
        self,
        target: Target,
        *,
        home: Home,
        state: ProjectState,
        applied: AppliedKeys,
        connect: Callable[[], Engine],
        listed: Callable[[], Mapping[str, ImageFacts]] | None = None,
        environ: Mapping[str, str],
        lock_digest: str,
        purpose: str,
        lock_timeout: float,
        offline: bool = False,
        takeover: bool = False,
        emit: Sink = discard,
    ) -> None:
        self._servers = target.servers
        self.tags = ImageTags(applied.images)
        self.system = SystemResource(
            target.systems,
            home=home,
            environ=environ,
            purpose=purpose,
            lock_timeout=lock_timeout,
            download=not offline,
            emit=emit,
        )
        self.clients = ClientResource(
            target.entries,
            state=state,
            home=home,
            project=target.project,
            usual=(*target.usual_files, *target.other_files),
            applied=applied.keys,
            handover=target.handover,
            imported=known_imported(state.root),
            environ=environ,
            emit=emit,
        )
        self.volumes = VolumeResource(
            _volumes(target.servers),
            home=home,
            project=target.project,
            state=state,
            engine=target.engine,
            applied=applied.keys,
            handover=target.handover,
            anew=takeover,
        )
        bridged = any(on_bridge(spec.record) for spec in target.servers)
        self.network = NetworkResource(project=target.project, engine=target.engine if bridged else "")
        self.containers = ContainerResource(
            project=target.project, engine=target.engine, state=state, store=store_mark(home.root)
        )
        self.endpoints = EndpointResource(
            target.servers, state=state, home=home, project=target.project, environ=environ
        )
        self.by_kind: Mapping[ResourceKind, Resource] = {
            ResourceKind.SYSTEM: self.system,
            ResourceKind.ENV: EnvResource(
                target.environments, home=home, logs=state.builds, purpose=purpose, lock_timeout=lock_timeout, emit=emit
            ),
            ResourceKind.IMAGE: Leased(
                _images(
                    target,
                    home=home,
                    logs=state.builds,
                    lock_digest=lock_digest,
                    connect=connect,
                    listed=listed,
                    tags=self.tags,
                    emit=emit,
                ),
                home=home,
                purpose=purpose,
                lock_timeout=lock_timeout,
                emit=emit,
            ),
            ResourceKind.NETWORK: self.network,
            ResourceKind.VOLUME: self.volumes,
            ResourceKind.CONTAINER: self.containers,
            ResourceKind.SERVER: ServerResource(target.servers, state=state, handover=target.handover),
            ResourceKind.ENDPOINT: self.endpoints,
            ResourceKind.CLIENT: self.clients,
        }

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What cannot be planned, as far as it was seen when the resources were last observed."""
        guards = guard_problems(self._servers)
        before = (*self.system.problems, *self.network.problems, *self.volumes.problems)
        return (*before, *guards, *self.endpoints.problems, *self.clients.problems)


def _volumes(servers: Iterable[ServerSpec]) -> Iterator[VolumeSpec]:
    for server in servers:
        record = server.record
        for path, place in sorted(record.volumes.items()):
            yield VolumeSpec(
                server=record.server,
                path=path,
                place=place,
                user=_owner(record),
                runtime=record.runtime,
                engine=record.engine,
                image=record.image,
                needs=(server.needs,) if server.needs and record.runtime == "container" else (),
            )


def _owner(record: LaunchRecord) -> str:
    """Return `UID:GID` that a server really is on its side of the wall."""
    if record.runtime == "container":
        return server_user(record.sandbox, host_facts())
    return record.sandbox.user if os.geteuid() == 0 else f"{os.getuid()}:{os.getgid()}"


def _images(
    target: Target,
    *,
    home: Home,
    logs: Path,
    lock_digest: str,
    connect: Callable[[], Engine],
    listed: Callable[[], Mapping[str, ImageFacts]] | None,
    tags: ImageTags,
    emit: Sink,
) -> Resource:
    assembled = ImageResource(
        target.images,
        project=target.project,
        home=home,
        logs=logs,
        lock_digest=lock_digest,
        connect=connect,
        tags=tags,
        listed=listed,
        emit=emit,
    )
    if not target.dockerfiles:
        return assembled
    from hatchlock.resources.dockerfile_image import DockerfileResource  # noqa: PLC0415  few projects have one
    from hatchlock.resources.several import Several  # noqa: PLC0415

    built = DockerfileResource(
        target.dockerfiles, project=target.project, home=home, logs=logs, connect=connect, tags=tags, listed=listed
    )
    return Several([assembled, built])
