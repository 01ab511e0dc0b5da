"""Fetching the document of a Hatch registry: by date, from mirrors, from a file, kept for a while."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hatchlock.address import Kind
from hatchlock.net.cache import Cache, Entry
from hatchlock.net.http import Http, Offline, Response, Unreachable
from hatchlock.net.mirrors import first_answer

__all__ = ["DEFAULT_URL", "HatchIndex", "IndexDocuments", "file_of"]

DEFAULT_URL = "https://github.com/CrackingShells/Hatch-Registry/releases/download/{date}/hatch_packages_registry.json"
"""Where Hatch's own registry is; `{date}` is the day (UTC) of a release, which there is for most days."""

_DATE = "{date}"
_DAYS = 8
_LARGEST = 128 << 20
_NOT_FOUND = 404
_NOT_MODIFIED = 304


@dataclass(frozen=True, kw_only=True, slots=True)
class HatchIndex:
    """A registry.

    Attributes:
        name: As the lock records it.
        url: The address of its document: https, http or file; `{date}` in it stands for the newest day, of the last eight,
            that has one. "" for Hatch's own registry.
        mirrors: Further addresses that serve the same, asked in order when the one before cannot be reached.
        ttl: Seconds for which the document is not asked for again; None for the usual.
        packages: Patterns of the names that it alone serves (`acme_*`); empty: it serves what no other one claims.
    """

    name: str = str(Kind.HATCH)
    url: str = ""
    mirrors: tuple[str, ...] = ()
    ttl: float | None = None
    packages: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Its address, also where it does not say one."""
        return self.url or DEFAULT_URL

    def claims(self, name: str) -> bool:
        """Return whether a package is one of those that it alone serves."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.packages)


class IndexDocuments:
    """The documents of registries, each asked for at most once, and kept.

    The age of what is kept is that of the last time when its server gave it or confirmed it.

    Args:
        http: Asks the registries.
        cache: Where documents are kept.
        ttl: Seconds for which a document is not asked for again, unless its index says otherwise.
        offline: Use what is kept, of whatever age, and ask nobody.
        refresh: Ask again.
        now: The time.

    Attributes:
        stale: Index -> age in seconds of an older answer than `ttl` allows, which had to do because nobody could be asked.
    """

    def __init__(
        self, *, http: Http, cache: Cache, ttl: float, offline: bool, refresh: bool, now: Callable[[], datetime]
    ) -> None:
        self.stale: dict[str, float] = {}
        self._http = http
        self._cache = cache
        self._ttl = ttl
        self._offline = offline or http.offline
        self._refresh = refresh
        self._now = now

    def get(self, index: HatchIndex) -> bytes:
        """Return an index's document.

        Raises:
            Refused: The index wants (other) credentials.
            Unreachable: Neither it nor a mirror answers, and nothing is kept; with `refresh`, even if something is.
            Offline: Likewise, because nobody may be asked.
            OSError: Its file cannot be read.
        """
        if path := file_of(index.address):
            return path.read_bytes()
        kept = self._cache.load(index.address)
        age = self._cache.age(kept) if kept else 0.0
        ttl = self._ttl if index.ttl is None else index.ttl
        if kept and age < ttl and not self._refresh:
            return kept.body
        try:
            return self._fetch(index, kept)
        except Unreachable:
            if kept is None or self._refresh:
                raise
        if age >= ttl:
            self.stale[index.name] = age
        return kept.body

    def _fetch(self, index: HatchIndex, kept: Entry | None) -> bytes:
        if self._offline:
            raise Offline(url=index.address)
        answer = first_answer((index.address, *index.mirrors), lambda base: self._newest(base, kept))
        if answer.status == _NOT_MODIFIED and kept:
            body, validators = kept.body, dict(kept.validators)
        else:
            body, validators = answer.checked().data, {"url": answer.url}
            validators |= {"etag": answer.headers["etag"]} if "etag" in answer.headers else {}
        self._cache.save(index.address, body, validators=validators)
        return body

    def _newest(self, base: str, kept: Entry | None) -> Response:
        """Return the answer for the newest day that has a document; the address without a date has only itself."""
        today = self._now().astimezone(UTC).date()
        days = range(_DAYS) if _DATE in base else range(1)
        for day in days:
            url = base.replace(_DATE, (today - timedelta(days=day)).isoformat())
            answer = self._http.get(url, headers=_conditions(kept, url), at_most=_LARGEST)
            if answer.status != _NOT_FOUND:
                return answer
        return answer


def file_of(url: str) -> Path | None:
    """Return the file that a `file:` address names, or None for any other address."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _conditions(kept: Entry | None, url: str) -> Mapping[str, str]:
    if kept and kept.validators.get("url") == url and "etag" in kept.validators:
        return {"If-None-Match": kept.validators["etag"]}
    return {}
