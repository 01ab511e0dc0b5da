"""The MCP registry's interface (`/v0.1`), cached: versions for ever, what changes for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from hatchlock.address import Kind
from hatchlock.net.cache import Cache
from hatchlock.net.cache import Entry as Kept
from hatchlock.net.http import Http, Offline, Response, Unreachable
from hatchlock.net.mirrors import first_answer
from hatchlock.net.registry_places import is_loopback
from hatchlock.sources.base import BadAnswer, UnknownPackage
from hatchlock.sources.mcp_registry.declared import LATEST
from hatchlock.sources.mcp_registry.entry import DELETED, UNKNOWN, Entry, Status, entry_of

__all__ = ["DEFAULT_URL", "Found", "McpRegistry", "UnknownEntry"]

DEFAULT_URL = "https://registry.modelcontextprotocol.io"
"""The official registry."""

_DEFAULT_TTL = 600.0
_NOT_FOUND = 404
_PAGE = 100
_ANSWER_AT_MOST = 32 << 20
_PAGES_AT_MOST = 20
_FORGES = ("io.github.", "io.gitlab.", "com.github.", "com.gitlab.")
# Raised when the form below cache_dir changes; old directories are left to the cache's cleaning.
_CACHE_FORM = "1"


@dataclass(kw_only=True, eq=False)
class UnknownEntry(UnknownPackage):
    """The registry has no server of that name, or not that version of it."""

    version: str = ""

    def __str__(self) -> str:
        what = f"version {self.version} of {self.name}" if self.version else self.name
        return f"the MCP registry {self.index} has no {what}"

    def _hint(self) -> str:
        if self.version:
            return f"leave the version out to take the newest, mcp:{self.name}"
        return f"`hatchlock search {self.name.rpartition('/')[2]}` looks for it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search came to.

    Attributes:
        entries: The newest version of each server, the best matches first.
        complete: Whether everything was looked at; the registry may have more than anybody wants to see.
    """

    entries: tuple[Entry, ...]
    complete: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    items: tuple[Any, ...]
    complete: bool


