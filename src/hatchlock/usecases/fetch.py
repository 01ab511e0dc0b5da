"""Bringing what the lock names into the store, checked, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.errors import UsageError
from hatchlock.events import Event, Sink, discard
from hatchlock.state.fetched import remember_fetched
from hatchlock.store.blobs import Blobs, WrongHash
from hatchlock.usecases.meter import Meter

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.lock.model import Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.resources.base import Artefact
    from hatchlock.usecases.bundle import Imported
    from hatchlock.usecases.obtain import Obtain
    from hatchlock.usecases.plan import Planned
    from hatchlock.usecases.project import Project

__all__ = ["Fetched", "fetch", "fetch_for", "fetch_project"]

_THREADS = 8
_PATIENCE = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What `fetch_project` did.

    Attributes:
        platforms: For which the store has everything now.
        files: How many files that is.
        size: Their bytes.
        fetched: How many of them came from the network.
        imported: What came from a bundle; None if none was read.
        bundle_size: Bytes of the bundle that was written; 0 if none was.
        builds: How many results of builds are in it.
        notes: What should be known of it, one sentence each.
    """

    platforms: tuple[str, ...]
    files: int
    size: int
    fetched: int
    imported: Imported | None = None
    bundle_size: int = 0
    builds: int = 0
    notes: tuple[str, ...] = ()


def fetch_project(
    project: Project,
    *,
    platforms: Sequence[str] = (),
    all_platforms: bool = False,
    source: Path | None = None,
    target: Path | None = None,
    offline: bool = False,
    lock_timeout: float = 60.0,
    emit: Sink = discard,
) -> Fetched:
    """Bring everything that the lock names for some platforms into the store; changes nothing else.

    It holds the project's lease: `cache gc` waits, and takes away nothing of what has come until it has all of it.

    A bundle also gets what this machine has built of it.

    Args:
        project: Whose lock.
        platforms: Which of its platforms; this machine's if none is named.
        all_platforms: All of them.
        source: A bundle to take from, before anything is asked for.
        target: A bundle to write.
        offline: Ask nobody: what is not there is an error.
        lock_timeout: Seconds to wait for another command that changes the project, or fetches the same file.
        emit: Told about progress.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        UsageError: The lock is not for one of the platforms, or the bundle's directory does not exist.
        PlatformNotLocked: The lock is not for this machine.
        BadBundle, OtherLock: The bundle cannot be used.
        LeaseHeld: Another command did not end in time.
        HatchlockError: What fetching raises.
        OSError: The disk is full, or the like.
    """
    from hatchlock.resources.needed import artefacts_of
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.leases import project_lease
    from hatchlock.usecases.locked import satisfied_lock

    if target is not None and not target.absolute().parent.is_dir():
        raise UsageError(what=f"--to {target}: there is no such directory", advice="make it first")
    if target is not None and target.is_dir():
        raise UsageError(what=f"--to {target}: it is a directory", advice="name a file in it")
    manifest, lock = satisfied_lock(project)
    wanted = _chosen(lock, platforms, all_platforms=all_platforms)
    artefacts = {item.digest: item for name in wanted for item in artefacts_of(manifest, lock, name)}
    blobs = Blobs(project.home.blobs)
    imported, bundled = None, _Bundled()
    held = project_lease(
        project.home,
        lock.project,
        ProjectState(project.home.project(lock.project)),
        purpose="fetch",
        timeout=lock_timeout,
        emit=emit,
    )
    with held:
        if source is not None:
            from hatchlock.usecases.bundle import import_bundle

            imported = import_bundle(source, project, blobs)
        fetched = fetch(project, artefacts.values(), offline=offline, lock_timeout=lock_timeout, emit=emit)
        remember_fetched(project.home.root, project.manifest, project.lock_bytes or b"")
        size = sum(blobs.path(digest).stat().st_size for digest in artefacts)
        if target is not None:
            bundled = _bundle(target, project, manifest, lock, platforms=wanted, digests=artefacts, blobs=blobs)
    return Fetched(
        platforms=wanted,
        files=len(artefacts),
        size=size,
        fetched=fetched,
        imported=imported,
        bundle_size=bundled.size,
        builds=bundled.builds,
        notes=bundled.notes,
    )


