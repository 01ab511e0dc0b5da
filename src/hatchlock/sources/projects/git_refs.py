"""Which commit a branch, a tag or the beginning of a commit's id means in a repository."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Callable, Mapping, Sequence

from hatchlock.events import Sink
from hatchlock.net.cache import Cache, stale_event
from hatchlock.net.failures import Offline, Unreachable
from hatchlock.sources.projects.git_errors import UnknownRef
from hatchlock.sources.projects.git_reference import GitReference

__all__ = ["Refs"]

_SHORT = re.compile(r"[0-9a-f]{4,63}")


class Refs:
    """What refs mean, each asked for once, and not again for a while. For any number of threads.

    Args:
        cache: Where the answers are kept.
        ttl: Seconds for which they count.
        refresh: Ask again for each.
        list_refs: Asks a repository for refs by their full names, or for all when none is given: full name -> id. Where it
            cannot be asked (`Unreachable`), an answer of any age counts.
        commits: Gives the commits of a repository's whole history that begin so; its third argument is some id of there.
        emit: Told about answers that are too old, and could not be asked for again.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        ttl: float,
        refresh: bool,
        list_refs: Callable[[str, Sequence[str]], Mapping[str, str]],
        commits: Callable[[str, str, str], tuple[str, ...]],
        emit: Sink,
    ) -> None:
        self._cache = cache
        self._ttl = ttl
        self._refresh = refresh
        self._list_refs = list_refs
        self._commits = commits
        self._emit = emit
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], str] = {}

    def commit(self, reference: GitReference) -> str:
        """Return the id of the commit, or of the annotated tag of it, that a reference's ref means.

        Raises:
            UnknownRef: None, or several.
            Unreachable: The repository does not answer, and there is no earlier answer.
        """
        key = (reference.url, reference.ref)
        with self._lock:
            known = self._known.get(key)
        found = known or self._find(reference, "\n".join(key))
        with self._lock:
            return self._known.setdefault(key, found)

    def _find(self, reference: GitReference, name: str) -> str:
        kept = self._cache.load(name)
        if kept is not None and not self._refresh and self._cache.age(kept) < self._ttl:
            return kept.body.decode()
        try:
            found = self._ask(reference)
        except Unreachable as error:
            if kept is None:
                raise
            ages = {reference.ref or "its default branch": self._cache.age(kept)}
            self._emit(stale_event(f"git:{reference.url}", ages, is_asked=not isinstance(error, Offline)))
            return kept.body.decode()
        self._cache.save(name, found.encode())
        return found

    def _ask(self, reference: GitReference) -> str:
        url, ref = reference.url, reference.ref
        names = [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}"] if ref else ["HEAD"]
        if ref.startswith("refs/"):
            names = [f"{ref}^{{}}", ref]
        listed = self._list_refs(url, names)
        for name in names:
            if name in listed:
                return listed[name]
        every = self._list_refs(url, [])
        if _SHORT.fullmatch(ref) and every:
            return self._lengthened(url, ref, every)
        short = {re.sub("^refs/(heads|tags)/", "", name) for name in every if not name.endswith("^{}")}
        raise UnknownRef(url=url, ref=ref, close=tuple(difflib.get_close_matches(ref, sorted(short))))

    def _lengthened(self, url: str, short: str, listed: Mapping[str, str]) -> str:
        # of an annotated tag only its commit counts
        tags = {listed.get(name.removesuffix("^{}")) for name in listed if name.endswith("^{}")}
        named = {item for item in listed.values() if item.startswith(short)} - tags
        found = named or set(self._commits(url, short, next(iter(listed.values()))))
        if len(found) != 1:
            raise UnknownRef(url=url, ref=short, matches=tuple(sorted(found)))
        return found.pop()
