"""The closure of Debian packages over a base: what `apt-get install --no-install-recommends` would choose there.

It is apt's own way of marking (2.6, Debian 12), made pure: depth first, a package counts as there before its dependencies
are looked at, an alternative that fails is taken back with everything that it brought. Where apt would remove a package,
this fails, since nothing is taken out of a base.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hatchlock.sources.debian.candidates import Candidates
from hatchlock.sources.debian.choice import DebChoice, DebConflict, Upgrade, WantedDeb
from hatchlock.sources.debian.package import DebPackage, DebUniverse
from hatchlock.sources.debian.relations import Group, Relation
from hatchlock.sources.debian.system import DebSystem
from hatchlock.sources.debian.versions import DebVersion

__all__ = ["choose_debs"]


@dataclass(frozen=True, slots=True)
class _Failure:
    way: tuple[str, ...]
    why: str
    rival: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    package: DebPackage
    way: tuple[str, ...]


_Steps = Generator[_Request, _Failure | None, _Failure | None]


def choose_debs(
    wanted: Sequence[WantedDeb],
    universe: DebUniverse,
    base: Sequence[DebPackage],
    *,
    architecture: str,
    preferred: Mapping[str, DebVersion],
) -> DebChoice:
    """Choose the packages that have to be added to a base.

    Args:
        wanted: What is asked for; the order does not matter.
        universe: What there is.
        base: What is installed.
        architecture: The one of universe and base.
        preferred: Versions to take where they still fit; all of them are let go if that is what makes it impossible.

    Raises:
        NoSuchDeb: Nobody has a wanted name.
        AmbiguousDeb: A wanted name is virtual, and several provide it.
        NoSuchDebVersion: No version fits those who ask for it.
        DebConflict: Something that is needed is missing, or cannot be with the rest.
    """
    ordered = sorted(wanted, key=lambda item: (item.name, str(item.bounds), item.requirer))
    try:
        return _choose(ordered, universe, base, architecture, preferred)
    except DebConflict:
        if not preferred:
            raise
    return _choose(ordered, universe, base, architecture, {})


def _choose(
    wanted: Sequence[WantedDeb],
    universe: DebUniverse,
    base: Sequence[DebPackage],
    architecture: str,
    preferred: Mapping[str, DebVersion],
) -> DebChoice:
    first: _Failure | None = None
    avoided: frozenset[str] = frozenset()
    while True:
        system = DebSystem(base, architecture=architecture)
        candidates = Candidates(
            universe, system.base, architecture=architecture, preferred=preferred, wanted=wanted, avoided=avoided
        )
        roots = _roots(wanted, system, candidates)
        failure = _Marking(system, candidates).everything(roots)
        if failure is None:
            return _choice(roots, system)
        first = first or failure
        # like apt, let go what was one of several alternatives when something that has none cannot be with it
        is_given_up = not failure.rival or failure.rival in {*avoided, *(package.name for _, package in roots)}
        if is_given_up:
            raise DebConflict(way=first.way, why=first.why)
        avoided |= {failure.rival}


def _roots(
    wanted: Sequence[WantedDeb], system: DebSystem, candidates: Candidates
) -> list[tuple[WantedDeb, DebPackage]]:
    """Return what serves each wanted name: the base if it does, else the candidate, or what else is wanted."""
    found = {item: _serving_in_base(item, system) or candidates.of(item.name) for item in wanted}
    named = [package for package in found.values() if package]
    return [(item, package or _among(named, item) or candidates.serving(item)) for item, package in found.items()]


def _serving_in_base(wanted: WantedDeb, system: DebSystem) -> DebPackage | None:
    return _among(list(system.servers(Relation(name=wanted.name))), wanted)


def _among(packages: Sequence[DebPackage], wanted: WantedDeb) -> DebPackage | None:
    return next((package for package in packages if package.serves(wanted.name, wanted.bounds)), None)


class _Marking:
    """Adds packages to a system, each with what it needs."""

    def __init__(self, system: DebSystem, candidates: Candidates) -> None:
        self._system = system
        self._candidates = candidates
        self._of_source: defaultdict[str, list[DebPackage]] = defaultdict(list)
        for package in system.base.values():
            self._of_source[package.source[0]].append(package)

    def everything(self, roots: Sequence[tuple[WantedDeb, DebPackage]]) -> _Failure | None:
        """Add what is asked for, so that dependencies can be served by it, then what that needs."""
        added: dict[str, _Request] = {}
        for wanted, package in roots:
            if not self._system.has(package):
                way = (*([wanted.requirer] if wanted.requirer else []), str(wanted))
                added[package.name] = _Request(package, way)
                self._system.add(package)
        for request in added.values():
            failure = self._run(self._consequences(request))
            if failure:
                return failure
        return None

    def _run(self, steps: _Steps) -> _Failure | None:
        """Drive nested steps without the interpreter's stack: closures are hundreds of packages deep."""
        stack = [steps]
        answer: _Failure | None = None
        while stack:
            try:
                request = stack[-1].send(answer)
            except StopIteration as done:
                stack.pop()
                answer = done.value
            else:
                stack.append(self._mark(request))
                answer = None
        return answer

    def _mark(self, request: _Request) -> _Steps:
        """Add one package and what it needs, or nothing."""
        package, system = request.package, self._system
        if system.has(package):
            return None
        other = system.chosen.get(package.name)
        if other:
            return _Failure(request.way, f"{package.name} is needed as {package.version} and as {other.version}")
        mark = system.mark
        system.add(package)
        failure = yield from self._consequences(request)
        if failure:
            system.back_to(mark)
        return failure

    def _consequences(self, request: _Request) -> _Steps:
        """Do what the presence of a package demands."""
        upgrades: dict[str, DebPackage] = {}
        for other, why in self._in_the_way(request.package):
            newer = self._newer(other)
            if newer is None:
                return _Failure(request.way, why, rival=other.name if other.name in self._system.chosen else "")
            upgrades[other.name] = newer
        upgrades |= {item.name: item for item in self._siblings(request.package)}
        for item in upgrades.values():
            failure = yield _Request(item, (*request.way, item.name))
            if failure:
                return failure
        # what is in the way may be so in its newer version too
        for _, why in self._in_the_way(request.package):
            return _Failure(request.way, why)
        for group in request.package.depends:
            failure = yield from self._serve(group, request)
            if failure:
                return failure
        return None

    def _in_the_way(self, package: DebPackage) -> Iterator[tuple[DebPackage, str]]:
        """Yield the present packages that cannot stay as they are, with the reason as a clause."""
        for other, relation in self._system.against(package):
            kind = "base" if other.name not in self._system.chosen else "rest"
            said = f"{package.name} {package.version} cannot be with {other.name} {other.version} of the {kind}"
            yield other, f"{said} (conflicts with {relation})"
        if package.name in self._system.base:
            for other, group in self._system.dependents(self._system.base[package.name]):
                if not self._system.keeps(group):
                    asked = " | ".join(map(str, group))
                    yield (
                        other,
                        f"{other.name} {other.version} needs {asked}, and {package.name} becomes {package.version}",
                    )

    def _newer(self, installed: DebPackage) -> DebPackage | None:
        """Return what a package of the base can be replaced by."""
        candidate = self._candidates.of(installed.name)
        if installed.name in self._system.chosen or candidate is None or candidate == installed:
            return None
        return candidate

    def _siblings(self, package: DebPackage) -> Iterator[DebPackage]:
        """Yield what apt upgrades along: the base's other packages of the same source, as far as they follow."""
        name, version = package.source
        for installed in self._of_source.get(name, ()):
            newer = self._newer(installed) if installed.name != package.name else None
            if newer and newer.source == (name, version):
                yield newer

    def _serve(self, group: Group, request: _Request) -> _Steps:
        if self._system.keeps(group):
            return None
        first: _Failure | None = None
        for package in self._candidates.solutions(group):
            failure = yield _Request(package, (*request.way, package.name))
            if failure is None:
                return None
            first = first or failure
        return first or _Failure(request.way, self._missing(group, request.package))

    def _missing(self, group: Group, package: DebPackage) -> str:
        asked = " | ".join(map(str, group))
        there = [
            f"{relation.name} is {' or '.join(versions)}"
            for relation in group
            if (versions := self._versions(relation.name))
        ]
        found = "; ".join(there) or "no release has it"
        return f"{package.name} {package.version} needs {asked}, but {found}"

    def _versions(self, name: str) -> list[str]:
        installed = self._system.base.get(name)
        mine = [f"{installed.version} in the base"] if installed else []
        return list(dict.fromkeys([*self._candidates.seen(name), *mine]))


