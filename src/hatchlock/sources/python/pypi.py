"""Python packages from a simple index (PEP 503 and 691): pages and wheel metadata, cached, fetched concurrently."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Self, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from hatchlock.address import Kind
from hatchlock.digest import sha256_bytes
from hatchlock.lock.model import File, Package
from hatchlock.net.cache import Cache, Entry
from hatchlock.net.http import Http, Response, Unreachable
from hatchlock.sources.base import BadAnswer, FileGone, MissingHash, UnknownPackage
from hatchlock.sources.python.default_index import default_index
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.remote_wheel import read_wheel
from hatchlock.sources.python.simple import ACCEPT, IndexFile, ProjectPage
from hatchlock.sources.python.targets import PythonTarget
from hatchlock.sources.python.wheel_tags import best_rank, build_order

__all__ = ["PypiSource", "WheelCandidate", "default_index"]

_T = TypeVar("_T")
_NOT_FOUND = 404
_NOT_MODIFIED = 304
_DEFAULT_TTL = 600.0
# Raised when the forms below cache_dir change; old directories are left to the cache's cleaning.
_CACHE_FORM = "1"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WheelCandidate:
    """A version of a package, as the wheel that a target would get; a source makes one for each, equal only to itself.

    Attributes:
        name: Normalised (PEP 503).
        version: Its version.
        file: The best wheel for the target.
    """

    name: str
    version: Version
    file: IndexFile

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class PypiSource:
    """A simple index as a `Source`. For any number of threads; every page and metadata is fetched at most once.

    Args:
        http: Asks the index.
        cache_dir: Where pages (for `ttl`) and metadata (for ever, by the file's sha256) are kept.
        index_url: The index; user name and password in it are used for its host, and never kept.
        index_name: The name that the lock records.
        exclude_newer: Files uploaded at this moment or later do not exist; nor do those whose time the index does not say.
        mirrors: Further addresses of the same index, asked in order when the one before cannot be reached.
        ttl: Seconds for which a page is not asked for again. Then it is confirmed by ETag or Last-Modified, if there was any.
        offline: Use cached pages of any age and ask nobody.
        refresh: Ask again for every page.
    """

    kind = Kind.PYPI

    def __init__(
        self,
        *,
        http: Http,
        cache_dir: Path,
        index_url: str,
        index_name: str = "pypi",
        exclude_newer: datetime | None = None,
        mirrors: Sequence[str] = (),
        ttl: float = _DEFAULT_TTL,
        offline: bool = False,
        refresh: bool = False,
    ) -> None:
        self.name = index_name
        self.url, *self._mirrors = (f"{http.credentials.learn(url).rstrip('/')}/" for url in (index_url, *mirrors))
        self.exclude_newer = exclude_newer
        self._http = http
        self._ttl = ttl
        self._offline = offline or http.offline
        self._refresh = refresh
        self._pages_cache = Cache(cache_dir / f"pages-{_CACHE_FORM}")
        self._metadata_cache = Cache(cache_dir / f"metadata-{_CACHE_FORM}")
        self._workers = ThreadPoolExecutor(http.threads, thread_name_prefix="index")
        self._lock = threading.Lock()
        self._pages: dict[str, Future[ProjectPage]] = {}
        self._metadata: dict[str, Future[WheelMetadata]] = {}
        self._candidates: dict[tuple[str, Version, PythonTarget], WheelCandidate | None] = {}
        self._finals: dict[tuple[str, PythonTarget], bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was asked for ahead of need and not begun; the rest ends by itself."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def page(self, name: str) -> ProjectPage:
        """Return the page of a project.

        Raises:
            UnknownPackage: The index has no such project.
            Refused: It wants credentials.
            Unreachable: Neither it nor a mirror answers; or offline, and the page is not in the cache.
            BadAnswer: It answers something else than a page.
        """
        return self.page_ahead(name).result()

    def page_ahead(self, name: str) -> Future[ProjectPage]:
        """Begin to fetch a page, unless that was done before."""
        return self._once(self._pages, canonicalize_name(name), self._find_page)

    def versions(self, name: str) -> Sequence[Version]:
        """Return every version on the index, newest first; see `page` for what is raised."""
        return self.page(name).versions

    def candidate(self, name: str, version: Version, target: PythonTarget) -> WheelCandidate | None:
        """Return the best wheel of a version for a target, or None if there is none that may be used there.

        Yanked files count; whoever chooses looks at `file.yanked`.

        Raises:
            MissingHash: The index gives no sha256 for that wheel.
        """
        key = (name, version, target)
        if key not in self._candidates:
            # two threads may both choose; all get what came first
            self._candidates.setdefault(key, self._choose(name, version, target))
        return self._candidates[key]

    def has_final(self, name: str, target: PythonTarget) -> bool:
        """Return whether a target can use some release that is neither a pre-release nor yanked."""
        key = (name, target)
        if key not in self._finals:
            finals = (version for version in self.versions(name) if not version.is_prerelease)
            candidates = (self.candidate(name, version, target) for version in finals)
            self._finals[key] = any(candidate and not candidate.file.yanked for candidate in candidates)
        return self._finals[key]

    def metadata(self, file: IndexFile) -> WheelMetadata:
        """Return a wheel's metadata: PEP 658 where offered, else read from the wheel by range, else from the whole wheel.

        Raises:
            BadAnswer: The wheel or its metadata is broken, or is not what the index's hash says.
            Refused: The server wants credentials.
            Unreachable: It cannot be asked.
        """
        return self.metadata_ahead(file).result()

    def metadata_ahead(self, file: IndexFile) -> Future[WheelMetadata]:
        """Begin to fetch a wheel's metadata, unless that was done before."""
        return self._once(self._metadata, file.sha256, lambda _: self._find_metadata(file))

    def dependencies(self, candidate: WheelCandidate) -> Sequence[str]:
        """Return a candidate's PEP 508 requirements; see `metadata` for what is raised."""
        return self.metadata(candidate.file).requires_dist

    def metadata_with_scripts(self, file: IndexFile) -> WheelMetadata:
        """Return a wheel's metadata with `scripts`, which a separate metadata file does not tell; see `metadata`."""
        metadata = self.metadata(file)
        if metadata.scripts is not None:
            return metadata
        complete = read_wheel(self._http, file)
        self._metadata_cache.save(file.sha256, complete.to_json())
        return complete

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

    def fetch_url(self, package: Package, file: File) -> str:
        """Return where a locked file can be fetched now: found on its project's page by name and sha256.

        Raises:
            FileGone: The index no longer has it.
            UnknownPackage: The index no longer has the project. For the rest see `page`.
        """
        for find in (self.page, self._fetch_page):
            for offered in find(package.name).files(Version(package.version)):
                if offered.name == file.name and offered.sha256 == file.sha256:
                    return offered.url
            if self._offline:
                break
        raise FileGone(package=package.id, file=file.name, sha256=file.sha256, index=self.url)

    def _once(self, begun: dict[str, Future[_T]], key: str, work: Callable[[str], _T]) -> Future[_T]:
        known = begun.get(key)
        if known is not None:  # nearly always: then do without the lock
            return known
        with self._lock:
            if key not in begun:
                begun[key] = self._workers.submit(work, key)
            return begun[key]

    def _choose(self, name: str, version: Version, target: PythonTarget) -> WheelCandidate | None:
        ranked = [
            (file.yanked, rank, build_order(file.name), file.name, file)
            for file in self.page(name).files(version)
            if file.is_wheel
            and (rank := best_rank(file.name, target)) is not None
            and _python_allows(file.requires_python, target.full_python)
            and not self._too_new(file)
        ]
        if not ranked:
            return None
        file = min(ranked, key=lambda item: item[:4])[4]
        if not file.sha256:
            raise MissingHash(file=file.name, index=self.url)
        return WheelCandidate(name=name, version=version, file=file)

    def _too_new(self, file: IndexFile) -> bool:
        if self.exclude_newer is None:
            return False
        try:
            uploaded = datetime.fromisoformat(file.uploaded)
        except ValueError:
            return True
        return (uploaded if uploaded.tzinfo else uploaded.replace(tzinfo=UTC)) >= self.exclude_newer

    def _find_page(self, name: str) -> ProjectPage:
        kept = self._pages_cache.load(self._page_key(name))
        if kept and (self._offline or (not self._refresh and self._pages_cache.age(kept) < self._ttl)):
            return ProjectPage.from_cache(kept.body)
        return self._fetch_page(name, kept)

    def _fetch_page(self, name: str, kept: Entry | None = None) -> ProjectPage:
        answer = self._ask_for_page(name, kept)
        if answer.status == _NOT_FOUND:
            raise UnknownPackage(kind=Kind.PYPI, name=name, index=self.url)
        answer.checked()
        if answer.status == _NOT_MODIFIED and kept:
            page, body, validators = ProjectPage.from_cache(kept.body), kept.body, kept.validators
        else:
            page = _parse_page(answer)
            body = page.to_cache()
            validators = {key: answer.headers[key] for key in ("etag", "last-modified") if key in answer.headers}
        self._pages_cache.save(self._page_key(name), body, validators=validators)
        return page

    def _ask_for_page(self, name: str, kept: Entry | None) -> Response:
        headers = {"Accept": ACCEPT}
        known = kept.validators if kept else {}
        if "etag" in known:
            headers["If-None-Match"] = known["etag"]
        elif "last-modified" in known:
            headers["If-Modified-Since"] = known["last-modified"]
        first: Unreachable | None = None
        for base in (self.url, *self._mirrors):
            try:
                return self._http.get(f"{base}{name}/", headers=headers)
            except Unreachable as error:
                first = first or error
        raise first or AssertionError

    def _page_key(self, name: str) -> str:
        return f"{self.url}{name}/"

    def _find_metadata(self, file: IndexFile) -> WheelMetadata:
        kept = self._metadata_cache.load(file.sha256)
        if kept:
            try:
                return WheelMetadata.from_json(kept.body)
            except (ValueError, TypeError, KeyError):
                pass  # of another release: read it again
        metadata = self._separate_metadata(file) if file.core_metadata else None
        metadata = metadata or read_wheel(self._http, file)
        self._metadata_cache.save(file.sha256, metadata.to_json())
        return metadata

    def _separate_metadata(self, file: IndexFile) -> WheelMetadata | None:
        what = f"{file.name}.metadata"
        answer = self._http.get(f"{file.url}.metadata")
        if answer.status == _NOT_FOUND:
            return None  # advertised, and not there: some mirrors do that
        data = answer.checked().data
        if file.core_metadata != "?" and sha256_bytes(data) != file.core_metadata:
            raise BadAnswer(what=what, why="its bytes do not have the sha256 that the index gives")
        try:
            return WheelMetadata.parse(data)
        except ValueError as error:
            raise BadAnswer(what=what, why=str(error)) from error


def _parse_page(answer: Response) -> ProjectPage:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"text/html", "application/vnd.pypi.simple.v1+html"}:
        return ProjectPage.from_html(answer.data, answer.url)
    return ProjectPage.from_json(answer.data, answer.url)


@lru_cache(maxsize=4096)
def _python_allows(requires_python: str, python: str) -> bool:
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True  # as pip has it: a few old packages write what no rule covers
