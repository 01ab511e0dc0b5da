"""What a sandbox has stopped, and the line of the manifest that would permit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Denial", "DenialKind", "Report"]

DenialKind = Literal["network", "write", "memory", "processes", "files", "space", "mount", "system-call"]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Denial:
    """One thing that a server tried, or needed, and did not get.

    Attributes:
        kind: Of what sort it is.
        what: What it was: `api.example.com:443`, a path, the limit that it met (`512m`). A stranger's text.
    """

    kind: DenialKind
    what: str


Report = Callable[[Denial], None]
"""Takes a denial, from any thread; the same one is told once."""
