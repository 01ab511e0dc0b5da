"""Where the packages of a lock come from, and what it takes to bring them here: counted for the whole plan. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from hatchlock.address import Kind
from hatchlock.resources.base import Privilege

if TYPE_CHECKING:
    from hatchlock.launch import Runtime
    from hatchlock.lock.model import Lock, Package

__all__ = ["PRIVILEGE_WORDS", "PackageCounts", "count_packages", "counted", "privilege_of"]

PRIVILEGE_WORDS: Mapping[Privilege, str] = {"none": "no privilege", "engine": "the engine", "root": "root"}
_SOURCE_WORDS = {"registry": "from registries", "git": "from git", "local": "local", "url": "by address"}
_ORDER: tuple[Privilege, ...] = get_args(Privilege)


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageCounts:
    """How many packages there are, each counted once.

    Attributes:
        sources: Source class -> number: "registry", "git", "local", "url"; those that there are.
        privileges: "none", "engine", "root" -> number; a package of several environments counts for the highest.
    """

    sources: Mapping[str, int] = field(default_factory=dict)
    privileges: Mapping[Privilege, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return one line, "" if there are no packages."""
        if not self.sources:
            return ""
        origins = [f"{self.sources[name]} {words}" for name, words in _SOURCE_WORDS.items() if name in self.sources]
        return f"Packages: {', '.join(origins)}; {counted(self.privileges)}"


def counted(privileges: Mapping[Privilege, int]) -> str:
    """Return how many need what, in words: `38 need no privilege, 2 the engine, 1 root`."""
    found = [(name, privileges[name]) for name in _ORDER if privileges.get(name)]
    if [name for name, _ in found] == ["none"]:
        return "no privilege needed"
    (first, number), *rest = found
    verb = "needs" if number == 1 else "need"
    return ", ".join(
        [f"{number} {verb} {PRIVILEGE_WORDS[first]}", *(f"{count} {PRIVILEGE_WORDS[name]}" for name, count in rest)]
    )


def privilege_of(package: Package, runtime: Runtime) -> Privilege:
    """Return what it takes to bring a package into an environment of a runtime.

    Root for a Debian package of the host, the engine for images and for everything in a container, else nothing.
    """
    if runtime == "container" or package.kind is Kind.OCI:
        return "engine"
    return "root" if package.kind is Kind.DEB else "none"


def count_packages(lock: Lock, platform: str, container_platform: str) -> PackageCounts:
    """Count the packages and images of a lock that belong on a machine, each once.

    Args:
        lock: The lock.
        platform: The machine's.
        container_platform: That of its containers.
    """
    highest: dict[str, tuple[str, Privilege]] = {}
    for name, source_class, privilege in _each(lock, platform, container_platform):
        _, known = highest.get(name, ("", "none"))
        highest[name] = (source_class, max(known, privilege, key=_ORDER.index))
    return PackageCounts(
        sources=dict(sorted(Counter(source_class for source_class, _ in highest.values()).items())),
        privileges=dict(sorted(Counter(privilege for _, privilege in highest.values()).items())),
    )


def _each(lock: Lock, platform: str, container_platform: str) -> Iterator[tuple[str, str, Privilege]]:
    by_id = lock.by_id
    images = {f"{Kind.OCI}:{image.reference}" for image in lock.images if container_platform in image.platforms}
    for environment in lock.environments:
        for package_id in environment.on(platform if environment.runtime == "process" else container_platform):
            package = by_id[package_id]
            # an image that something depends on is in the lock as both
            name = f"{Kind.OCI}:{package.location}" if package.kind is Kind.OCI else package_id
            yield name, package.source_class, privilege_of(package, environment.runtime)
    yield from ((name, "registry", "engine") for name in sorted(images))
