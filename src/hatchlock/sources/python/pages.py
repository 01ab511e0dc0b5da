"""The pages of Python indexes: fetched once, kept for a while, confirmed rather than fetched again."""

from __future__ import annotations

from pathlib import Path

from hatchlock.address import Kind
from hatchlock.net.cache import Cache, Entry
from hatchlock.net.http import Http, Response, Unreachable
from hatchlock.net.mirrors import first_answer
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.python.indexes import PythonIndex
from hatchlock.sources.python.simple import ACCEPT, ProjectPage

__all__ = ["Pages"]

_NOT_FOUND = 404
_NOT_MODIFIED = 304
# Raised when the form of what is kept changes; old directories are left to the cache's cleaning.
_CACHE_FORM = "pages-2"


class Pages:
    """Asks indexes for pages, in whatever thread it is called from.

    Args:
        http: Asks the index.
        cache_dir: Where pages are kept.
        offline: Use pages of any age and ask nobody.
        refresh: Ask again for every page.

    Attributes:
        stale: Name -> seconds: pages that were older than their index allows, because it could not be asked.
    """

    def __init__(self, *, http: Http, cache_dir: Path, offline: bool, refresh: bool) -> None:
        self.stale: dict[str, float] = {}
        self._http = http
        self._offline = offline
        self._refresh = refresh
        self._dead: dict[str, Unreachable] = {}
        self._cache = Cache(cache_dir / _CACHE_FORM)

    def fresh(self, index: PythonIndex, name: str) -> ProjectPage | None:
        """Return a project's page if it is kept and young enough; asks nobody."""
        kept = None if self._refresh else self._cache.load(_key(index, name))
        return _read(kept) if kept and index.keeps(self._cache.age(kept)) else None

    def find(self, index: PythonIndex, name: str) -> ProjectPage:
        """Return a project's page: the kept one within the index's TTL, or when the index cannot be reached.

        Raises:
            UnknownPackage: The index has no such project.
            Refused: It wants credentials.
            Unreachable: Neither it nor a mirror answers, and nothing is kept (or `refresh` asks for news).
            BadAnswer: It answers something else than a page.
        """
        kept = self._cache.load(_key(index, name))
        page = _read(kept) if kept else None
        if kept is None or page is None:
            return self.fetch(index, name)
        age = self._cache.age(kept)
        if index.keeps(age) and not self._refresh:
            return page
        if self._offline:
            return self._as_stale(name, page, age)
        try:
            return self.fetch(index, name, kept, page)
        except Unreachable:
            if self._refresh:
                raise
            return self._as_stale(name, page, age)

    def fetch(
        self, index: PythonIndex, name: str, kept: Entry | None = None, known: ProjectPage | None = None
    ) -> ProjectPage:
        """Return a project's page as the index has it now; see `find`.

        Args:
            index: Whom to ask.
            name: Normalised.
            kept: An older answer, to ask whether it changed.
            known: The page in it.
        """
        answer = self._ask(index, name, kept)
        if answer.status == _NOT_FOUND:
            raise UnknownPackage(kind=Kind.PYPI, name=name, index=index.url)
        answer.checked()
        if answer.status == _NOT_MODIFIED and kept and known:
            self._cache.save(_key(index, name), kept.body, validators=kept.validators)
            return known
        page = _parse(answer)
        validators = {key: answer.headers[key] for key in ("etag", "last-modified") if key in answer.headers}
        self._cache.save(_key(index, name), page.to_cache(), validators=validators)
        return page

    def _as_stale(self, name: str, page: ProjectPage, age: float) -> ProjectPage:
        self.stale[name] = age
        return page

    def _ask(self, index: PythonIndex, name: str, kept: Entry | None) -> Response:
        headers = {"Accept": ACCEPT}
        known = kept.validators if kept else {}
        if "etag" in known:
            headers["If-None-Match"] = known["etag"]
        elif "last-modified" in known:
            headers["If-Modified-Since"] = known["last-modified"]

        def ask(base: str) -> Response:
            return self._http.get(f"{base}{name}/", headers=headers)

        return first_answer(index.bases, ask, dead=self._dead)


def _key(index: PythonIndex, name: str) -> str:
    return f"{index.url}{name}/"


def _read(kept: Entry) -> ProjectPage | None:
    try:
        return ProjectPage.from_cache(kept.body)
    except ValueError:
        return None


def _parse(answer: Response) -> ProjectPage:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"text/html", "application/vnd.pypi.simple.v1+html"}:
        return ProjectPage.from_html(answer.data, answer.url)
    return ProjectPage.from_json(answer.data, answer.url)
