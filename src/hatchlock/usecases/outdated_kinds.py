"""`outdated` for Hatch packages, entries of the MCP registry, images, Debian and conda packages: who is asked about which."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.lock.model import Environment, Lock, Package
    from hatchlock.manifest.model import Manifest
    from hatchlock.resolve.outdated import Standing, Use
    from hatchlock.sources.conda.records import CondaRecord
    from hatchlock.usecases.debian import DebianDesk
    from hatchlock.usecases.sources import Sources

__all__ = ["OtherKinds"]


class OtherKinds:
    """Asks about packages of these kinds. For any number of threads.

    Args:
        lock: Has them.
        manifest: As it is now.
        sources: Where they come from.
    """

    def __init__(self, lock: Lock, manifest: Manifest, sources: Sources) -> None:
        self._lock = lock
        self._manifest = manifest
        self._sources = sources
        self._solving = threading.Lock()
        self._solved: dict[tuple[str, str], Sequence[CondaRecord]] = {}

    def __call__(self, package: Package, uses: Sequence[Use]) -> Standing | None:
        """Return how a package stands; None if it has no versions of its own: what is named exactly, or by its place.

        Raises:
            HatchlockError: What asking raises.
        """
        from hatchlock.address import Kind
        from hatchlock.resolve import outdated_kinds as kinds

        sources = self._sources
        if package.kind is Kind.MCP:
            return kinds.entry_standing(package, self._servers(package), sources.mcp_registry)
        asked: Mapping[Kind, Callable[[], Standing | None]] = {
            Kind.HATCH: lambda: kinds.hatch_standing(package, uses, sources.hatch_registry),
            Kind.OCI: lambda: kinds.image_standing(package, uses, sources.images),
            Kind.DEB: lambda: kinds.deb_standing(package, uses, self._desks(package)),
            Kind.CONDA: lambda: kinds.conda_standing(package, uses, self._solver(package)),
        }
        ask = asked.get(package.kind)
        return ask() if ask and not package.source else None

    def _servers(self, package: Package) -> list[str]:
        return [name for name, server in self._manifest.servers.items() if str(server.source) == package.source]

    def _places(self, package: Package) -> list[tuple[Environment, str]]:
        """Return the environments that have a package, and for each the first platform on which it does."""
        from hatchlock.resolve.wanted import container_platforms

        found = []
        for environment in self._lock.environments:
            own = self._lock.platforms
            platforms = container_platforms(own) if environment.runtime == "container" else own
            having = [platform for platform in platforms if package.id in environment.on(platform)]
            found += [(environment, platform) for platform in having[:1]]
        return found

    def _desks(self, package: Package) -> list[DebianDesk]:
        from hatchlock.usecases.debian import desks_having

        return list(desks_having(package, self._lock, self._sources.debian_desk))

    def _solver(self, package: Package) -> Callable[[Use], Sequence[CondaRecord]]:
        places = {environment.name: (environment, platform) for environment, platform in self._places(package)}

        def solve(use: Use) -> Sequence[CondaRecord]:
            environment, platform = places[use.environment]
            with self._solving:  # whoever asks second has the answer of the first
                key = (use.environment, platform)
                if key not in self._solved:
                    self._solved[key] = self._solve(use, environment, platform)
                return self._solved[key]

        return solve

    def _solve(self, use: Use, environment: Environment, platform: str) -> Sequence[CondaRecord]:
        from hatchlock.address import Kind
        from hatchlock.resolve.targets import glibc_of
        from hatchlock.sources.python.targets import DEFAULT_MACOS

        needed = (text for item in use.packages if item.kind is not Kind.CONDA for text in item.dependencies)
        prefix = f"{Kind.CONDA}:"
        wanted = {text.removeprefix(prefix) for text in (*use.requirements, *needed) if text.startswith(prefix)}
        images = {image.reference: image for image in self._lock.images}
        return self._sources.conda.solve(
            sorted(wanted),
            platform=platform,
            glibc=glibc_of(self._manifest, environment, images, platform),
            macos=self._manifest.project.min_macos or DEFAULT_MACOS,
        )
