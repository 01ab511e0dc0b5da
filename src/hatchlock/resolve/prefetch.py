"""Fetching what the resolver will probably ask for, before it asks.

A lock waits for a chain of answers: page, metadata of a version, pages of what that needs, … The chain is followed here
by guesses: for each requirement the first candidate that would satisfy it alone. A wrong guess costs a request, nothing
else; an error is left for the resolver to meet, if it ever comes that way.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from functools import partial

from packaging.requirements import InvalidRequirement

from hatchlock.errors import HatchlockError
from hatchlock.resolve.choice import Choice
from hatchlock.resolve.requirements import Wanted, holds, parse
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.simple import ProjectPage

__all__ = ["Prefetch"]


class Prefetch:
    """Follows requirements through an index, ahead of the resolver. Thread safe; never waits, never raises."""

    def __init__(self, index: PypiSource) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._seen: set[tuple[object, ...]] = set()

    def want(self, wanted: Wanted, choice: Choice) -> None:
        """Begin to fetch what `wanted` will need on the choice's target."""
        if (
            wanted.url
            or wanted.name in choice.own
            or not self._is_new(wanted.name, wanted.extras, str(wanted.specifier), choice.target)
        ):
            return
        try:
            if self._index.page_at_hand(wanted.name):
                return  # the resolver is there sooner than a guess
            future = self._index.page_ahead(wanted.name)
        except RuntimeError:  # closed: the resolution is over
            return
        future.add_done_callback(partial(self._follow_page, wanted, choice))

    def _is_new(self, *key: object) -> bool:
        with self._lock:
            if key in self._seen:
                return False
            self._seen.add(key)
            return True

    def _follow_page(self, wanted: Wanted, choice: Choice, page: Future[ProjectPage]) -> None:
        if _failed(page):
            return
        specifier = choice.overrides.get(wanted.name, wanted.specifier)
        try:
            guess = next(choice.candidates(self._index, wanted.name, [specifier]), None)
            if guess is None:
                return
            future = self._index.metadata_ahead(guess.file)
        except (HatchlockError, RuntimeError):
            return
        future.add_done_callback(partial(self._follow_metadata, wanted.extras, choice))

    def _follow_metadata(self, extras: tuple[str, ...], choice: Choice, metadata: Future[WheelMetadata]) -> None:
        if _failed(metadata):
            return
        for text in metadata.result().requires_dist:
            try:
                wanted = parse(text)
            except InvalidRequirement:
                continue
            if any(holds(wanted.marker, choice.target, extra) for extra in ("", *extras)):
                self.want(wanted, choice)


def _failed(future: Future[ProjectPage] | Future[WheelMetadata]) -> bool:
    try:
        return future.exception() is not None
    except CancelledError:
        return True
