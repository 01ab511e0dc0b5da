"""npm packages from registries: documents and manifests, cached, fetched concurrently."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from hatchlock.address import Kind
from hatchlock.digest import algorithm_of
from hatchlock.lock.model import File, Package
from hatchlock.net.cache import Cache, Entry
from hatchlock.net.http import Http, Offline, Refused, Response, Unreachable
from hatchlock.net.mirrors import first_answer
from hatchlock.sources.base import BadAnswer, FileGone, UnknownPackage
from hatchlock.sources.npm.candidate import NpmCandidate, candidate_of
from hatchlock.sources.npm.facts import NpmFacts, facts_of, hashes, install_script
from hatchlock.sources.npm.indexes import Indexes, NpmIndex
from hatchlock.sources.npm.names import Wanted, check_name, parse_wanted, url_name
from hatchlock.sources.npm.npmrc import Npmrc, read_npmrc
from hatchlock.sources.npm.offer import offer, too_new
from hatchlock.sources.npm.packument import Packument
from hatchlock.sources.npm.program import find_npm
from hatchlock.sources.npm.ranges import NpmVersion

__all__ = ["NpmCandidate", "NpmFacts", "NpmRefused", "NpmSource"]

_T = TypeVar("_T")
_NOT_FOUND = 404
_NOT_MODIFIED = 304
_FIRST_ERROR = 400
_REFUSED = frozenset({401, 403})
_DEFAULT_TTL = 600.0
_FULL = "application/json"
_SHORT = "application/vnd.npm.install-v1+json, application/json;q=0.8"
# Raised when the forms below cache_dir change; old directories are left to the cache's cleaning.
_CACHE_FORM = "1"


@dataclass(kw_only=True, eq=False)
class NpmRefused(Refused):
    """A registry wants credentials that it did not get, or does not accept those that it got."""

    def _hint(self) -> str:
        host = urlsplit(self.url).netloc
        return f"put //{host}/:_authToken=${{TOKEN}} into .npmrc and set TOKEN, or run `npm login` for that registry"


class NpmSource:
    """npm's registries as a `Source`. For any number of threads; every document is fetched at most once.

    Args:
        http: Asks the registries.
        cache_dir: Where documents (for `ttl`) and facts about versions (for ever, by their hash) are kept.
        environ: What the user's npm is set up by: `npm_config_*`, HOME, PATH.
        project: The directory whose `.npmrc` counts too.
        indexes: What the manifest declares; see `Indexes` for who has which name.
        exclude_newer: Versions uploaded at this moment or later do not exist; nor do those whose time is not known.
        ttl: Seconds for which a document is not asked for again, unless its index says otherwise. Then it is confirmed by
            ETag or Last-Modified, if there was any.
        offline: Use cached documents of any age and ask nobody.
        refresh: Ask again for every document.

    Attributes:
        stale: Names for which an older answer than `ttl` allows had to do, because nobody could be asked -> its age in
            seconds.
        answers: What npm's resolver said, for `memory`.
        closed: Set when nothing more is wanted.

    Raises:
        BadNpmrc: The user's configuration cannot be read.
    """

    kind = Kind.NPM

    def __init__(
        self,
        *,
        http: Http,
        cache_dir: Path,
        environ: Mapping[str, str],
        project: Path | None = None,
        indexes: Sequence[NpmIndex] = (),
        exclude_newer: datetime | None = None,
        ttl: float = _DEFAULT_TTL,
        offline: bool = False,
        refresh: bool = False,
    ) -> None:
        self.stale: dict[str, float] = {}
        self.exclude_newer = exclude_newer
        self.environ = environ
        self.closed = threading.Event()
        self.npmrc: Npmrc = read_npmrc(environ, project)
        self._indexes = Indexes(indexes, self.npmrc, lambda: find_npm(environ).default_registry())
        self._http = http
        self._ttl = ttl
        self._offline = offline or http.offline
        self._refresh = refresh
        self._documents_cache = Cache(cache_dir / f"documents-{_CACHE_FORM}")
        self._facts_cache = Cache(cache_dir / f"facts-{_CACHE_FORM}")
        self.answers = Cache(cache_dir / f"trees-{_CACHE_FORM}")
        self._tarballs_cache = Cache(cache_dir / "tarballs")
        # those who read facts wait for documents: in one pool they could wait for each other
        self._workers = ThreadPoolExecutor(http.threads, thread_name_prefix="npm")
        self._readers = ThreadPoolExecutor(http.threads, thread_name_prefix="npm-facts")
        self._lock = threading.Lock()
        self._documents: dict[str, Future[Packument]] = {}
        self._full: dict[str, Future[Packument]] = {}
        self._facts: dict[str, Future[NpmFacts]] = {}
        self._candidates: dict[tuple[str, str], NpmCandidate] = {}
        self._dead: dict[str, Unreachable] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was asked for ahead of need and not begun, and end npm; the rest ends by itself."""
        self.closed.set()
        for pool in (self._readers, self._workers):
            pool.shutdown(wait=False, cancel_futures=True)

    def packument(self, name: str) -> Packument:
        """Return the document of a package.

        Raises:
            BadNpmName: No package can have that name.
            ClaimedTwice: Two indexes claim it.
            UnknownPackage: Its index has no such package.
            Refused: The index wants (other) credentials.
            Unreachable: Neither it nor a mirror answers, and nothing is in the cache.
            BadAnswer: It answers something else than a document.
        """
        return self.packument_ahead(name).result()

    def packument_ahead(self, name: str) -> Future[Packument]:
        """Begin to fetch a document, unless that was done before."""
        return self._document(self._documents, name, full=self.exclude_newer is not None)

    def versions(self, name: str) -> Sequence[NpmVersion]:
        """Return every version on the index, newest first; see `packument` for what is raised."""
        return self.packument(name).versions

    def dist_tags(self, name: str) -> Mapping[str, NpmVersion]:
        """Return dist-tag -> version, as far as versions may be used; see `packument` for what is raised."""
        return offer(self.packument(name), exclude_newer=self.exclude_newer).tags

    def candidate(self, name: str, version: NpmVersion) -> NpmCandidate | None:
        """Return a version, or None if there is no such one, or it may not be used.

        Deprecated ones count; whoever chooses looks at `deprecated`.

        Raises:
            MissingHash: The index gives no SHA-512 or SHA-256 for its file. For the rest see `packument`.
        """
        document = self.packument(name)
        spelling = document.spelling(version)
        if spelling is None or too_new(document, version, self.exclude_newer):
            return None
        key = (name, spelling)
        if key not in self._candidates:
            # two threads may both make one; all get what came first
            self._candidates.setdefault(key, candidate_of(document, version, self._indexes.of(name)))
        return self._candidates[key]

    def pick(self, name: str, wanted: str, *, node: str = "") -> Iterator[NpmCandidate]:
        """Yield the candidates that a range or a dist-tag would do with, in the order in which npm prefers them.

        Args:
            name: The package.
            wanted: "^1.2", "next"; "" or `*` for any.
            node: See `Offer.ranked`.

        Raises:
            MissingHash: The next one has no hash that can be locked. For the rest see `packument`.
        """
        asked = parse_wanted(name, wanted) or Wanted(name=name, spec=wanted, form="tag")
        for version in offer(self.packument(name), exclude_newer=self.exclude_newer).ranked(asked, node=node):
            if (found := self.candidate(name, version)) is not None:
                yield found

    def describe(self, name: str, version: NpmVersion) -> NpmFacts:
        """Return what people want to know of a version.

        Raises:
            KeyError: There is no such version. For the rest see `packument`.
        """
        return self.describe_ahead(name, version).result()

    def describe_ahead(self, name: str, version: NpmVersion) -> Future[NpmFacts]:
        """Begin to find out what people want to know of a version, unless that was done before."""
        return self._once(
            self._facts, f"{name}@{version}", lambda: self._readers.submit(self._find_facts, name, version)
        )

    def uploaded(self, name: str, version: NpmVersion) -> str:
        """Return when a version was published, RFC 3339, or "" if the index does not say; see `describe`."""
        document = self.packument(name)
        if not document.full:
            document = self._document(self._full, name, full=True).result()
        spelling = document.spelling(version)
        if spelling is None:
            raise KeyError(f"{name}@{version}")
        return document.release(spelling).uploaded

    def fetch_url(self, package: Package, file: File) -> str:
        """Return where a locked file can be fetched now: found in its package's document by version and hash.

        Raises:
            FileGone: The index no longer has it.
            UnknownPackage: The index no longer has the package. For the rest see `packument`.
        """
        version = NpmVersion.parse(package.version)
        index = self._indexes.of(package.name)
        for find in (self.packument, partial(self._fetch, index, full=False, kept=None)):
            document = find(package.name)
            spelling = document.spelling(version)
            if spelling is not None:
                release = document.release(spelling)
                if file.digest in hashes(release.integrity).values():
                    return release.tarball
            if self._offline:
                break
        raise FileGone(package=package.id, file=file.name, digest=file.digest, index=index.url)

    def tarball(self, candidate: NpmCandidate) -> bytes:
        """Return a version's file, checked against its hash, and kept: for the few whose tree only the file tells.

        Raises:
            BadAnswer: It has other bytes than the index says. For the rest see `packument`.
        """
        digest = candidate.file.digest
        kept = self._tarballs_cache.load(digest)
        if kept and _has_digest(kept.body, digest):
            return kept.body
        if self._offline:
            raise Offline(url=candidate.url)
        data = self._http.get(candidate.url, headers=self.headers(candidate.url)).checked().data
        if not _has_digest(data, digest):
            raise BadAnswer(
                what=candidate.url, why=f"its bytes do not have the {algorithm_of(digest)} that the index gives"
            )
        self._tarballs_cache.save(digest, data)
        return data

    def headers(self, url: str) -> dict[str, str]:
        """Return what a request to `url` has to carry: the credentials that .npmrc has for it, if any."""
        authorization = self.npmrc.authorization(url)
        return {"Authorization": authorization} if authorization else {}

    def _document(self, begun: dict[str, Future[Packument]], name: str, *, full: bool) -> Future[Packument]:
        return self._once(begun, name, lambda: self._workers.submit(self._find, name, full=full))

    def _once(self, begun: dict[str, Future[_T]], key: str, begin: Callable[[], Future[_T]]) -> Future[_T]:
        known = begun.get(key)
        if known is not None:
            return known
        with self._lock:
            if key not in begun:
                begun[key] = begin()
            return begun[key]

    def _find(self, name: str, *, full: bool) -> Packument:
        index = self._indexes.of(check_name(name))
        kept = self._documents_cache.load(_key(index, name))
        age = self._documents_cache.age(kept) if kept else 0.0
        ttl = self._ttl if index.ttl is None else index.ttl
        known = Packument.from_cache(kept.body) if kept else None
        enough = known is not None and (known.full or not full)
        if known and enough and age < ttl and not self._refresh:
            return known
        try:
            return self._fetch(index, name, full=full, kept=kept if enough else None)
        except Unreachable:
            if self._documents_cache.load(_absence(index, name)):
                raise UnknownPackage(kind=Kind.NPM, name=name, index=index.url) from None
            if known is None or not enough or self._refresh:
                raise
        if age >= ttl:
            self.stale[name] = age
        return known

    def _fetch(self, index: NpmIndex, name: str, *, full: bool, kept: Entry | None) -> Packument:
        form = _FULL if full else _SHORT
        validators = dict(kept.validators) if kept and kept.validators.get("accept") == form else {}
        headers = {"Accept": form}
        if "etag" in validators:
            headers["If-None-Match"] = validators["etag"]
        elif "last-modified" in validators:
            headers["If-Modified-Since"] = validators["last-modified"]
        answer = self._ask(index, url_name(name), headers)
        if answer.status == _NOT_FOUND:
            raise self._remember_absence(index, name)
        if answer.status == _NOT_MODIFIED and kept:
            document, body = Packument.from_cache(kept.body), kept.body
        else:
            document = Packument.from_json(answer.checked().data, name=name, url=answer.url, full=full)
            if not document.versions:
                raise self._remember_absence(index, name)
            body = document.to_cache()
            validators = {key: answer.headers[key] for key in ("etag", "last-modified") if key in answer.headers}
            validators["accept"] = form
        self._documents_cache.save(_key(index, name), body, validators=validators)
        return document

    def _remember_absence(self, index: NpmIndex, name: str) -> UnknownPackage:
        """For those who ask offline: packages that trees can do without are often nowhere."""
        self._documents_cache.save(_absence(index, name), b"")
        return UnknownPackage(kind=Kind.NPM, name=name, index=index.url)

    def _ask(self, index: NpmIndex, path: str, headers: Mapping[str, str]) -> Response:
        if self._offline:
            raise Offline(url=f"{index.url}{path}")

        def ask(base: str) -> Response:
            url = f"{self._http.credentials.learn(base)}{path}"
            answer = self._http.get(url, headers={**headers, **self.headers(url)})
            if answer.status in _REFUSED:
                raise NpmRefused(url=answer.url, status=answer.status)
            return answer

        return first_answer((index.url, *index.mirrors), ask, dead=self._dead)

    def _find_facts(self, name: str, version: NpmVersion) -> NpmFacts:
        document = self.packument(name)
        spelling = document.spelling(version)
        if spelling is None:
            raise KeyError(f"{name}@{version}")
        release = document.release(spelling)
        script = bool(document.manifest(spelling).get("hasInstallScript"))
        if document.full:
            return facts_of(document.about(spelling), release.signature, script=script)
        index = self._indexes.of(name)
        key = f"{index.url}{name}@{spelling} {release.integrity}"
        kept = self._facts_cache.load(key)
        if kept:
            try:
                return NpmFacts(**json.loads(kept.body))
            except (ValueError, TypeError):
                pass  # of another release: ask again
        found = self._ask_for_facts(index, name, version, spelling)
        self._facts_cache.save(key, json.dumps(asdict(found)).encode())
        return found

    def _ask_for_facts(self, index: NpmIndex, name: str, version: NpmVersion, spelling: str) -> NpmFacts:
        """From the document of the one version, which is small; from everything, where a registry has no such documents."""
        answer = self._ask(index, f"{url_name(name)}/{spelling}", {"Accept": _FULL})
        manifest = _manifest(answer)
        if manifest.get("version") == spelling:
            dist = manifest.get("dist") or {}
            offered = "attested" if dist.get("attestations") else "signed" if dist.get("signatures") else "unsigned"
            return facts_of(manifest, offered, script=install_script(manifest))
        document = self._document(self._full, name, full=True).result()
        known = document.spelling(version)
        if known is None:
            raise BadAnswer(what=f"{index.url}{url_name(name)}", why=f"it no longer has {spelling}")
        script = bool(document.manifest(known).get("hasInstallScript"))
        return facts_of(document.about(known), document.release(known).signature, script=script)


def _key(index: NpmIndex, name: str) -> str:
    return f"{index.url}{name}"


def _absence(index: NpmIndex, name: str) -> str:
    return f"{_key(index, name)} absent"


def _has_digest(data: bytes, digest: str) -> bool:
    return hashlib.new(algorithm_of(digest), data).hexdigest() == digest


def _manifest(answer: Response) -> Mapping[str, Any]:
    if answer.status >= _FIRST_ERROR:
        return {}
    try:
        found = json.loads(answer.data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
