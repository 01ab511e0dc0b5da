"""What a new lock is made from: the manifest, the locks that there are, and whoever answers questions about the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hatchlock.launch import Runtime
from hatchlock.lock.images import Image
from hatchlock.lock.model import File, Lock, Package
from hatchlock.manifest.model import BuildSpec, Manifest
from hatchlock.resolve.direct import Direct
from hatchlock.resolve.request import EnvironmentRequest, Resolution
from hatchlock.resolve.wanted import WantedEnvironment
from hatchlock.sources.dockerfile.context import ReadContext

__all__ = ["Answers", "Basis", "Upgrade"]

Upgrade = frozenset[str] | None
"""Names that may move; empty: none may; None: all may."""


class Answers(Protocol):
    """What a lock has to ask of the world."""

    def look_up_image(self, reference: str, platforms: Sequence[str], *, facts: bool) -> Image:
        """Return an image from its registry, with the facts of its layers if asked for."""
        ...

    def resolve(self, requests: Sequence[EnvironmentRequest], *, exclude_newer: datetime | None) -> Resolution:
        """Return the packages of each environment, ignoring releases after a moment."""
        ...

    def load(self, text: str, pinned: Package | None) -> Direct:
        """Return what a requirement names itself (`path:./server`)."""
        ...

    def interpreters(self, python: str, platforms: Sequence[str]) -> Mapping[str, File]:
        """Return the archive of uv's own build of a Python version ("3.11") for each platform."""
        ...

    def entry(self, text: str, runtime: Runtime, platforms: Sequence[str], pinned: Package | None) -> Package:
        """Return an entry of the MCP registry (`mcp:NAME@VERSION`), in the version that is pinned if it leaves a choice."""
        ...

    def read_context(self, server: str, build: BuildSpec) -> ReadContext:
        """Return the directory that a server's image is built from, as it is now."""
        ...

    def host_node(self) -> str:
        """Return the version to record ("22") when nobody says which Node is meant."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Basis:
    """What a new lock is made from.

    Attributes:
        manifest: What is wanted.
        platforms: What is locked for.
        containers: The platforms of containers on these.
        previous: The lock so far.
        kept: The same, as far as it can be taken over at all; else None.
        others: Further locks whose pins are preferred.
        upgrade: What may move.
        now: An aware date-time.
        answers: Asked about the world.
    """

    manifest: Manifest
    platforms: tuple[str, ...]
    containers: tuple[str, ...]
    previous: Lock | None
    kept: Lock | None
    others: tuple[Lock, ...]
    upgrade: Upgrade
    now: datetime
    answers: Answers

    @property
    def known(self) -> tuple[Lock, ...]:
        """The locks whose pins are preferred, the most preferred first."""
        return (*([self.previous] if self.previous else []), *self.others)

    def may_keep(self, package: Package) -> bool:
        """Whether a package may stay where it is."""
        return self.upgrade is not None and package.name not in self.upgrade

    @property
    def pinned(self) -> dict[str, Package]:
        """What the locks have for requirements that name themselves what they mean."""
        return {
            package.source: package
            for lock in reversed(self.known)
            for package in lock.packages
            if package.source and self.may_keep(package)
        }

    def preferred(self, wanted: WantedEnvironment) -> dict[str, tuple[str, ...]]:
        """Return the pins of the locks that there are, `kind:name` -> versions, the most preferred first.

        A private environment whose server got another name has those that it had under the one before.
        """
        before = self.manifest.handover.names_before(wanted.name) if wanted.private else ()
        found = (self.preferred_in(name, wanted.runtime) for name in (wanted.name, *before))
        return next(filter(None, found), {})

    def preferred_in(self, name: str, runtime: Runtime) -> dict[str, tuple[str, ...]]:
        """Return the pins of an environment of the locks, likewise."""
        found: dict[str, dict[str, None]] = {}
        for lock in self.known:
            try:
                locked = lock.environment(name, runtime)
            except KeyError:
                continue
            by_id = lock.by_id
            # what is everywhere comes first; of npm, what is at the top of the tree
            top = [found_id for path, found_id in locked.tree.items() if path.count("node_modules/") == 1]
            extra = [found_id for ids in locked.platform_packages.values() for found_id in ids]
            for package_id in (*top, *locked.packages, *extra):
                package = by_id.get(package_id)
                if package and not package.source and self.may_keep(package):
                    found.setdefault(f"{package.kind}:{package.name}", {})[package.version] = None
        return {name: tuple(versions) for name, versions in found.items()}