class McpRegistry:
    """A registry of MCP servers. For any number of threads.

    A version never changes, so it is asked for once; which version is the newest, what the registry says of a version,
    and what it has, is asked again after `ttl`.

    Args:
        http: Asks it.
        cache_dir: Where answers are kept.
        url: Its base address, without `/v0.1`; "" for the official one.
        mirrors: Further addresses that serve the same, asked in order when the one before cannot be reached.
        ttl: Seconds for which an answer that may change is not asked for again.
        offline: Use cached answers of any age and ask nobody.
        refresh: Ask again for every answer.

    Attributes:
        url: Its base address.
        is_local: Whether that is on this machine.
        stale: What an older answer than `ttl` allows had to do for, because nobody could be asked -> its age in seconds.
    """

    kind = Kind.MCP

    def __init__(
        self,
        *,
        http: Http,
        cache_dir: Path,
        url: str = "",
        mirrors: Sequence[str] = (),
        ttl: float = _DEFAULT_TTL,
        offline: bool = False,
        refresh: bool = False,
    ) -> None:
        self.stale: dict[str, float] = {}
        self.url = (url or DEFAULT_URL).rstrip("/")
        self.is_local = is_loopback(urlsplit(self.url).netloc.rpartition("@")[2])
        self._bases = (self.url, *(mirror.rstrip("/") for mirror in mirrors))
        self._http = http
        self._cache = Cache(cache_dir / f"mcp-{_CACHE_FORM}")
        self._ttl = ttl
        self._offline = offline or http.offline
        self._refresh = refresh
        self._dead: dict[str, Unreachable] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Its connections are those of `http`, which are closed with it."""

    def entry(self, name: str, version: str = LATEST) -> Entry:
        """Return a version of a server, or its newest one.

        An exact version that was fetched before is taken from the cache, whatever its age; its status is then as old. A
        deleted one is returned too.

        Raises:
            UnknownEntry: The registry has no such server or version.
            Refused: It wants (other) credentials.
            Unreachable: Neither it nor a mirror answers, and nothing is in the cache.
            BadAnswer: It answers something else than that entry.
        """
        for_ever = (version or LATEST) != LATEST
        return self._entry(name, version or LATEST, ttl=float("inf") if for_ever else self._ttl)

    def status(self, name: str, version: str) -> Status:
        """Return what the registry says of an exact version now.

        If it cannot be asked, it is what it said last, else "unknown": no plan fails for want of this. What the registry
        has no more is "deleted".

        Raises:
            Refused: It wants (other) credentials.
            BadAnswer: It answers something else than that entry.
        """
        try:
            entry = self._entry(name, version, ttl=self._ttl)
        except UnknownPackage:
            return Status(status=DELETED, message="the registry has it no more")
        except Unreachable:
            return Status(status=UNKNOWN)
        return Status(status=entry.status, message=entry.status_message)

    def versions(self, name: str) -> tuple[Entry, ...]:
        """Return the versions of a server that are not deleted, the one that was published last first.

        What cannot be read of the list is left out.

        Raises:
            UnknownEntry, Refused, Unreachable, BadAnswer: See `entry`.
        """
        listed = self._listed(
            f"{_path(name)}/versions", {}, unknown=UnknownEntry(kind=self.kind, name=name, index=self.url)
        )
        found = [entry for entry in _readable(listed.items, self.url) if entry.name == name]
        return tuple(sorted(found, key=lambda entry: (entry.published, entry.version), reverse=True))

    def search(self, words: Sequence[str]) -> Found:
        """Return the servers whose name, title or description together hold every word, whatever its case.

        The registry itself looks for words in names only, so one of them has to be in the name. Servers with more of the
        words in the last part of their name come first, then those with shorter names.

        Args:
            words: At least one.

        Raises:
            Refused, Unreachable, BadAnswer: See `entry`.
        """
        wanted = sorted({word.lower() for word in words if word})
        parts = [part for word in wanted for part in _parts_of_names(word)]
        listed = [self._listed("servers", {"search": part, "version": LATEST}) for part in parts]
        entries = {entry.name: entry for part in listed for entry in _readable(part.items, self.url)}
        fitting = [entry for entry in entries.values() if all(word in _text_of(entry) for word in wanted)]
        ranked = sorted(fitting, key=lambda entry: _rank(entry, wanted))
        return Found(entries=tuple(ranked), complete=all(part.complete for part in listed))

    def _entry(self, name: str, version: str, *, ttl: float) -> Entry:
        key = f"{self.url} {name}@{version}"
        what = f"what {self.url} says of {name}@{version}"
        kept = self._cache.load(key)
        if kept and self._is_fresh(kept, ttl):
            return _named(entry_of(_json(kept.body, what=what), what=what), name, version, what=what)
        query = "" if version == LATEST else "?include_deleted=true"
        path = f"{_path(name)}/versions/{quote(version, safe='')}{query}"
        unknown = UnknownEntry(kind=self.kind, name=name, index=self.url, version="" if version == LATEST else version)
        try:
            answer = self._ask(path, unknown=unknown)
        except Unreachable:
            if kept is None or self._refresh:
                raise
            self._note_age(f"{name}@{version}", kept, ttl)
            return _named(entry_of(_json(kept.body, what=what), what=what), name, version, what=what)
        entry = _named(entry_of(_json(answer.data, what=answer.url), what=answer.url), name, version, what=answer.url)
        for known in {version, entry.version}:
            self._cache.save(f"{self.url} {name}@{known}", answer.data)
        return entry

    def _listed(self, path: str, query: Mapping[str, str], *, unknown: UnknownPackage | None = None) -> _Listed:
        key = f"{self.url} {path} {urlencode(query)}"
        kept = self._cache.load(key)
        if kept and self._is_fresh(kept, self._ttl):
            return _from_cache(kept)
        try:
            listed = self._all_pages(path, query, unknown)
        except Unreachable:
            if kept is None or self._refresh:
                raise
            self._note_age(query.get("search", path), kept, self._ttl)
            return _from_cache(kept)
        self._cache.save(key, json.dumps([listed.items, listed.complete]).encode())
        return listed

    def _all_pages(self, path: str, query: Mapping[str, str], unknown: UnknownPackage | None) -> _Listed:
        """Follow the cursors, which are the registry's own business, until there is none."""
        pages = _Pages()
        while len(pages.seen) < _PAGES_AT_MOST:
            cursor = {"cursor": pages.cursor} if pages.cursor else {}
            words = urlencode({**query, "limit": str(_PAGE), **cursor})
            answer = self._ask(f"{path}?{words}", unknown=unknown)
            pages.add(_json(answer.data, what=answer.url), what=answer.url)
            if not pages.cursor:
                return _Listed(items=tuple(pages.items), complete=True)
        return _Listed(items=tuple(pages.items), complete=False)

    def _is_fresh(self, kept: Kept, ttl: float) -> bool:
        return not self._refresh and self._cache.age(kept) < ttl

    def _note_age(self, what: str, kept: Kept, ttl: float) -> None:
        if (age := self._cache.age(kept)) >= ttl:
            self.stale[what] = age

    def _ask(self, path: str, *, unknown: UnknownPackage | None) -> Response:
        if self._offline:
            raise Offline(url=f"{self.url}/v0.1/{path}")

        def ask(base: str) -> Response:
            url = f"{self._http.credentials.learn(base)}/v0.1/{path}"
            return self._http.get(url, headers={"Accept": "application/json"}, at_most=_ANSWER_AT_MOST)

        answer = first_answer(self._bases, ask, dead=self._dead)
        if answer.status == _NOT_FOUND and unknown is not None:
            raise unknown
        return answer.checked()


