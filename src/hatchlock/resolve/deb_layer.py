"""What stands below the names of Debian packages: chosen for each platform as apt would, over what the base has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from hatchlock.address import Kind
from hatchlock.lock.model import Archive, Package
from hatchlock.resolve.preferred import preferred_of
from hatchlock.resolve.provider import Ask
from hatchlock.resolve.released import NamedBounds
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.resolve.shelves import DebDesk
from hatchlock.sources.debian.choice import DebChoice, WantedDeb
from hatchlock.sources.debian.closure import choose_debs
from hatchlock.sources.debian.declared import declared_deb
from hatchlock.sources.debian.locking import lock_packages
from hatchlock.sources.debian.versions import BadDebVersion, DebVersion

__all__ = ["DebLayer"]


class DebLayer:
    """Chooses for the platforms of one environment.

    Args:
        request: What the environment wants.
        archives: Request and platform -> what there is for its base; called only when something is wanted.
        preferred: `deb:NAME` -> versions to keep if they will do.
    """

    def __init__(
        self,
        request: EnvironmentRequest,
        archives: Callable[[EnvironmentRequest, str], DebDesk],
        *,
        preferred: Mapping[str, Sequence[str]],
    ) -> None:
        self._request = request
        self._open = archives
        self._preferred = dict(_versions(preferred))
        self._choices: dict[str, DebChoice] = {}
        self._archives: dict[str, Archive] = {}
        self._elsewhere: dict[str, list[str]] = {}

    def choose(self, platform: str, asks: Iterable[Ask]) -> None:
        """Choose for a platform what satisfies everything that is asked of Debian.

        Raises:
            HatchlockError: What `sources.debian.closure.choose_debs` raises, and what opening the archives does.
        """
        wanted = [_wanted(ask) for ask in asks]
        if not wanted:
            return
        if not platform.startswith("linux/"):
            self._elsewhere.setdefault(platform, []).extend(sorted({item.name for item in wanted}))
            return
        desk = self._open(self._request, platform)
        self._choices[platform] = choose_debs(
            wanted, desk.universe, desk.installed, architecture=desk.architecture, preferred=self._preferred
        )
        self._archives |= {archive.name: archive for archive in desk.archives}

    def ids(self, platform: str) -> frozenset[str]:
        """Return the ids of what was chosen for a platform."""
        choice = self._choices.get(platform)
        return (
            frozenset(f"{Kind.DEB}:{item.name}@{item.version}" for item in choice.packages) if choice else frozenset()
        )

    def packages(self) -> tuple[Package, ...]:
        """Return what the lock holds of everything that was chosen, on any platform, with the names that it stands in for."""
        stands_for: dict[str, set[str]] = {}
        for choice in self._choices.values():
            for wanted, name in choice.roots.items():
                if wanted != name:
                    stands_for.setdefault(name, set()).add(f"{Kind.DEB}:{wanted}")
        return tuple(
            replace(package, provides=tuple(sorted(stands_for.get(package.name, ()))))
            for package in lock_packages(self._choices)
        )

    @property
    def archives(self) -> tuple[Archive, ...]:
        """The suites that something was chosen from."""
        used = {package.index for package in self.packages()}
        return tuple(archive for name, archive in sorted(self._archives.items()) if name in used)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that people should see."""
        elsewhere = (
            f"{', '.join(names)} of Debian cannot be had on {platform}: servers that need it run in a container there"
            for platform, names in sorted(self._elsewhere.items())
        )
        newer = (
            f"{item.name} of the base becomes {item.new} (it has {item.old}) on {platform}"
            for platform, choice in sorted(self._choices.items())
            for item in choice.upgrades
        )
        there = (
            f"{', '.join(choice.in_base)} of Debian: the base has that already on {platform}"
            for platform, choice in sorted(self._choices.items())
            if choice.in_base
        )
        return (*elsewhere, *there, *newer)


def _wanted(ask: Ask) -> WantedDeb:
    assert isinstance(ask.bounds, NamedBounds)  # noqa: S101  Debian is asked in no other way
    _, bounds = declared_deb(ask.bounds.named.text)
    return WantedDeb(name=ask.name, bounds=bounds, requirer=ask.requirer)


def _versions(preferred: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, DebVersion]]:
    for name, versions in preferred_of(Kind.DEB, preferred).items():
        # a lock that somebody edited has nothing to prefer
        with contextlib.suppress(BadDebVersion):
            yield name, DebVersion.parse(next(iter(versions), ""))
