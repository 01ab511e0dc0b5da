"""The packages of a base and those chosen so far: who serves a relation, and who stands against a package."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from hatchlock.sources.debian.package import DebPackage
from hatchlock.sources.debian.relations import Group, Relation

__all__ = ["DebSystem"]


class DebSystem:
    """One version of each package at most. What was added can be taken back, latest first.

    Args:
        base: The installed packages, which stay unless a newer version of them is added.
        architecture: The only one.
    """

    def __init__(self, base: Sequence[DebPackage], *, architecture: str) -> None:
        self.architecture = architecture
        self.base = {package.name: package for package in base}
        self.chosen: dict[str, DebPackage] = {}
        self._trail: list[str] = []
        self._providers: defaultdict[str, list[DebPackage]] = defaultdict(list)
        self._opponents: defaultdict[str, list[DebPackage]] = defaultdict(list)
        for package in self.base.values():
            self._index(package)

    def current(self, name: str) -> DebPackage | None:
        """Return what is there of a package, the chosen version before the base's."""
        return self.chosen.get(name) or self.base.get(name)

    def has(self, package: DebPackage) -> bool:
        """Return whether this version is there."""
        return self.current(package.name) == package

    def add(self, package: DebPackage) -> None:
        """Put in a package, which is not among the chosen ones in another version."""
        self.chosen[package.name] = package
        self._trail.append(package.name)
        self._index(package)

    @property
    def mark(self) -> int:
        """The state of now, for `back_to`."""
        return len(self._trail)

    def back_to(self, mark: int) -> None:
        """Take out what was added since `mark`."""
        while len(self._trail) > mark:
            package = self.chosen.pop(self._trail.pop())
            for index, names in ((self._providers, _offered(package)), (self._opponents, _opposed(package))):
                for name in names:
                    index[name].remove(package)

    def servers(self, relation: Relation) -> Iterator[DebPackage]:
        """Yield the present packages that keep a relation: the one of that name first, then providers by name."""
        own = self.current(relation.name)
        if own and own.stands_for(relation, self.architecture):
            yield own
        for package in sorted(self._providers.get(relation.name, ()), key=lambda item: item.name):
            if package is not own and self.has(package) and package.stands_for(relation, self.architecture):
                yield package

    def keeps(self, group: Group) -> bool:
        """Return whether some alternative is there."""
        return any(True for relation in group for _ in self.servers(relation))

    def against(self, package: DebPackage) -> Iterator[tuple[DebPackage, Relation]]:
        """Yield the present packages that cannot be with `package`, with whichever relation says so."""
        for relation in package.conflicts:
            for other in self.servers(relation):
                if other.name != package.name:
                    yield other, relation
        opponents = {id(item): item for name in _offered(package) for item in self._opponents.get(name, ())}
        for other in sorted(opponents.values(), key=lambda item: item.name):
            if other.name == package.name or not self.has(other):
                continue
            for relation in other.conflicts:
                if package.stands_for(relation, self.architecture):
                    yield other, relation

    def dependents(self, package: DebPackage) -> Iterator[tuple[DebPackage, Group]]:
        """Yield the present packages with a dependency that names `package` or something that it provides."""
        names = set(_offered(package))
        for other in [*self.base.values(), *self.chosen.values()]:
            if other.name == package.name or not self.has(other):
                continue
            for group in other.depends:
                if any(relation.name in names for relation in group):
                    yield other, group

    def _index(self, package: DebPackage) -> None:
        for name in _offered(package):
            self._providers[name].append(package)
        for name in _opposed(package):
            self._opponents[name].append(package)


def _offered(package: DebPackage) -> list[str]:
    return list(dict.fromkeys([package.name, *(item.name for item in package.provides)]))


def _opposed(package: DebPackage) -> list[str]:
    return list(dict.fromkeys(relation.name for relation in package.conflicts))
