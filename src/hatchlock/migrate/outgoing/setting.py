"""Where an export is made, and for where: what turns a path of the manifest into one that another tool finds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hatchlock.launch_parts import WORKSPACE

__all__ = ["Setting"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What renderers need to know besides the servers.

    Attributes:
        project: The project's name.
        directory: Its directory, absolute.
        user_home: The user's home directory, absolute.
        beside: The directory that the file will be in, absolute.
    """

    project: str
    directory: Path
    user_home: Path
    beside: Path

    def absolute(self, source: str) -> str:
        """Return where a path of the manifest is on this machine; that of a workspace is nowhere, and stays."""
        if source == WORKSPACE:
            return source
        if source == "~" or source.startswith("~/"):
            return str(self.user_home / source[2:])
        return os.path.normpath(self.directory / source)

    def relative(self, source: str) -> str:
        """Return a path of the manifest as seen from the file: one below the home directory, or absolute, stays as it is."""
        if source.startswith(("/", "~")) or source == WORKSPACE:
            return source
        found = Path(os.path.relpath(self.directory / source, self.beside)).as_posix()
        return found if found.startswith(".") else f"./{found}"