def _choice(roots: Sequence[tuple[WantedDeb, DebPackage]], system: DebSystem) -> DebChoice:
    edges: dict[str, tuple[str, ...]] = {}
    base_edges: dict[str, tuple[str, ...]] = {}
    for name, package in sorted(system.chosen.items()):
        needed = _needed(package, system)
        texts = {target: f"deb:{target}{','.join(sorted(bounds))}" for target, bounds in needed.items()}
        edges[name] = tuple(sorted(text for target, text in texts.items() if target in system.chosen))
        base_edges[name] = tuple(sorted(text for target, text in texts.items() if target not in system.chosen))
    upgrades = [
        Upgrade(name=name, old=system.base[name].version, new=package.version)
        for name, package in system.chosen.items()
        if name in system.base
    ]
    return DebChoice(
        packages=tuple(package for _, package in sorted(system.chosen.items())),
        edges=edges,
        base_edges=base_edges,
        roots={wanted.name: package.name for wanted, package in roots},
        in_base=tuple(sorted({wanted.name for wanted, package in roots if package.name not in system.chosen})),
        upgrades=tuple(sorted(upgrades)),
    )


def _needed(package: DebPackage, system: DebSystem) -> dict[str, set[str]]:
    """Return the packages that serve a package's dependencies, and the bounds that it has on each."""
    needed: dict[str, set[str]] = {}
    for group in package.depends:
        relation, serving = next((item, found) for item in group for found in system.servers(item))
        bounds = needed.setdefault(serving.name, set())
        if relation.version and relation.name == serving.name:
            bounds.add(f"{relation.operator}{relation.version}")
    return needed
