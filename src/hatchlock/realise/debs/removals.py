"""What of the base goes away: what old versions of packages have and no package has any more."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping

from hatchlock.realise.base_tree import BasePath

__all__ = ["gone_of", "topmost"]


def gone_of(dropped: Iterable[str], *, kept: Collection[str], paths: Mapping[str, BasePath]) -> frozenset[str]:
    """Return the paths of a base that go away.

    Args:
        dropped: What belonged to old versions of packages alone, directories too.
        kept: What the layer has.
        paths: What the base has.

    Returns:
        Files and symlinks that the layer does not have, and directories that nothing is left in.
    """
    candidates = {path for path in dropped if path in paths and path not in kept}
    directories = {path for path in candidates if paths[path].kind == "directory"}
    files = candidates - directories
    if not directories:
        return frozenset(files)
    left = {parent for path in (*(paths.keys() - candidates), *kept) for parent in _parents(path)}
    return frozenset(files | (directories - left))


def topmost(paths: Collection[str]) -> tuple[str, ...]:
    """Return the paths without those below another one of them, sorted: a whiteout takes away what is below it, too."""
    return tuple(sorted(path for path in paths if not any(parent in paths for parent in _parents(path))))


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
