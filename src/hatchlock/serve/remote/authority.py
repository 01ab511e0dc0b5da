"""What a server is told about who asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Authority", "Headers"]


class Authority(Protocol):
    """Who asks; for any number of threads."""

    @property
    def told(self) -> str:
        """What a server is told, in words; "" for nothing."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that say it, by the name in which they are sent."""

    def renewed(self, refused: Mapping[str, str]) -> bool:
        """Whether there is something else to say than what was refused."""


class Headers:
    """What the manifest says, always the same.

    Args:
        headers: Names as they are written.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    @property
    def told(self) -> str:
        """A header, if there is one by which servers know people."""
        known = {"authorization", "x-api-key", "api-key", "cookie"}
        found = next((name for name in self._headers if name.lower() in known), "")
        return f"its header {found}" if found else ""

    def headers(self) -> Mapping[str, str]:
        """Return all of them."""
        return self._headers

    def renewed(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002
        """There is nothing else."""
        return False
