"""Which packages of an npm tree a platform gets, and where."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.lock.model import Package

__all__ = ["NotForPlatform", "placements", "runs_on"]

_PROCESSORS = {"amd64": "x64", "arm64": "arm64"}


@dataclass(kw_only=True, eq=False)
class NotForPlatform(HatchlockError):
    """A package that is needed does not run on a platform."""

    code: ClassVar[str] = "not-for-platform"

    package: str
    platform: str
    wants: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.package} does not run on {self.platform}: it wants {', '.join(self.wants)}"

    def _hint(self) -> str:
        return "leave that platform out of the project's platforms, or choose another package"


def runs_on(package: Package, platform: str) -> bool:
    """Return whether a package runs on a platform (`linux/amd64`), by npm's `os`, `cpu` and `libc`; Linux has glibc."""
    system, _, architecture = platform.partition("/")
    libc = "glibc" if system == "linux" else ""
    return (
        _allows(package.systems, system)
        and _allows(package.processors, _PROCESSORS.get(architecture, architecture))
        and (not libc or _allows(package.libc, libc))
    )


def _allows(words: Collection[str], wanted: str) -> bool:
    if f"!{wanted}" in words:
        return False
    positive = [word for word in words if not word.startswith("!")]
    return not positive or wanted in positive or "any" in positive


def placements(
    tree: Mapping[str, str], packages: Mapping[str, Package], platform: str, optional: Collection[str] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the paths, with their packages' ids, that a platform gets, sorted.

    What does not run there is left out, with everything below it.

    Args:
        tree: Path -> id.
        packages: By id.
        platform: `system/architecture`.
        optional: The paths that may be left out; None when that was checked before.

    Raises:
        NotForPlatform: One is needed and does not run there.
        KeyError: A package is missing.
    """
    left_out: set[str] = set()
    for path in sorted(tree):
        if any(parent in left_out for parent in _parents(path)):
            continue
        package = packages[tree[path]]
        if runs_on(package, platform):
            yield path, package.id
            continue
        if optional is not None and path not in optional:
            wants = (*package.systems, *package.processors, *package.libc)
            raise NotForPlatform(package=package.id, platform=platform, wants=wants)
        left_out.add(path)


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