@dataclass(kw_only=True)
class _Pages:
    """What was read of a list so far."""

    items: list[Any] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    cursor: str = ""

    def add(self, page: Any, *, what: str) -> None:
        """Take in a page.

        Raises:
            BadAnswer: It is none, or leads back to one that was read.
        """
        items = page.get("servers") if isinstance(page, dict) else None
        metadata = page.get("metadata") if isinstance(page, dict) else None
        if not isinstance(items, list) or not isinstance(metadata or {}, dict):
            raise BadAnswer(what=what, why="it holds no list of `servers`")
        following = (metadata or {}).get("nextCursor") or (metadata or {}).get("next_cursor") or ""
        self.seen.append(self.cursor)
        if not isinstance(following, str) or not following.isprintable():
            raise BadAnswer(what=what, why="its list of servers goes on at something that is no cursor")
        if following in self.seen[1:]:
            raise BadAnswer(what=what, why="its list of servers leads back to a page that it gave before")
        self.items += items
        self.cursor = following


def _path(name: str) -> str:
    return f"servers/{quote(name, safe='')}"


def _json(data: bytes, *, what: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadAnswer(what=what, why="it is no JSON") from None


def _from_cache(kept: Kept) -> _Listed:
    items, complete = json.loads(kept.body)
    return _Listed(items=tuple(items), complete=bool(complete))


def _named(entry: Entry, name: str, version: str, *, what: str) -> Entry:
    """An answer about something else would be locked under the name that was asked for."""
    if entry.name != name or version not in {LATEST, entry.version}:
        raise BadAnswer(what=what, why=f"it is about {entry.name}@{entry.version}")
    return entry


def _readable(items: Sequence[Any], url: str) -> Iterator[Entry]:
    """A list is not unreadable because one of thousands of publishers wrote something strange."""
    for item in items:
        try:
            yield entry_of(item, what=url)
        except BadAnswer:
            continue


def _parts_of_names(word: str) -> tuple[str, ...]:
    """What to ask for: of a word that is in the names of all who live on a forge, where it is more than that."""
    return (f"/{word}", f"-{word}") if any(word in forge for forge in _FORGES) else (word,)


def _text_of(entry: Entry) -> str:
    owner = entry.name.lower()
    for forge in _FORGES:
        owner = owner.removeprefix(forge)
    return f"{owner} {entry.server.title} {entry.server.description}".lower()


def _rank(entry: Entry, words: Sequence[str]) -> tuple[int, int, str]:
    last = entry.name.rpartition("/")[2].lower()
    return (-sum(word in last for word in words), len(entry.name), entry.name)
