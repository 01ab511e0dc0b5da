"""Things that are opened when they are first needed, by whichever thread needs them first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Opener", "opened_once"]

_T = TypeVar("_T")


class Opener(Protocol):
    """Whoever has such things."""

    @property
    def opened(self) -> dict[str, Any]:
        """What was opened so far, by name."""

    @property
    def opening(self) -> threading.RLock:
        """A lock that one thread may take several times: one thing may need another."""


class opened_once(Generic[_T]):  # noqa: N801  it is used as a decorator
    """A property of an `Opener` that is worked out once, also when several threads ask for it first."""

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __get__(self, instance: Opener, _: type | None = None) -> _T:
        known = instance.opened
        if self._name not in known:
            with instance.opening:
                if self._name not in known:
                    known[self._name] = self._make(instance)
        found: _T = known[self._name]
        return found
