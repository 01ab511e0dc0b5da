"""A tool that was called for a probe, and that the server does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = ["NoSuchTool"]


@dataclass(kw_only=True, eq=False)
class NoSuchTool(HatchlockError):
    """A server answered, but it has no tool of the name that was called for the probe.

    Attributes:
        tool: The name.
        known: The names of its tools, as it says them.
    """

    code: ClassVar[str] = "no-such-tool"

    tool: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"it has no tool {self.tool!r}"

    def _hint(self) -> str:
        from hatchlock.manifest.problem import did_you_mean

        name = self.address.removeprefix("server:") or "NAME"
        return did_you_mean(self.tool, self.known, f"`hatchlock probe {name}` lists its tools")