def _chosen(lock: Lock, platforms: Sequence[str], *, all_platforms: bool) -> tuple[str, ...]:
    from hatchlock.engines.process import host_platform

    for platform in platforms:
        if platform not in lock.platforms:
            what = f"--platform {platform}: the lock is for {', '.join(lock.platforms)}"
            raise UsageError(what=what, advice="choose one of these, or add it to [project] platforms and lock")
    return lock.platforms if all_platforms else tuple(sorted(set(platforms))) or (host_platform(),)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bundled:
    """What went into a bundle: how many bytes, how many results of builds, and what should be known of these."""

    size: int = 0
    builds: int = 0
    notes: tuple[str, ...] = ()


def _bundle(
    target: Path,
    project: Project,
    manifest: Manifest,
    lock: Lock,
    *,
    platforms: tuple[str, ...],
    digests: Iterable[str],
    blobs: Blobs,
) -> _Bundled:
    from hatchlock.usecases.build_results import results_of
    from hatchlock.usecases.bundle import write_bundle

    results = results_of(project, manifest, lock, platforms)
    size = write_bundle(
        target,
        name=lock.project,
        manifest=project.manifest_bytes,
        lock=project.lock_bytes or b"",
        platforms=platforms,
        digests=[*digests, *results.digests],
        blobs=blobs,
        builds=results.records,
    )
    return _Bundled(size=size, builds=len(results.records), notes=results.notes)


def fetch_for(project: Project, planned: Planned, *, offline: bool, lock_timeout: float = _PATIENCE, emit: Sink) -> int:
    """Bring into the store what a plan's steps need, as `fetch` does.

    Raises:
        HatchlockError, OSError: As `fetch`.
    """
    from hatchlock.resources.base import Action

    resources = planned.world.by_kind
    steps = [step for step in planned.plan.steps if step.action is not Action.DELETE]
    needed = {item for step in steps for item in resources[step.address.kind].artefacts(step.address)}
    return fetch(project, sorted(needed), offline=offline, lock_timeout=lock_timeout, emit=emit)


def fetch(
    project: Project, artefacts: Iterable[Artefact], *, offline: bool, lock_timeout: float = _PATIENCE, emit: Sink
) -> int:
    """Fetch what the store lacks, and return how many files that were.

    What the store has is checked again; what is damaged there is fetched anew. What another command is fetching is not
    fetched twice.

    Raises:
        LeaseHeld: Another command fetches one of them, and did not end in `lock_timeout` seconds.
        WrongHash: An index or registry serves other bytes than the lock names.
        BadImage: The lock has another config or other layers of an image than its digest.
        FileGone, Unreachable, ImageUnreachable: They cannot be had.
        OSError: The disk is full, or the like.
    """
    blobs = Blobs(project.home.blobs)
    artefacts = list(artefacts)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="check") as pool:
        unique = {artefact.digest: artefact for artefact in artefacts}.values()
        missing = [
            artefact for artefact, sound in pool.map(lambda item: (item, _is_sound(item, blobs)), unique) if not sound
        ]
    if not missing and (offline or not any(item.package.startswith(f"{Kind.OCI}:") for item in artefacts)):
        return 0
    from hatchlock.lock.store import loads
    from hatchlock.manifest.load import load_bytes
    from hatchlock.usecases.obtain import Obtain
    from hatchlock.usecases.sources import Sources

    # as they were read: of a project that goes back to a generation these are not the files that there are
    manifest = load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes).manifest
    lock = loads(project.lock_bytes or b"")
    if missing:
        emit(Event(name="fetch.start", message=f"{len(missing)} files", data={"files": len(missing)}))
    with Sources(project, manifest, offline=offline, refresh=False, emit=emit) as sources:
        whole = sum(item.size for item in missing) if all(item.size for item in missing) else 0
        counted = Blobs(project.home.blobs, Meter(whole, len(missing), emit).add)
        obtain = Obtain(project, lock, sources, counted, lock_timeout=lock_timeout, emit=emit)
        if not offline:
            obtain.check_images(artefacts, emit=emit)
        _obtain_all(obtain, missing)
    if missing:
        emit(Event(name="fetch.done", message=f"{len(missing)} files", data={"files": len(missing)}))
    return len(missing)


def _obtain_all(obtain: Obtain, missing: Sequence[Artefact]) -> None:
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch")
    wait = True
    try:
        for _ in pool.map(obtain, missing):
            pass
    except KeyboardInterrupt:
        wait = False  # nothing was changed yet, and what still runs may take long: the process ends without it
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)


def _is_sound(artefact: Artefact, blobs: Blobs) -> bool:
    if not blobs.has(artefact.digest):
        return False
    try:
        blobs.verify(artefact.digest)
        blobs.use(artefact.digest)
    except (WrongHash, FileNotFoundError):
        return False
    return True
