"""`cache`: what was fetched, and the store's blobs: how much, whether it is sound, and away with what nobody needs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.events import Event, Sink, discard
from hatchlock.files import read_optional
from hatchlock.paths import LOCK_NAME, Home
from hatchlock.store.blobs import Blobs, WrongHash

if TYPE_CHECKING:
    from hatchlock.state.project import ProjectState

__all__ = ["Damaged", "Share", "Stats", "Swept", "Verified", "cache_stats", "clear_cache", "collect", "verify_store"]

_DAY = 86_400.0
_GIT = "git"
_SCRATCH = "work-"
_KINDS = {
    "pages": "python pages",
    "metadata": "python metadata",
    "direct": "python metadata",
    "documents": "npm documents",
    "facts": "npm metadata",
    "tarballs": "npm metadata",
    "trees": "npm metadata",
    "mcp": "mcp registry",
    "mcp-standing": "mcp registry",
    "channels": "conda channels",
    "hatch": "hatch registries",
    "hatch-archives": "hatch registries",
    "releases": "debian releases",
    "packages": "debian packages",
    "bases": "facts of bases",
    "layers": "layers of images",
    "bytecode": "bytecode of images",
    "scripts": "debian packages",
    "sdist": "python metadata",
    "git": "git mirrors",
    "git-refs": "git refs",
    "memo": "plans",
}
_UNFINISHED = "unfinished"
_FORM = re.compile(r"-\d+$")
_DIGEST = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{128}|[0-9a-f]{64})(?![0-9a-f])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """How much there is of one kind.

    Attributes:
        kind: In words.
        files: How many.
        size: Their bytes.
    """

    kind: str
    files: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """What there is, by kind, each sorted.

    Attributes:
        cache: What may be deleted at any time.
        store: Blobs, by the algorithm of their digests.
    """

    cache: tuple[Share, ...]
    store: tuple[Share, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """A blob that was no longer itself, and is gone now."""

    digest: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What `verify_store` found.

    Attributes:
        checked: How many blobs were read.
        size: Their bytes.
        damaged: Those that were removed, sorted.
    """

    checked: int
    size: int
    damaged: tuple[Damaged, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """What was deleted, or would be, by kind, sorted.

    Attributes:
        shares: How much of each kind.
        busy: What another process is using, which was left alone, sorted.
    """

    shares: tuple[Share, ...]
    busy: tuple[str, ...] = ()


def cache_stats(home: Home) -> Stats:
    """Count what the cache and the store hold. Changes nothing."""
    cache = _Tally()
    for path, kind in _cached_files(home):
        cache.add(kind, path)
    store = _Tally()
    blobs = Blobs(home.blobs)
    for digest in blobs.each():
        store.add(f"blobs {blobs.path(digest).parent.parent.name}", blobs.path(digest))
    for path in blobs.leftovers():
        store.add(_UNFINISHED, path)
    return Stats(cache=cache.shares, store=store.shares)


def verify_store(home: Home, *, emit: Sink = discard) -> Verified:
    """Read every blob of the store again, several at a time, and remove those that are no longer themselves.

    What is removed is fetched anew when it is needed.

    Raises:
        PermissionProblem: A damaged blob cannot be removed.
    """
    blobs = Blobs(home.blobs)
    digests = list(blobs.each())
    emit(Event(name="verify.start", message=f"{len(digests)} files", data={"files": len(digests)}))
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="verify") as pool:
        results = [item for item in pool.map(lambda digest: _check(blobs, digest), digests) if item is not None]
    damaged = tuple(item for item in results if isinstance(item, Damaged))
    sizes = [item for item in results if isinstance(item, int)]
    return Verified(checked=len(results), size=sum(sizes), damaged=damaged)


def _check(blobs: Blobs, digest: str) -> int | Damaged | None:
    try:
        size = blobs.path(digest).stat().st_size
        blobs.verify(digest)
    except FileNotFoundError:
        return None
    except WrongHash as error:
        return Damaged(digest=digest, why=f"its bytes have the digest {error.actual}")
    except OSError as error:
        blobs.remove(digest)
        return Damaged(digest=digest, why=error.strerror or str(error))
    return size


