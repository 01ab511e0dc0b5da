"""Why a lock will not do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Reason"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Reason:
    """One way in which the lock does not satisfy the manifest, or itself.

    Attributes:
        address: `env:NAME`, `server:NAME`, `project` …
        what: "requires mcp-server-time>=2026.2, the lock has 2026.1".
    """

    address: str
    what: str

    def __str__(self) -> str:
        return f"{self.address}: {self.what}"
