"""What `audit` is told of the container engine, and of what it has of a project. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.usecases.audit_files import mode_of

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.resources.target import Target
    from hatchlock.security.audit import facts as known
    from hatchlock.usecases.project import Project

__all__ = ["containers", "engine_facts", "images"]


def engine_facts(project: Project, lock: Lock) -> known.EngineFacts | None:
    """Return what is known of the engine that this machine would use; None if nothing of a lock needs one."""
    from hatchlock.engines.locate import EngineNotFound, find_engine
    from hatchlock.security.audit.facts import EngineFacts

    runtimes = {*(item.runtime for item in lock.servers), *(item.runtime for item in lock.environments)}
    if "container" not in runtimes:
        return None
    try:
        address = find_engine(project.environ)
    except EngineNotFound:
        return EngineFacts(problem="no container engine answers")
    return _asked(address)


def _asked(address: str) -> known.EngineFacts:
    from hatchlock.engines.api import Engine
    from hatchlock.engines.facts import read_facts
    from hatchlock.security.audit.facts import EngineFacts

    try:
        found = read_facts(Engine(address))
    except HatchlockError as error:
        return EngineFacts(address=address, problem=str(error))
    guards = tuple(item for item in found.guards if not (item == "seccomp" and found.unconfined))
    place, _, options = address.partition("?")
    return EngineFacts(
        address=place,
        security=guards,
        unbound=found.unbound,
        socket_mode=mode_of(Path(place.removeprefix("unix://"))) if place.startswith("unix://") else None,
        tls=bool(options),
    )


def containers(project: Project, name: str) -> Iterator[known.ContainerFacts]:
    """Yield what an engine that answers has of containers of a project of this store.

    Args:
        project: Whose store.
        name: The project's name.

    Raises:
        EngineUnreachable, EngineError: The engine broke off in the middle.
    """
    from hatchlock.engines.api import Engine, EngineError
    from hatchlock.engines.locate import find_engine
    from hatchlock.paths import store_mark
    from hatchlock.security.audit.containers import container_facts
    from hatchlock.security.container import LABEL
    from hatchlock.serve.container import is_leftover, is_of_store

    asked = Engine(find_engine(project.environ))
    for item in asked.list({f"{LABEL}.project": name}):
        if not is_of_store(item, store_mark(project.home.root)):
            continue
        try:
            inspected = asked.inspect(item.id)
        except EngineError:
            continue  # its session has ended meanwhile
        found = container_facts(inspected, owner_gone=is_leftover(item), podman=asked.is_podman)
        if found:
            yield found


def images(project: Project, target: Target) -> Iterator[known.ImageFacts]:
    """Yield what an engine that answers has of a target's images.

    Raises:
        EngineFailed: The engine broke off in the middle.
    """
    from hatchlock.engines.docker import Engine
    from hatchlock.engines.locate import find_engine
    from hatchlock.security.audit.facts import ImageFacts

    stated = project.home.statements()
    with Engine(find_engine(project.environ)) as asked:
        there = asked.images()
    for image in target.images:
        tag = image.tag(target.project)
        if tag in there and image.is_assembled:
            yield ImageFacts(tag=tag, stated=image.key in stated)