def collect(
    home: Home, *, older_than: float = 30 * _DAY, dry_run: bool = False, lock_timeout: float = 0, emit: Sink = discard
) -> Swept:
    """Delete what the cache has not used for long, and the blobs that no project names.

    A blob stays if its digest stands in the lock of any generation of any project, in the lock that now lies in a project's
    directory, or in one for which files were fetched and that was not applied yet, or if it was built from such a one: then an
    apply, also one that was killed, and a rollback find it. What came into the store, or was fetched again, within a day (or
    `older_than`, if that is shorter) stays too: nothing may speak for it yet.

    Args:
        home: The store.
        older_than: Seconds since it was read or written.
        dry_run: Delete nothing, and only say what would be.
        lock_timeout: Seconds to wait for an apply that is running.
        emit: Told about progress.

    Raises:
        LeaseHeld: An apply is running.
        BadState: A project's state cannot be read, so nobody knows what it needs.
    """
    sweep = _Sweep(dry_run=dry_run)
    with _no_apply_running(home, "cache gc", None if dry_run else lock_timeout, emit) as projects:
        emit(Event(name="gc.start", message="cache and blobs"))
        now = time.time()
        for path, kind in _cached_files(home):
            # what others are just writing is not theirs to lose
            least = max(older_than, _DAY) if kind == _UNFINISHED else older_than
            if kind != _KINDS[_GIT] and _unused(path, now) >= least:
                sweep.delete(kind, path)
        _sweep_mirrors(home, sweep, lambda mirror: _mirror_unused(mirror, now) >= older_than)
        grace = min(older_than, _DAY)
        blobs = Blobs(home.blobs)
        named = _named_digests(projects) | _fetched_digests(home, sweep)
        named |= _built_of(home, named)
        for digest in blobs.each():
            path = blobs.path(digest)
            if digest not in named and _unused(path, now) >= grace:
                sweep.delete(f"blobs {path.parent.parent.name}", path)
        for path in blobs.leftovers():
            if _unused(path, now) >= grace:
                sweep.delete(_UNFINISHED, path)
    return sweep.result


def clear_cache(home: Home, *, dry_run: bool = False, lock_timeout: float = 0, emit: Sink = discard) -> Swept:
    """Delete everything in the cache, save what is just being written. The store keeps what it has.

    Args:
        home: The store.
        dry_run: Delete nothing, and only say what would be.
        lock_timeout: Seconds to wait for an apply that is running.
        emit: Told for whom it waits.

    Raises:
        LeaseHeld: An apply is running.
    """
    sweep = _Sweep(dry_run=dry_run)
    with _no_apply_running(home, "cache clear", None if dry_run else lock_timeout, emit):
        now = time.time()
        for path, kind in _cached_files(home):
            if kind != _KINDS[_GIT] and (kind != _UNFINISHED or _unused(path, now) >= _DAY):
                sweep.delete(kind, path)
        _sweep_mirrors(home, sweep, lambda _: True)
        if not dry_run:
            _remove_empty_directories(home.cache)
    return sweep.result


class _Tally:
    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int]] = {}

    def add(self, kind: str, *paths: Path) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                size = path.lstat().st_size
                files, total = self._found.get(kind, (0, 0))
                self._found[kind] = (files + 1, total + size)

    @property
    def shares(self) -> tuple[Share, ...]:
        return tuple(Share(kind=kind, files=files, size=size) for kind, (files, size) in sorted(self._found.items()))


class _Sweep:
    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._tally = _Tally()
        self._busy: list[str] = []

    @property
    def result(self) -> Swept:
        return Swept(shares=self._tally.shares, busy=tuple(sorted(self._busy)))

    def delete(self, kind: str, path: Path) -> None:
        self._tally.add(kind, path)
        if not self._dry_run:
            path.unlink(missing_ok=True)

    def delete_mirror(self, mirror: Path) -> None:
        from hatchlock.state.lease import LeaseHeld, lease

        if self._dry_run:
            self._tally.add(_KINDS[_GIT], *_files_below(mirror))
            return
        try:
            # as `GitSource` does while it uses one
            with lease(mirror.with_suffix(".lock"), what=f"the mirror {mirror.name}", purpose="cache", timeout=0):
                self._tally.add(_KINDS[_GIT], *_files_below(mirror))
                shutil.rmtree(mirror, ignore_errors=True)
        except LeaseHeld as error:
            self._busy.append(str(error))


