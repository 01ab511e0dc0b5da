"""Debian archives: their signed lists, fetched, checked and compiled, as one universe of packages."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import quote, urlsplit

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import File, Package
from hatchlock.net.cache import Cache, Entry
from hatchlock.net.http import Http, Offline, Unreachable
from hatchlock.sources.base import BadAnswer, FileGone
from hatchlock.sources.debian.archives import SNAPSHOT_ID, DebArchive, NoArchive
from hatchlock.sources.debian.fetching import fetch_index
from hatchlock.sources.debian.index import CompiledIndex, IndexedUniverse, IndexOf, compile_index
from hatchlock.sources.debian.release import ExpiredRelease, Listed, Release, parse_release
from hatchlock.sources.debian.signature import checked_signature
from hatchlock.store.blobs import Blobs

__all__ = ["DebianSource", "NoSnapshot", "ReleaseFacts"]

_DEFAULT_TTL = 600.0
_NOT_MODIFIED = 304
_RELEASE_AT_MOST = 32 << 20
# Raised when the forms below cache_dir change; old directories are left to the cache's cleaning.
_CACHE_FORM = "1"
_PATH = "@PATH@"


@dataclass(kw_only=True, eq=False)
class NoSnapshot(HatchlockError):
    """A snapshot was asked for, or is needed, and nothing says where it would be."""

    code: ClassVar[str] = "no-snapshot"

    url: str
    snapshot: str

    def __str__(self) -> str:
        if not self.snapshot:
            return f"{self.url} needs the id of a snapshot"
        return f"{self.url} does not say where its snapshot {self.snapshot} is"

    def _hint(self) -> str:
        if not self.snapshot:
            return 'add `snapshot = "20260701T000000Z"` below [indexes.debian]'
        return (
            f"declare the url of a service of snapshots below [indexes.debian], with {SNAPSHOT_ID} where the id belongs"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseFacts:
    """A suite as it was when it was asked.

    Attributes:
        name: `DebArchive.name`.
        suite: As it is asked for.
        codename: As it calls itself.
        components: Those that are used, sorted.
        date: When it was made, RFC 3339.
        sha256: Of its InRelease, 64 hex digits.
        snapshot: The id of the snapshot; "" if it is what was there.
        keys: Fingerprints of the certificates that signed it, sorted, lower case.
    """

    name: str
    suite: str
    codename: str
    components: tuple[str, ...]
    date: str
    sha256: str
    snapshot: str
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    archive: DebArchive
    base: str
    release: Release
    facts: ReleaseFacts
    is_kept: bool

    @property
    def directory(self) -> str:
        return _directory(self.base, self.archive.suite)


class DebianSource:
    """Some suites as one universe of packages. For any number of threads; everything is fetched at most once.

    Every list is checked against the signed Release of its suite, and that against the suite's keys, before it is read.

    Args:
        http: Asks the archives.
        cache_dir: Where signed Releases (for `ttl`) and compiled indexes (for ever, by their hash) are kept.
        archives: The suites, in apt's order.
        now: The time, for `Valid-Until`.
        ttl: Seconds for which a Release is not asked for again. Snapshots never change, and are not.
        offline: Use a Release of any age and ask nobody.
        refresh: Ask again for every Release.

    Attributes:
        stale: Archives for which an older Release than `ttl` allows had to do, because nobody could be asked -> its age in
            seconds.
    """

    def __init__(
        self,
        *,
        http: Http,
        cache_dir: Path,
        archives: Sequence[DebArchive],
        now: datetime,
        ttl: float = _DEFAULT_TTL,
        offline: bool = False,
        refresh: bool = False,
    ) -> None:
        self.stale: dict[str, float] = {}
        self._http = http
        self._archives = tuple(archives)
        self._now = now
        self._ttl = ttl
        self._offline = offline or http.offline
        self._refresh = refresh
        self._releases_cache = Cache(cache_dir / f"releases-{_CACHE_FORM}")
        self._compiled = cache_dir / f"packages-{_CACHE_FORM}"
        self._lock = threading.RLock()
        self._opened: tuple[_Opened, ...] | None = None
        self._bases: dict[str, str] = {}
        self._universes: dict[str, IndexedUniverse] = {}
        self._indexes: dict[str, CompiledIndex] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the compiled indexes; universes cannot be asked any more."""
        with self._lock:
            for index in self._indexes.values():
                index.close()
            self._indexes.clear()
            self._universes.clear()

    def universe(self, architecture: str) -> IndexedUniverse:
        """Return the packages of all suites and components for one architecture.

        Raises:
            NoArchive: No suite is for that architecture, or one does not have a component.
            NoSnapshot: Nothing says where a snapshot is.
            BadSignature: A Release is not signed by a trusted key.
            BadKeyring: A keyring cannot be read.
            ExpiredRelease: A Release should no longer be used.
            WrongRelease: An archive serves another suite.
            BadAnswer: A list is not what the Release says, or malformed.
            Refused: An archive wants (other) credentials.
            Unreachable: It does not answer, and nothing is in the cache.
        """
        with self._lock:
            if architecture not in self._universes:
                self._universes[architecture] = self._make_universe(architecture)
            return self._universes[architecture]

    def releases(self) -> tuple[ReleaseFacts, ...]:
        """Return what the suites say of themselves, in the order of the archives; see `universe` for what is raised."""
        return tuple(item.facts for item in self._open_all())

    def url_of(self, package: Package, file: File) -> str:
        """Return where a locked file can be fetched now.

        Raises:
            NoArchive: The package's suite is not among the archives. For the rest see `universe`.
        """
        archive = next((item for item in self._archives if item.name == package.index), None)
        if archive is None:
            raise NoArchive(why=f"{package.id} is locked from {package.index}, which is not among the sources any more")
        path = f"{package.location}/{file.name}" if package.location else file.name
        return f"{self._base(archive)}/{quote(path, safe='/+~:')}"

    def fetch(self, package: Package, file: File, blobs: Blobs) -> None:
        """Bring a locked file into the store, unless it is there.

        Args:
            package: From the lock.
            file: One of its files.
            blobs: Where it goes.

        Raises:
            WrongHash: The archive has other bytes. None of them are kept.
            FileGone: It has no such file any more: most archives keep one version of each package.
            OSError: The disk is full, or the like.
            HatchlockError: What `url_of` raises.
        """
        if blobs.has(file.sha256):
            return
        url = self.url_of(package, file)
        try:
            with blobs.add(file.sha256, file.size or None, what=file.name, where=url) as writer:
                self._http.download(url, writer.write)
        except Unreachable as error:
            if error.answered and not error.transient:
                raise FileGone(package=package.id, file=file.name, digest=file.sha256, index=package.index) from error
            raise

    def _make_universe(self, architecture: str) -> IndexedUniverse:
        opened = self._open_all()
        try:
            return self._compiled_universe(opened, architecture)
        except (BadAnswer, Unreachable):
            if self._offline or not any(item.is_kept for item in opened):
                raise
        # what is kept of a Release may be older than the lists that the archive has now
        self._opened = None
        return self._compiled_universe(self._open_all(again=True), architecture)

    def _compiled_universe(self, opened: Sequence[_Opened], architecture: str) -> IndexedUniverse:
        wanted = [(item, path) for item in opened for path in _paths(item, architecture)]
        if not wanted:
            raise NoArchive(why=f"none of {', '.join(item.archive.name for item in opened)} is for {architecture}")
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="debian") as pool:
            indexes = list(pool.map(self._index, *zip(*wanted, strict=True)))
        found = [
            IndexOf(suite=item.archive.name, index=index, pin=item.release.pin)
            for (item, _), index in zip(wanted, indexes, strict=True)
        ]
        return IndexedUniverse(found, architecture=architecture)

    def _open_all(self, *, again: bool = False) -> tuple[_Opened, ...]:
        with self._lock:
            if self._opened is None:
                if not self._archives:
                    raise NoArchive(why="there is none")
                with ThreadPoolExecutor(len(self._archives), thread_name_prefix="debian") as pool:
                    self._opened = tuple(pool.map(partial(self._open, again=again), self._archives))
            return self._opened

    def _open(self, archive: DebArchive, *, again: bool) -> _Opened:
        return self._read_release(archive, self._base(archive), again=again)

    def _base(self, archive: DebArchive) -> str:
        if archive.name not in self._bases:
            self._bases[archive.name] = self._find_base(archive)
        return self._bases[archive.name]

    def _find_base(self, archive: DebArchive) -> str:
        """Return the address below which a suite's files are: that of the snapshot, if one is wanted."""
        if SNAPSHOT_ID in archive.url:
            if not archive.snapshot:
                raise NoSnapshot(url=archive.url, snapshot="")
            return archive.url.replace(SNAPSHOT_ID, archive.snapshot)
        if not archive.snapshot:
            return archive.url
        template = self._read_release(archive, archive.url, is_snapshot=False).release.snapshots
        if SNAPSHOT_ID not in template:
            raise NoSnapshot(url=archive.url, snapshot=archive.snapshot)
        path = urlsplit(archive.url).path.strip("/")
        return template.replace(SNAPSHOT_ID, archive.snapshot).replace(_PATH, path).rstrip("/")

    def _read_release(
        self, archive: DebArchive, base: str, *, is_snapshot: bool | None = None, again: bool = False
    ) -> _Opened:
        url = f"{_directory(base, archive.suite)}InRelease"
        fixed = bool(archive.snapshot) if is_snapshot is None else is_snapshot
        kept = self._releases_cache.load(url)
        age = self._releases_cache.age(kept) if kept else 0.0
        is_fresh = kept is not None and (fixed or age < self._ttl) and not self._refresh and not again
        body, validators = (kept.body, None) if kept and is_fresh else self._ask(archive, url, kept, age)
        is_old = archive.name in self.stale
        now = self._now if archive.checks_age and not fixed and not is_old else None
        try:
            opened = self._checked(archive, base, url, body, now=now, is_kept=validators is None)
        except ExpiredRelease:
            if not is_fresh or self._offline:
                raise
            return self._read_release(archive, base, is_snapshot=is_snapshot, again=True)
        if validators is not None:
            self._releases_cache.save(url, body, validators=validators)
        return opened

    def _ask(
        self, archive: DebArchive, url: str, kept: Entry | None, age: float
    ) -> tuple[bytes, Mapping[str, str] | None]:
        """Return the bytes at `url` and what confirms them later; None for the latter if the kept ones have to do."""
        validators = dict(kept.validators) if kept else {}
        headers = {}
        if "etag" in validators:
            headers["If-None-Match"] = validators["etag"]
        elif "last-modified" in validators:
            headers["If-Modified-Since"] = validators["last-modified"]
        try:
            if self._offline:
                raise Offline(url=url)
            answer = self._http.get(url, headers=headers, at_most=_RELEASE_AT_MOST)
            if answer.status == _NOT_MODIFIED and kept:
                return kept.body, validators
            data = answer.checked().data
        except Unreachable:
            if kept is None or self._refresh:
                raise
            if age >= self._ttl:
                self.stale[archive.name] = age
            return kept.body, None
        return data, {key: answer.headers[key] for key in ("etag", "last-modified") if key in answer.headers}

    def _checked(
        self, archive: DebArchive, base: str, url: str, body: bytes, *, now: datetime | None, is_kept: bool
    ) -> _Opened:
        signed = checked_signature(body, url=url, keyrings=archive.keyrings, only=archive.fingerprints)
        release = parse_release(signed.text, url=url)
        is_flat = archive.suite.endswith("/")
        release.check(url=url, suite="" if is_flat else archive.suite, now=now)
        facts = ReleaseFacts(
            name=archive.name,
            suite=archive.suite,
            codename=release.codename,
            components=tuple(sorted(archive.components)),
            date=f"{release.date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            sha256=sha256_bytes(body),
            snapshot=archive.snapshot,
            keys=signed.keys,
        )
        return _Opened(archive=archive, base=base, release=release, facts=facts, is_kept=is_kept)

    def _index(self, opened: _Opened, path: str) -> CompiledIndex:
        listed = opened.release.files
        name = next(listed[f"{path}{ending}"].sha256 for ending in ("", ".xz", ".gz") if f"{path}{ending}" in listed)
        target = self._compiled / name[:2] / f"{name}.sqlite"
        try:
            index = CompiledIndex(target)
        except ValueError:
            compile_index(self._fetch(opened, path), target)
            index = CompiledIndex(target)
        # no lock: whoever makes a universe holds it, and waits for this
        return self._indexes.setdefault(name, index)

    def _fetch(self, opened: _Opened, path: str) -> str:
        if self._offline:
            raise Offline(url=f"{opened.directory}{path}")
        return fetch_index(
            self._http, opened.directory, path, files=opened.release.files, by_hash=opened.release.by_hash
        )


def _directory(base: str, suite: str) -> str:
    if suite.endswith("/"):
        return f"{base}/{suite.lstrip('./')}"
    return f"{base}/dists/{suite}/"


def _paths(opened: _Opened, architecture: str) -> list[str]:
    """Return the indexes of a suite for one architecture, without the endings of their compressed forms."""
    release, archive = opened.release, opened.archive
    if archive.suite.endswith("/"):
        if not _is_listed(release.files, "Packages"):
            raise NoArchive(why=f"{archive.name} lists no Packages in a form that is known")
        return ["Packages"]
    if architecture not in release.architectures:
        return []
    architectures = [architecture, *(["all"] if release.all_is_apart else [])]
    found = []
    for component in archive.components:
        paths = [f"{component}/binary-{item}/Packages" for item in architectures]
        there = [path for path in paths if _is_listed(release.files, path)]
        if not there:
            raise NoArchive(
                why=f"{archive.name} has no component {component!r}: it has {', '.join(release.components)}"
            )
        found += there
    return found


def _is_listed(files: Mapping[str, Listed], path: str) -> bool:
    return any(f"{path}{ending}" in files for ending in ("", ".xz", ".gz"))
