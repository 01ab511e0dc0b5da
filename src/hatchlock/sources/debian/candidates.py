"""Which version of a package would be installed, and in which order packages serve a dependency: as apt does it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from hatchlock.sources.debian.choice import AmbiguousDeb, NoSuchDeb, NoSuchDebVersion, WantedDeb
from hatchlock.sources.debian.package import INSTALLED_PIN, DebPackage, DebUniverse
from hatchlock.sources.debian.relations import Group, Relation
from hatchlock.sources.debian.versions import DebVersion

__all__ = ["Candidates"]


class Candidates:
    """The versions that may be installed over a base.

    Args:
        universe: Where they come from.
        base: Installed package by name.
        architecture: The only one.
        preferred: Versions to take, if there are such, rather than newer ones.
        wanted: What bounds the versions of the packages that it names.
        avoided: Names of packages that serve no dependency.
    """

    def __init__(
        self,
        universe: DebUniverse,
        base: Mapping[str, DebPackage],
        *,
        architecture: str,
        preferred: Mapping[str, DebVersion],
        wanted: Sequence[WantedDeb],
        avoided: Collection[str] = (),
    ) -> None:
        self._universe = universe
        self._base = base
        self._architecture = architecture
        self._preferred = preferred
        self._wanted = wanted
        self._avoided = avoided
        self._found: dict[str, DebPackage | None] = {}

    def of(self, name: str) -> DebPackage | None:
        """Return the one version of a package to install: apt's candidate, within the bounds.

        That is the newest of the releases with the highest priority, never an older one than the base has.
        """
        if name not in self._found:
            self._found[name] = self._choose(name)
        return self._found[name]

    def serving(self, wanted: WantedDeb) -> DebPackage:
        """Return what to install for something that is asked for by name.

        Raises:
            NoSuchDeb: There is no such package, nor one that provides it.
            AmbiguousDeb: It is virtual, and several provide it.
            NoSuchDebVersion: No version of it fits.
        """
        found = self.of(wanted.name)
        if found:
            return found
        if self._offered(wanted.name):
            raise self._no_version(wanted.name)
        relation = Relation(name=wanted.name)
        providers = [
            package for package in self._candidates_providing(relation) if package.serves(wanted.name, wanted.bounds)
        ]
        if not providers:
            raise NoSuchDeb(name=wanted.name, releases=tuple(self._universe.releases), requirer=wanted.requirer)
        if len(providers) > 1:
            names = tuple(sorted(package.name for package in providers))
            raise AmbiguousDeb(name=wanted.name, providers=names, requirer=wanted.requirer)
        return providers[0]

    def solutions(self, group: Group) -> list[DebPackage]:
        """Return what could serve a dependency, in the order in which it is tried.

        As in apt: first what the base has in some version; then alternatives as they are written; of each the package of
        that name, then by Essential, priority and place in the indexes. Versions that are not candidates come last, which
        apt would not try.
        """
        found = [package for relation in group for package in self._in_order(relation)]
        others = [package for relation in group for package in self._not_candidates(relation)]
        ordered = sorted(found, key=lambda package: package.name not in self._base) + others
        return [package for package in dict.fromkeys(ordered) if package.name not in self._avoided]

    def seen(self, name: str) -> tuple[str, ...]:
        """Return the versions of a package that there are, newest first, as they are written."""
        return tuple(str(version) for version in sorted({item.version for item in self._offered(name)}, reverse=True))

    def _in_order(self, relation: Relation) -> list[DebPackage]:
        own = self.of(relation.name)
        real = [own] if own and own.stands_for(relation, self._architecture) else []
        return sorted([*real, *self._candidates_providing(relation)], key=lambda item: self._order(item, relation))

    def _order(self, package: DebPackage, relation: Relation) -> tuple[bool, bool, bool, bool, int, int]:
        return (
            package.name not in self._base,
            package.name != relation.name,
            not package.essential,
            not package.protected,
            package.priority,
            # where nothing else decides, apt takes what its cache heard of last
            -self._universe.rank(package.name),
        )

    def _candidates_providing(self, relation: Relation) -> Iterator[DebPackage]:
        names = dict.fromkeys(package.name for package in self._universe.providing(relation.name))
        for name in names:
            found = self.of(name)
            if name != relation.name and found and found.stands_for(relation, self._architecture):
                yield found

    def _not_candidates(self, relation: Relation) -> list[DebPackage]:
        installed = self._base.get(relation.name)
        lower = [
            package
            for package in self._allowed(relation.name)
            if package != self.of(relation.name)
            and package.stands_for(relation, self._architecture)
            and (installed is None or package.version > installed.version)
        ]
        return sorted(lower, key=lambda package: package.version, reverse=True)

    def _choose(self, name: str) -> DebPackage | None:
        allowed = self._allowed(name)
        installed = self._base.get(name)
        best = max(allowed, key=lambda item: (item.pin, item.version), default=None)
        liked = next((item for item in allowed if item.version == self._preferred.get(name)), best)
        if installed is None or (liked and self._replaces(liked, installed)):
            return liked
        return installed if self._is_fit(installed) else None

    def _replaces(self, package: DebPackage, installed: DebPackage) -> bool:
        wins = package.pin >= INSTALLED_PIN or not self._is_fit(installed)
        return wins and package.version > installed.version

    def _allowed(self, name: str) -> list[DebPackage]:
        return [package for package in self._offered(name) if self._is_fit(package)]

    def _offered(self, name: str) -> Sequence[DebPackage]:
        return self._universe.named(name)

    def _is_fit(self, package: DebPackage) -> bool:
        return all(item.bounds.contains(package.version) for item in self._wanted if item.name == package.name)

    def _no_version(self, name: str) -> NoSuchDebVersion:
        asking = sorted(
            {f"{item} ({item.requirer})" if item.requirer else str(item) for item in self._wanted if item.name == name}
        )
        installed = self._base.get(name)
        return NoSuchDebVersion(
            name=name,
            wanted=tuple(asking),
            versions=self.seen(name),
            installed=str(installed.version) if installed else "",
        )