def _cached_files(home: Home) -> Iterator[tuple[Path, str]]:
    """Yield every file of the cache, save the locks of git mirrors, with its kind."""
    if not home.cache.is_dir():
        return
    for top in sorted(home.cache.iterdir()):
        if not top.is_dir() or top.is_symlink():
            yield top, _UNFINISHED
            continue
        kind = _UNFINISHED if top.name.startswith(_SCRATCH) else _KINDS.get(_FORM.sub("", top.name), "other")
        for directory in _mirrors(home) if top.name == _GIT else [top]:
            for path in _files_below(directory):
                yield path, kind


def _mirrors(home: Home) -> Iterator[Path]:
    root = home.cache / _GIT
    if root.is_dir():
        yield from sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())


def _sweep_mirrors(home: Home, sweep: _Sweep, is_due: Callable[[Path], bool]) -> None:
    for mirror in _mirrors(home):
        if is_due(mirror):
            sweep.delete_mirror(mirror)


def _files_below(directory: Path) -> Iterator[Path]:
    for place, _, names in os.walk(directory):
        for name in sorted(names):
            yield Path(place) / name


def _unused(path: Path, now: float) -> float:
    """Return the seconds since a file was read or written, as far as its file system notes the first."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return 0.0
    return now - max(facts.st_mtime, facts.st_atime)


def _mirror_unused(mirror: Path, now: float) -> float:
    return min((_unused(path, now) for path in _files_below(mirror)), default=float("inf"))


@contextlib.contextmanager
def _no_apply_running(home: Home, purpose: str, timeout: float | None, emit: Sink) -> Iterator[list[ProjectState]]:
    """Hold every project's lease inside the block, unless `timeout` is None, and give the projects."""
    from hatchlock.usecases.leases import all_leases, all_projects

    if timeout is None:
        yield list(all_projects(home).values())
        return
    with all_leases(home, purpose=purpose, timeout=timeout, emit=emit):
        yield list(all_projects(home).values())


def _named_digests(projects: list[ProjectState]) -> frozenset[str]:
    """Return whatever looks like a digest in a lock of theirs: a lock that cannot be read keeps its blobs just as well."""
    named: set[bytes] = set()
    for state in projects:
        locks = sorted(state.root.glob(f"generations/*/{LOCK_NAME}"))
        if directory := state.bound_to():
            locks.append(Path(directory) / LOCK_NAME)
        for path in locks:
            named.update(_DIGEST.findall(read_optional(path) or b""))
    return frozenset(digest.decode() for digest in named)


def _fetched_digests(home: Home, sweep: _Sweep) -> frozenset[str]:
    from hatchlock.state.fetched import fetched_locks

    named: set[bytes] = set()
    for path, data, is_wanted in fetched_locks(home.root):
        if is_wanted:
            named.update(_DIGEST.findall(data))
        else:
            sweep.delete("fetched locks", path)
    return frozenset(digest.decode() for digest in named)


def _built_of(home: Home, named: frozenset[str]) -> frozenset[str]:
    from hatchlock.realise.builds.image_record import ImageRecords
    from hatchlock.realise.builds.record import BuildRecords
    from hatchlock.resources.build_facts import records_of

    root = records_of(home)
    packages = {record.sha256 for record in BuildRecords(root).each() if record.archive in named}
    return frozenset(packages.union(*(item.blobs for item in ImageRecords(root).each() if item.context in named)))


def _remove_empty_directories(root: Path) -> None:
    for place, _, _ in os.walk(root, topdown=False):
        with contextlib.suppress(OSError):  # something is in it
            os.rmdir(place)  # noqa: PTH106
