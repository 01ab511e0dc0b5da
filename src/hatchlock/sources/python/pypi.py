"""Python packages from a simple index (PEP 503 and 691): pages and wheel metadata, cached, fetched concurrently."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Self, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from hatchlock.address import Kind
from hatchlock.lock.model import File, Package
from hatchlock.net.http import Http, Refused, Unreachable
from hatchlock.sources.ages import too_new
from hatchlock.sources.base import BadAnswer, FileGone, MissingHash
from hatchlock.sources.python.direct_wheel import DirectFiles, named_file
from hatchlock.sources.python.indexes import Indexes, PythonIndex
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.pages import Pages
from hatchlock.sources.python.sdist_files import SdistFiles
from hatchlock.sources.python.sdists import MetadataNotTold, SourceOnly
from hatchlock.sources.python.simple import SDIST_SUFFIXES, IndexFile, ProjectPage
from hatchlock.sources.python.targets import PythonTarget
from hatchlock.sources.python.wheel_files import WheelFiles
from hatchlock.sources.python.wheel_tags import best_rank, build_order

__all__ = ["DirectWheel", "PypiSource", "PythonIndex", "WheelCandidate"]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WheelCandidate:
    """A version of a package, as the file that a target would get; a source makes one for each, equal only to itself.

    Attributes:
        name: Normalised (PEP 503).
        version: Its version.
        file: The best wheel for the target, or the source distribution that one would be built from.
    """

    name: str
    version: Version
    file: IndexFile

    @property
    def id(self) -> str:
        """`pypi:name@version`."""
        return f"{Kind.PYPI}:{self.name}@{self.version}"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectWheel:
    """A wheel that a requirement names by its address.

    Attributes:
        package: As the lock holds it, without dependencies.
        file: The wheel.
        metadata: What it says, scripts included.
    """

    package: Package
    file: IndexFile
    metadata: WheelMetadata


class PypiSource:
    """Simple indexes as a `Source`. For any number of threads; every page and metadata is fetched at most once.

    A name is taken from exactly one index (see `PythonIndex.packages`): one that is claimed is never looked for elsewhere.

    Args:
        http: Asks the indexes.
        cache_dir: Where pages (for their index's TTL) and metadata (for ever, by the file's sha256) are kept.
        indexes: User names and passwords in their addresses are used for their hosts, and never kept.
        exclude_newer: Files uploaded at this moment or later do not exist; nor do those whose time the index does not say.
        offline: Use cached pages of any age and ask nobody.
        refresh: Ask again for every page.
    """

    kind = Kind.PYPI

    def __init__(
        self,
        *,
        http: Http,
        cache_dir: Path,
        indexes: Sequence[PythonIndex],
        exclude_newer: datetime | None = None,
        offline: bool = False,
        refresh: bool = False,
    ) -> None:
        self.exclude_newer = exclude_newer
        self._http = http
        self._offline = offline or http.offline
        self._indexes = Indexes(indexes, http.credentials)
        self._fetched = Pages(http=http, cache_dir=cache_dir, offline=self._offline, refresh=refresh)
        self._wheels = WheelFiles(http=http, cache_dir=cache_dir)
        self._sdists = SdistFiles(http=http, cache_dir=cache_dir)
        self._direct = DirectFiles(http=http, cache_dir=cache_dir, refresh=refresh)
        self._workers = ThreadPoolExecutor(http.threads, thread_name_prefix="index")
        self._lock = threading.Lock()
        self._pages: dict[str, Future[ProjectPage]] = {}
        self._metadata: dict[str, Future[WheelMetadata]] = {}
        self._complete: dict[str, Future[WheelMetadata]] = {}
        self._candidates: dict[tuple[str, Version, PythonTarget, bool], WheelCandidate | None] = {}
        self._finals: dict[tuple[str, PythonTarget, bool], bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was asked for ahead of need and not begun; the rest ends by itself."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    @property
    def stale(self) -> Mapping[str, float]:
        """Name -> seconds: how old the pages are that were used though they should have been asked for again."""
        return self._fetched.stale

    def index_name(self, name: str) -> str:
        """Return the name of the index that a package is taken from, for the lock.

        Raises:
            ClaimedTwice, NoIndex: See `Indexes.serving`.
        """
        return self._indexes.serving(name).name

    def page(self, name: str) -> ProjectPage:
        """Return the page of a project.

        Raises:
            UnknownPackage: The index has no such project.
            ClaimedTwice, NoIndex: It is not one index that serves it.
            Refused: It wants credentials.
            Unreachable: Neither it nor a mirror answers, or offline; and the page is not in the cache.
            BadAnswer: It answers something else than a page.
        """
        return self._now(self._pages, canonicalize_name(name), self._find_page)

    def page_ahead(self, name: str) -> Future[ProjectPage]:
        """Begin to fetch a page, unless that was done before."""
        return self._once(self._pages, canonicalize_name(name), self._find_page)

    def page_at_hand(self, name: str) -> ProjectPage | None:
        """Return the page of a project if nobody has to be asked for it.

        Raises:
            ClaimedTwice, NoIndex: See `page`.
        """
        name = canonicalize_name(name)
        known = self._pages.get(name)
        if known is None:
            page = self._fetched.fresh(self._indexes.serving(name), name)
            if page is None:
                return None
            mine: Future[ProjectPage] = Future()
            mine.set_result(page)
            with self._lock:
                known = self._pages.setdefault(name, mine)
        return known.result() if known.done() and known.exception() is None else None

    def versions(self, name: str) -> Sequence[Version]:
        """Return every version on the index, newest first; see `page` for what is raised."""
        return self.page(name).versions

    def candidate(
        self, name: str, version: Version, target: PythonTarget, *, build: bool = False
    ) -> WheelCandidate | None:
        """Return the best wheel of a version for a target, or None if there is none that may be used there.

        Yanked files count; whoever chooses looks at `file.yanked`.

        Args:
            name: The package.
            version: Its version.
            target: Where it is to run.
            build: Whether its source distribution will do where no wheel does.

        Raises:
            MissingHash: The index gives no sha256 for that file.
        """
        key = (canonicalize_name(name), version, target, build)
        if key not in self._candidates:
            # two threads may both choose; all get what came first
            self._candidates.setdefault(key, self._choose(*key))
        return self._candidates[key]

    def has_final(self, name: str, target: PythonTarget, *, build: bool = False) -> bool:
        """Return whether a target can use some release that is neither a pre-release nor yanked; `build` as above."""
        key = (name, target, build)
        if key not in self._finals:
            finals = (version for version in self.versions(name) if not version.is_prerelease)
            candidates = (self.candidate(name, version, target, build=build) for version in finals)
            self._finals[key] = any(candidate and not candidate.file.yanked for candidate in candidates)
        return self._finals[key]

    def metadata(self, file: IndexFile) -> WheelMetadata:
        """Return the metadata of a wheel, or of the one that a source distribution becomes.

        Raises:
            MetadataNotTold: A source distribution does not say it. For the rest see `WheelFiles.metadata`.
        """
        return self._now(self._metadata, file.sha256, lambda _: self._metadata_of(file))

    def metadata_ahead(self, file: IndexFile) -> Future[WheelMetadata]:
        """Begin to fetch a file's metadata, unless that was done before."""
        return self._once(self._metadata, file.sha256, lambda _: self._metadata_of(file))

    def build_requires(self, file: IndexFile) -> Sequence[str]:
        """Return the PEP 508 requirements of a source distribution's build; see `read_sdist` for what is raised."""
        return self._sdists.facts(file).system.requires

    def dependencies(self, candidate: WheelCandidate) -> Sequence[str]:
        """Return a candidate's PEP 508 requirements; see `metadata` for what is raised."""
        return self.metadata(candidate.file).requires_dist

    def metadata_with_scripts(self, file: IndexFile) -> WheelMetadata:
        """Return a file's metadata with its `scripts`; see `metadata`."""
        return self._now(self._complete, file.sha256, lambda _: self._with_scripts(file))

    def scripts_ahead(self, file: IndexFile) -> Future[WheelMetadata]:
        """Begin to fetch a file's metadata with its scripts, unless that was done before."""
        return self._once(self._complete, file.sha256, lambda _: self._with_scripts(file))

    def why_not(self, name: str, version: Version, target: PythonTarget) -> str:
        """Return why `candidate` is None, as the end of a sentence about that version; "" if it is not None."""
        if self.candidate(name, version, target) is not None:
            return ""
        files = self.page(name).files(version)
        recent = [file for file in files if not self._too_new(file)]
        wheels = [file for file in recent if file.is_wheel]
        if not recent:
            told = all(file.uploaded for file in files)
            return "is newer than exclude-newer allows" if told else "has no upload time, which exclude-newer needs"
        if not wheels:
            return "is published as source only"
        if not any(_python_allows(file.requires_python, target.full_python) for file in wheels):
            return f"needs Python {wheels[0].requires_python}"
        return f"has no wheel for Python {target.python} on {target.platform}"

    def source_only(self, name: str, version: Version, requirer: str) -> SourceOnly | None:
        """Return the error to raise where a version has no wheel at all, with what its static metadata says; else None.

        Args:
            name: The package.
            version: One that `candidate` has nothing for.
            requirer: Who needs it: `gsutil 5.0`, "the manifest".

        Raises:
            UnknownPackage, Refused, Unreachable, BadAnswer: See `page`.
        """
        files = [file for file in self.page(name).files(version) if not self._too_new(file)]
        if not files or any(file.is_wheel for file in files):
            return None
        return SourceOnly(package=name, version=str(version), requirer=requirer, needs=self._told_by(files))

    def _told_by(self, sdists: Sequence[IndexFile]) -> tuple[str, ...]:
        for file in sdists:
            try:
                return self._sdists.facts(file).metadata.requires_dist
            except (BadAnswer, MetadataNotTold, Refused, Unreachable):
                continue  # it would only have made the explanation better
        return ()

    def direct_wheel(self, url: str, name: str) -> DirectWheel:
        """Return the wheel that `NAME @ URL` means; without `#sha256=…` behind the address it is fetched once.

        Raises:
            BadDirectUrl: The address is not that of a wheel of this name.
            SourceOnly: It is that of a source distribution. For the rest see `WheelFiles.metadata`.
        """
        file = self._direct.file(url, name)
        metadata = self.metadata_with_scripts(file)
        package = Package(
            kind=Kind.PYPI,
            name=canonicalize_name(name),
            version=named_file(url, name)[1],
            location=file.url,
            files=(File(name=file.name, sha256=file.sha256, size=file.size),),
            scripts=dict(metadata.scripts or {}),
            requires_python=metadata.requires_python,
            licence=metadata.licence,
            authors=metadata.authors,
            repository=metadata.repository,
            source_class="url",
        )
        return DirectWheel(package=package, file=file, metadata=metadata)

    def fetch_url(self, package: Package, file: File) -> str:
        """Return where a locked file can be fetched now: its own address, or where its index's page says, by name and sha256.

        Raises:
            FileGone: The index no longer has it.
            NoIndex: The lock took it from an index that is not declared, or is not this name's any more.
            UnknownPackage: The index no longer has the project. For the rest see `page`.
        """
        if package.location:
            return package.location
        index = self._indexes.locked(package)
        for find in (self.page, lambda name: self._fetched.fetch(index, canonicalize_name(name))):
            for offered in find(package.name).files(Version(package.version)):
                if offered.name == file.name and offered.sha256 == file.sha256:
                    return offered.url
            if self._offline:
                break
        raise FileGone(package=package.id, file=file.name, digest=file.sha256, index=index.url)

    def _find_page(self, name: str) -> ProjectPage:
        return self._fetched.find(self._indexes.serving(name), name)

    def _once(self, begun: dict[str, Future[_T]], key: str, work: Callable[[str], _T]) -> Future[_T]:
        known = begun.get(key)
        if known is not None:  # nearly always: then do without the lock
            return known
        with self._lock:
            if key not in begun:
                begun[key] = self._workers.submit(work, key)
            return begun[key]

    def _now(self, begun: dict[str, Future[_T]], key: str, work: Callable[[str], _T]) -> _T:
        known = begun.get(key)
        if known is not None:
            return known.result()
        mine: Future[_T] = Future()
        with self._lock:
            known = begun.setdefault(key, mine)
        if known is mine:
            # who waits anyway does it itself: what is cached is there sooner than another thread
            try:
                mine.set_result(work(key))
            except BaseException as error:
                mine.set_exception(error)
                raise
        return known.result()

    def _metadata_of(self, file: IndexFile) -> WheelMetadata:
        return self._wheels.metadata(file) if file.is_wheel else self._sdists.facts(file).metadata

    def _with_scripts(self, file: IndexFile) -> WheelMetadata:
        return self._wheels.with_scripts(file) if file.is_wheel else self._sdists.facts(file).metadata

    def _choose(self, name: str, version: Version, target: PythonTarget, build: bool) -> WheelCandidate | None:
        found = self._wheel(name, version, target) or (self._sdist(name, version, target) if build else None)
        if found is None:
            return None
        if not found.sha256:
            raise MissingHash(file=found.name, index=self._indexes.serving(name).url)
        return WheelCandidate(name=name, version=version, file=found)

    def _wheel(self, name: str, version: Version, target: PythonTarget) -> IndexFile | None:
        ranked = [
            (file.yanked, rank, build_order(file.name), file.name, file)
            for file in self.page(name).files(version)
            if file.is_wheel
            and canonicalize_name(file.name.partition("-")[0]) == name
            and (rank := best_rank(file.name, target)) is not None
            and _python_allows(file.requires_python, target.full_python)
            and not self._too_new(file)
        ]
        return min(ranked, key=lambda item: item[:4])[4] if ranked else None

    def _sdist(self, name: str, version: Version, target: PythonTarget) -> IndexFile | None:
        ranked = [
            (file.yanked, SDIST_SUFFIXES.index(suffix), file.name, file)
            for file in self.page(name).files(version)
            for suffix in SDIST_SUFFIXES
            if file.name.endswith(suffix)
            and _python_allows(file.requires_python, target.full_python)
            and not self._too_new(file)
        ]
        return min(ranked, key=lambda item: item[:3])[3] if ranked else None

    def _too_new(self, file: IndexFile) -> bool:
        return too_new(file.uploaded, self.exclude_newer)


@lru_cache(maxsize=4096)
def _python_allows(requires_python: str, python: str) -> bool:
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True  # as pip has it: a few old packages write what no rule covers
