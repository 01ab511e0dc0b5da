"""Hatch packages from registries: which versions there are, what each needs, and its archive."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hatchlock.address import Kind
from hatchlock.lock.model import File
from hatchlock.net.cache import Cache
from hatchlock.net.http import Http, Offline
from hatchlock.sources.ages import too_new
from hatchlock.sources.base import BadAnswer, UnknownPackage
from hatchlock.sources.claims import entitled
from hatchlock.sources.hatch.declared import version_of
from hatchlock.sources.hatch.documents import HatchIndex, IndexDocuments, file_of
from hatchlock.sources.hatch.index import HatchRelease, IndexPackage, read_index
from hatchlock.sources.hatch.trouble import (
    HatchArchiveTooLarge,
    NoHatchVersion,
    SeveralRepositories,
    UnknownRepository,
)
from hatchlock.store.blobs import Blobs

__all__ = ["HatchIndex", "HatchRegistry", "HatchRelease"]

_DEFAULT_TTL = 600.0
_LARGEST = 256 << 20
_CHUNK = 1 << 18
_CACHE_FORM = "1"


class HatchRegistry:
    """Hatch's registries. For any number of threads; every document is read at most once.

    Args:
        http: Asks the registries.
        cache_dir: Where documents are kept, for `ttl`, and the hashes of archives.
        indexes: What the manifest declares: those that claim a name, then the one without `packages`; if there is none,
            Hatch's own registry.
        ttl: Seconds for which a document is not asked for again, unless its index says otherwise.
        offline: Use what is kept, of whatever age, and ask nobody.
        refresh: Ask again.
        exclude_newer: Versions added at this moment or later do not exist; nor do those whose time is not known.
        largest: Bytes that an archive may have.
        now: The time.
    """

    kind = Kind.HATCH

    def __init__(
        self,
        *,
        http: Http,
        cache_dir: Path,
        indexes: Sequence[HatchIndex] = (),
        ttl: float = _DEFAULT_TTL,
        offline: bool = False,
        refresh: bool = False,
        exclude_newer: datetime | None = None,
        largest: int = _LARGEST,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.exclude_newer = exclude_newer
        self._http = http
        self._indexes = _with_default(indexes)
        self._largest = largest
        cache = Cache(cache_dir / f"hatch-{_CACHE_FORM}")
        self._documents = IndexDocuments(http=http, cache=cache, ttl=ttl, offline=offline, refresh=refresh, now=now)
        self._offline = offline or http.offline
        self._refresh = refresh
        self._archives = Cache(cache_dir / f"hatch-archives-{_CACHE_FORM}")
        self._lock = threading.Lock()
        self._read: dict[str, dict[str, tuple[IndexPackage, ...]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between calls."""

    @property
    def stale(self) -> dict[str, float]:
        """Index -> age in seconds of an answer that is older than it should be, and was used all the same."""
        return self._documents.stale

    def versions(self, name: str, repository: str = "") -> Sequence[HatchRelease]:
        """Return every version of a package that may be used, newest first.

        Args:
            name: The package; only ever a name, whatever directories there are.
            repository: The repository that it has to be in; "" for the only one that has it.

        Raises:
            UnknownPackage: Its index has no such package.
            UnknownRepository: Its index has no such repository.
            SeveralRepositories: Several have it, and none was said.
            ClaimedTwice: Two indexes claim it.
            Refused: The index wants (other) credentials.
            Unreachable: It cannot be asked, and nothing is kept.
            BadAnswer: It answers something else than its format, or a version's differences lead nowhere.
        """
        found = self._package(name, repository).releases()
        return tuple(item for item in found if not too_new(item.added, self.exclude_newer))

    def release(self, name: str, version: str, repository: str = "") -> HatchRelease:
        """Return one version of a package, however the number is written (`1.0` is `1.0.0`).

        Raises:
            NoHatchVersion: There is no such version. For the rest see `versions`.
        """
        found = self.versions(name, repository)
        for item in found:
            if version_of(item.version) == version_of(version):
                return item
        raise NoHatchVersion(name=name, version=version, known=tuple(item.version for item in found))

    def archive(self, release: HatchRelease, into: Path) -> File:
        """Download a version's archive, and return what the lock says of it.

        Registries give no hashes, so whoever serves it is believed this first time.

        Args:
            release: Which.
            into: The file to write, in a directory that exists.

        Raises:
            HatchArchiveTooLarge: It is larger than any archive may be.
            BadAnswer: Its address is none that may be used.
            Refused, Unreachable: Nobody gives it.
            OSError: The disk is full, or the like.
        """
        digest = hashlib.sha256()
        with into.open("wb") as stream:

            def keep(piece: bytes) -> None:
                digest.update(piece)
                stream.write(piece)

            self._download(release, keep)
            size = stream.tell()
        return File(name=release.file_name, sha256=digest.hexdigest(), size=size)

    def locate(self, release: HatchRelease, blobs: Blobs, *, scratch: Path) -> File:
        """Bring a version's archive into the store, and return what the lock says of it.

        What an address gave once is remembered, so that no archive comes twice, and offline it is known; with `refresh` it is
        fetched again.

        Args:
            release: Which.
            blobs: Where it goes.
            scratch: A directory of ours; it is as it was afterwards.

        Raises:
            Offline: It is not in the store, and nobody may be asked. For the rest see `archive`.
        """
        is_kept = file_of(release.uri) is None  # a file of this machine may change, and is read fast
        if is_kept and not self._refresh and (known := self._known_archive(release)) and blobs.has(known.sha256):
            return known
        with tempfile.TemporaryDirectory(dir=scratch, prefix="archive-") as directory:
            path = Path(directory) / "archive.zip"
            file = self.archive(release, path)
            if not blobs.has(file.sha256):
                with (
                    blobs.add(file.sha256, file.size, what=file.name, where=release.uri) as writer,
                    path.open("rb") as stream,
                ):
                    while piece := stream.read(_CHUNK):
                        writer.write(piece)
        if is_kept:
            self._archives.save(release.uri, f"{file.sha256} {file.size}".encode())
        return file

    def fetch(self, release: HatchRelease, file: File, blobs: Blobs) -> None:
        """Bring a locked archive into the store, unless it is there.

        Args:
            release: Which.
            file: From the lock.
            blobs: Where it goes.

        Raises:
            WrongHash: The address has other bytes now. None of them are kept. For the rest see `archive`.
        """
        if blobs.has(file.sha256):
            return
        with blobs.add(file.sha256, file.size, what=file.name, where=release.uri) as writer:
            self._download(release, writer.write)

    def search(self, words: Iterable[str]) -> Iterator[HatchRelease]:
        """Yield the newest version of each package that has all words in its name, description or tags, by name.

        See `versions` for what is raised.
        """
        wanted = [word.casefold() for word in words]
        found: list[HatchRelease] = []
        for index in self._indexes:
            for packages in self._repositories(index).values():
                for package in packages:
                    text = " ".join((package.name, package.description, *package.tags)).casefold()
                    if all(word in text for word in wanted):
                        found += package.releases()[:1]
        yield from sorted(found, key=lambda item: (item.name, item.repository, item.index))

    def _known_archive(self, release: HatchRelease) -> File | None:
        kept = self._archives.load(release.uri)
        if kept is None:
            return None
        sha256, _, size = kept.body.decode().partition(" ")
        return File(name=release.file_name, sha256=sha256, size=int(size))

    def _package(self, name: str, repository: str) -> IndexPackage:
        index = self._index_of(name)
        repositories = self._repositories(index)
        if repository and repository not in repositories:
            known = tuple(sorted(repositories))
            raise UnknownRepository(repository=repository, name=name, known=known, index=index.address)
        found = [
            package
            for packages in repositories.values()
            for package in packages
            if package.name == name and repository in {"", package.repository}
        ]
        if not found:
            where = f"{index.address}, repository {repository}" if repository else index.address
            raise UnknownPackage(kind=Kind.HATCH, name=name, index=where)
        if len(found) > 1:
            names = tuple(sorted(package.repository for package in found))
            raise SeveralRepositories(name=name, repositories=names, index=index.address)
        return found[0]

    def _index_of(self, name: str) -> HatchIndex:
        return entitled(name, self._indexes, kind=Kind.HATCH) or HatchIndex()

    def _repositories(self, index: HatchIndex) -> dict[str, tuple[IndexPackage, ...]]:
        with self._lock:
            if index.address not in self._read:
                data = self._documents.get(index)
                self._read[index.address] = read_index(data, index=index.name, url=index.address)
            return self._read[index.address]

    def _download(self, release: HatchRelease, sink: Callable[[bytes], object]) -> None:
        size = 0

        def limited(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > self._largest:
                raise HatchArchiveTooLarge(package=release.id, url=release.uri, limit=self._largest)
            sink(piece)

        self._check_address(release)
        path = file_of(release.uri)
        if path is None and self._offline:
            raise Offline(url=release.uri)
        if path is None:
            self._http.download(release.uri, limited)
            return
        with path.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                limited(piece)

    def _check_address(self, release: HatchRelease) -> None:
        """An archive is fetched no less safely than the index that names it."""
        own = {urlsplit(index.address).scheme for index in self._indexes if index.name == release.index}
        scheme = urlsplit(release.uri).scheme
        if scheme != "https" and scheme not in own:
            why = f"its archive is at {release.uri!r}, which is no https address"
            raise BadAnswer(what=release.id, why=why)


def _with_default(declared: Sequence[HatchIndex]) -> tuple[HatchIndex, ...]:
    is_complete = any(not index.packages for index in declared)
    return tuple(declared) if is_complete else (*declared, HatchIndex())
