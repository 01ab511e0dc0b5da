"""A dialect whose module, with the library that it needs, is loaded when the first file of it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.clients.dialect import Dialect, Entry

__all__ = ["OnDemand"]


@dataclass(frozen=True, slots=True)
class OnDemand:
    """A `Dialect` that asks another one.

    Attributes:
        make: Returns the other one; called for every file, so it imports and makes something small.
    """

    make: Callable[[], Dialect]

    def read(self, data: bytes, *, path: str = "") -> Mapping[str, Entry]:
        """See `Dialect.read`."""
        return self.make().read(data, path=path)

    def set(self, data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.set`."""
        return self.make().set(data, name, value, path=path)

    def rename(self, data: bytes, old: str, new: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        """See `Dialect.rename`."""
        return self.make().rename(data, old, new, value, path=path)

    def remove(self, data: bytes, name: str, *, path: str = "") -> bytes:
        """See `Dialect.remove`."""
        return self.make().remove(data, name, path=path)
