"""Bringing what the lock names into the store, checked, before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hatchlock.address import ImageReference
from hatchlock.events import Event, Sink
from hatchlock.store.blobs import Blobs, WrongHash

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock
    from hatchlock.net.http import Http
    from hatchlock.net.registry import Registry
    from hatchlock.resources.base import Artefact
    from hatchlock.sources.python.pypi import PypiSource
    from hatchlock.usecases.lock import Sources
    from hatchlock.usecases.project import Project

__all__ = ["fetch"]

_THREADS = 8


def fetch(project: Project, artefacts: Iterable[Artefact], *, offline: bool, emit: Sink) -> int:
    """Fetch what the store lacks, and return how many files that were.

    What the store has is checked again; what is damaged there is fetched anew.

    Raises:
        WrongHash: An index or registry serves other bytes than the lock names.
        FileGone, Unreachable, ImageUnreachable: They cannot be had.
        OSError: The disk is full, or the like.
    """
    blobs = Blobs(project.home.blobs)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="check") as pool:
        unique = {artefact.digest: artefact for artefact in artefacts}.values()
        missing = [
            artefact for artefact, sound in pool.map(lambda item: (item, _is_sound(item, blobs)), unique) if not sound
        ]
    if not missing:
        return 0
    from hatchlock.lock.store import loads
    from hatchlock.manifest.load import load
    from hatchlock.usecases.lock import Sources

    manifest = load(project.manifest, project.overlay if project.overlay_bytes else None).manifest
    lock = loads(project.lock_bytes or b"")
    emit(Event(name="fetch.start", message=f"{len(missing)} files", data={"files": len(missing)}))
    with Sources(project, manifest, offline=offline, refresh=False, emit=emit) as sources:
        _fetch_all(missing, sources, lock, blobs)
    emit(Event(name="fetch.done", message=f"{len(missing)} files", data={"files": len(missing)}))
    return len(missing)


def _is_sound(artefact: Artefact, blobs: Blobs) -> bool:
    if not blobs.has(artefact.digest):
        return False
    try:
        blobs.verify(artefact.digest)
    except WrongHash:
        return False
    return True


def _fetch_all(missing: Sequence[Artefact], sources: Sources, lock: Lock, blobs: Blobs) -> None:
    images = [artefact for artefact in missing if artefact.package.startswith("oci:")]
    wheels = [artefact for artefact in missing if artefact not in images]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as pool:
        if images:
            registry = sources.registry
            _wait(pool, images, lambda item: _fetch_blob(item, registry, blobs))
        if wheels:
            with sources.python_index() as index:
                _wait(pool, wheels, lambda item: _fetch_wheel(item, index, sources.http, lock, blobs))


def _wait(pool: ThreadPoolExecutor, items: Sequence[Artefact], work: Callable[[Artefact], None]) -> None:
    for _ in pool.map(work, items):
        pass


def _fetch_blob(artefact: Artefact, registry: Registry, blobs: Blobs) -> None:
    reference = ImageReference.parse(artefact.package.removeprefix("oci:"))
    with blobs.add(artefact.digest, artefact.size, what=artefact.name, where=str(reference)) as writer:
        registry.blob(reference, artefact.name, writer.write)


def _fetch_wheel(artefact: Artefact, index: PypiSource, http: Http, lock: Lock, blobs: Blobs) -> None:
    package = lock.package(artefact.package)
    file = next(item for item in package.files if item.digest == artefact.digest)
    url = index.fetch_url(package, file)
    with blobs.add(artefact.digest, artefact.size, what=artefact.name, where=f"the index {index.url}") as writer:
        http.download(url, writer.write)
