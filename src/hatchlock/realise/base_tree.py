"""What lies below the layers of ours: the paths of a base, and the files of it that making a layer needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["BasePath", "BaseTree", "SymlinkLoop"]

_LINKS_AT_MOST = 40


class SymlinkLoop(ValueError):
    """The symlinks of a base lead in a circle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BasePath:
    """What a base has under a path.

    Attributes:
        kind: What it is; "other" for devices, pipes and the like.
        target: Where a symlink points.
    """

    kind: Literal["file", "directory", "symlink", "other"]
    target: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseTree:
    """A base as its file system shows it, whiteouts done.

    Attributes:
        paths: Everything in it, relative to the root, without a leading slash: `usr/bin/python3`. A directory that no layer
            lists by itself may be missing.
        files: The content of those files that were asked for when it was read; hard links have the content of their file.
    """

    paths: Mapping[str, BasePath]
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def top_links(self) -> dict[str, str]:
        """Its top-level symlinks: `bin` -> `usr/bin`."""
        return {path: found.target for path, found in self.paths.items() if "/" not in path and found.kind == "symlink"}

    def resolve(self, path: str) -> str:
        """Return a path relative to the root with the symlinks in its directories followed, not its own last part.

        `lib/x86_64-linux-gnu/libc.so.6` -> `usr/lib/x86_64-linux-gnu/libc.so.6` where the base has `lib -> usr/lib`. What
        the base does not have is taken as it is. A layer has to name its files so: else it would put a directory in the
        place of the base's symlink.

        Raises:
            SymlinkLoop: They lead in a circle.
        """
        done: list[str] = []
        left = [part for part in path.split("/") if part not in {"", "."}]
        links = 0
        while left:
            part = left.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            found = self.paths.get("/".join([*done, part]))
            if not left or found is None or found.kind != "symlink":
                done.append(part)
                continue
            links += 1
            if links > _LINKS_AT_MOST:
                raise SymlinkLoop(path)
            if found.target.startswith("/"):
                done = []
            left = [*(item for item in found.target.split("/") if item not in {"", "."}), *left]
        return "/".join(done)
