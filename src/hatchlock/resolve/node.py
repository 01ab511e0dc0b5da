"""The names of Node: what environments ask npm's registry for, and the projects that take a name's place.

Only what the manifest and its projects ask for themselves is chosen here. What stands below is npm's own resolver's
business, since a Node tree holds several versions of one name; see `sources.npm.tree`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from hatchlock.address import Kind
from hatchlock.resolve.direct import Direct, DirectCandidate
from hatchlock.resolve.npm_requirements import NpmBounds, is_exact
from hatchlock.resolve.provider import Ask
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.npm.names import parse_wanted
from hatchlock.sources.npm.ranges import NpmVersion
from hatchlock.sources.npm.registry import NpmCandidate, NpmSource
from hatchlock.sources.npm.trouble import ForeignDependency

__all__ = ["NodeCandidate", "NodeNames"]

_NEAREST = 3
_UNREAD = "0.0.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeCandidate:
    """A version from the registry, under the name that it goes by.

    Attributes:
        name: The name, which an alias makes another than the package's.
        release: What the registry has.
    """

    name: str
    release: NpmCandidate

    @property
    def id(self) -> str:
        """`npm:name@version`, with the package's own name."""
        return f"{Kind.NPM}:{self.release.name}@{self.release.version}"

    @property
    def version(self) -> NpmVersion:
        """The version."""
        return self.release.version

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class NodeNames:
    """See `provider.Names`.

    Args:
        registry: Where packages come from.
        constraints: Name of a package -> bounds, all of which count if it is needed at all.
        overrides: Name -> the only bounds on that name that count.
        preferred: Name -> versions to take if they will do.
        direct: Projects that stand for a name.
        ask: Turns a requirement of any kind and its requirer into asks.
        node: The Node that they are for ("22"), which npm's preference looks at.
    """

    namespace = Kind.NPM

    def __init__(
        self,
        *,
        registry: NpmSource,
        constraints: Mapping[str, Sequence[NpmBounds]],
        overrides: Mapping[str, NpmBounds],
        preferred: Mapping[str, Sequence[str]],
        direct: Mapping[str, Direct],
        ask: Callable[[str, str], Iterator[Ask]],
        node: str,
    ) -> None:
        self._registry = registry
        self._node = node
        self._constraints = constraints
        self._overrides = overrides
        self._preferred = preferred
        self._direct = {name: DirectCandidate(direct=item, version=_version(item)) for name, item in direct.items()}
        self._ask = ask

    def candidates(self, name: str, asks: Sequence[Ask]) -> Iterator[NodeCandidate | DirectCandidate]:
        """Yield what satisfies all asks: the preferred ones, then by npm's own rule (the tag `latest`, then the newest)."""
        if name in self._direct:
            if all(self.allows(ask, self._direct[name]) for ask in asks):
                yield self._direct[name]
            return
        bounds = [_bounds(ask) for ask in asks]
        packages = {item.real or name for item in bounds} or {name}
        if len(packages) > 1:
            return
        bounds += self._constraints.get(packages.pop(), ())
        seen = set()
        for release in self._releases(name, bounds, asks[0].requirer if asks else ""):
            fits = all(item.contains(release.version, prereleases=False) for item in bounds)
            if fits and release.version not in seen:
                seen.add(release.version)
                yield NodeCandidate(name=name, release=release)

    def is_direct(self, name: str) -> bool:
        """Return whether a project stands for a name."""
        return name in self._direct

    def allows(self, ask: Ask, candidate: NodeCandidate | DirectCandidate) -> bool:
        """Return whether the version is one of those asked for."""
        if isinstance(candidate, DirectCandidate):
            return not candidate.direct.says_version or _bounds(ask).contains(candidate.version, prereleases=True)
        bounds = _bounds(ask)
        same = (bounds.real or ask.name) == candidate.release.name
        return same and bounds.contains(candidate.version, prereleases=False)

    def pins(self, ask: Ask) -> bool:
        """Return whether it names one version."""
        return ask.name in self._direct or is_exact(_bounds(ask).text)

    def needs(self, candidate: NodeCandidate | DirectCandidate, extra: str) -> Iterator[Ask]:
        """Yield what a project needs; what a package needs is left to npm's own resolver."""
        if isinstance(candidate, DirectCandidate):
            for text in candidate.direct.needs(extra):
                yield from self._ask(text, str(candidate))

    def asks(self, name: str, bounds: NpmBounds, requirer: str) -> Iterator[Ask]:
        """Yield the node that a requirement speaks of.

        Raises:
            ForeignDependency: It is from git, an address or a file instead of a registry.
        """
        bounds = self._overrides.get(name, bounds)
        if parse_wanted(name, str(bounds)) is None:
            raise ForeignDependency(requirer=requirer, name=name, spec=str(bounds))
        yield Ask(namespace=self.namespace, name=name, bounds=bounds, requirer=requirer)

    def usable(self, name: str) -> Iterator[NodeCandidate | DirectCandidate]:
        """Yield every candidate that the constraints allow."""
        with contextlib.suppress(UnknownPackage):  # a name that only an alias has
            yield from self.candidates(name, ())

    def ruled_out(self, ask: Ask) -> Iterator[str]:
        """Yield why the newest fitting versions cannot be used."""
        if ask.name in self._direct:
            own = self._direct[ask.name]
            if not self.allows(ask, own):
                yield f"{own}, which stands for that name, is {own.version}"
            return
        bounds = _bounds(ask)
        name = bounds.real or ask.name
        fitting = (item for item in self._registry.versions(name) if bounds.contains(item, prereleases=False))
        for version in islice(fitting, _NEAREST):
            if self._registry.candidate(name, version) is None:
                yield f"{name} {version} is newer than exclude-newer allows"

    def refusal(self, ask: Ask) -> None:
        """Return None."""
        del ask

    def limit(self, name: str) -> str:
        """Return the constraint as text."""
        return " and ".join(map(str, self._constraints.get(name, ())))

    def _releases(self, name: str, bounds: Sequence[NpmBounds], requirer: str) -> Iterator[NpmCandidate]:
        real = next((item.real for item in bounds if item.real), name)
        try:
            for text in (*self._preferred.get(name, ()), *(self._preferred.get(real, ()) if real != name else ())):
                version = NpmVersion.parse(text)
                if version in self._registry.versions(real) and (kept := self._registry.candidate(real, version)):
                    yield kept
            yield from self._registry.pick(real, bounds[0].text if bounds else "", node=self._node)
        except UnknownPackage as error:
            raise UnknownPackage(kind=error.kind, name=real, index=error.index, requirer=requirer) from error


def _version(direct: Direct) -> NpmVersion:
    return NpmVersion.parse(direct.package.version if direct.says_version else _UNREAD)


def _bounds(ask: Ask) -> NpmBounds:
    assert isinstance(ask.bounds, NpmBounds)  # noqa: S101  the namespace's own
    return ask.bounds
