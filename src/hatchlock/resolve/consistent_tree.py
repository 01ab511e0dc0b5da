"""Does an npm tree in a lock agree with itself? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from hatchlock.address import BadSource, Kind
from hatchlock.lock.model import Environment, Package
from hatchlock.resolve.closure import Edge, NpmRoot
from hatchlock.resolve.npm_requirements import NpmBounds, declared_npm
from hatchlock.sources.npm.placement import placements
from hatchlock.sources.npm.ranges import NpmVersion

__all__ = ["NpmTree"]

_NPM = f"{Kind.NPM}:"
_INSIDE = "/node_modules/"
_MISSING = ", which is missing"
_UNREAD = "0"


class NpmTree:
    """A tree, walked as Node does: a name is looked for in the package's own directory, then upwards.

    What nothing requires is no fault here: the edges of packages that come inside of others are not in the lock.

    Args:
        environment: Whose tree.
        packages: By id; all that the tree names are there.
        roots: What is required from outside of the tree.

    Attributes:
        reasons: What is wrong in any case, a sentence each.
        broken: What is wrong with an edge that packages need not have everywhere: peers and optional ones.
        held: The edges that are satisfied wherever their package is.
    """

    def __init__(self, environment: Environment, packages: Mapping[str, Package], roots: Iterable[NpmRoot]) -> None:
        self.reasons: list[str] = []
        self.broken: dict[Edge, str] = {}
        self.held: set[Edge] = set()
        self._environment = environment
        self._tree = environment.tree
        self._packages = packages
        self._overridden = {
            read[0] for text in environment.overrides if text.startswith(_NPM) and (read := _read(text)) is not None
        }
        used = (packages[name] for name in environment.everywhere)
        self._projects = {item.name: item for item in used if item.source and item.namespace is Kind.NPM}
        for path, name in self._tree.items():
            parent = path.rpartition(_INSIDE)[0]
            if parent and parent not in self._tree:
                self.reasons.append(f"has {name} at {path}, inside of what is not there")
        for who, text in roots:
            why = self._trouble("", who, f"{_NPM}{text}")
            self.reasons += [why] if why else []
        self._walk()

    def platform_reasons(self, platform: str) -> Iterator[str]:
        """Yield how the packages that are listed for a platform differ from those that its tree has."""
        placed = {name for _, name in placements(self._tree, self._packages, platform)}
        listed = {name for name in self._environment.on(platform) if self._packages[name].kind is Kind.NPM}
        yield from (f"has {name}, which stands nowhere in its tree" for name in sorted(listed - placed))
        yield from (f"lacks {name}, which stands in its tree" for name in sorted(placed - listed))

    def _walk(self) -> None:
        missing: dict[Edge, str] = {}
        for path, name in self._tree.items():
            for text in self._packages[name].dependencies:
                if not text.startswith(_NPM):
                    continue
                edge = (name, text)
                why = self._trouble(path, name, text)
                if why is None:
                    self.held.add(edge)
                elif why.endswith(_MISSING):
                    missing[edge] = why
                else:
                    self.broken[edge] = why
        self.held -= self.broken.keys()
        # what is optional may be found from one place and not from another
        self.broken |= {edge: why for edge, why in missing.items() if edge not in self.held}

    def _trouble(self, path: str, who: str, text: str) -> str | None:
        read = _read(text)
        if read is None:
            return f"has a requirement that cannot be read: {text}"
        name, bounds = read
        found = self._look_up(path, name)
        asks = f"{who} requires" if who else "requires"
        own = self._projects.get(name)
        if found is None and own is not None and not path:
            fits = own.version.partition("+")[0] == _UNREAD or _satisfies(bounds, name, own.name, own.version)
            return None if fits or name in self._overridden else f"has {own.id}, but {asks} {text.removeprefix(_NPM)}"
        if found is None:
            return f"{asks} {text}{_MISSING}"
        package = self._packages[self._tree[found]]
        if name in self._overridden or _satisfies(bounds, name, package.name, package.version):
            return None
        return f"has {package.id} at {found}, but {asks} {text.removeprefix(_NPM)}"

    def _look_up(self, path: str, name: str) -> str | None:
        while path:
            inside = f"{path}{_INSIDE}{name}"
            if inside in self._tree:
                return inside
            path = path.rpartition(_INSIDE)[0]
        top = f"node_modules/{name}"
        return top if top in self._tree else None


@cache
def _read(text: str) -> tuple[str, NpmBounds] | None:
    try:
        return declared_npm(text.removeprefix(_NPM))
    except BadSource:
        return None


@cache
def _satisfies(bounds: NpmBounds, asked: str, name: str, version: str) -> bool:
    if (bounds.real or asked) != name:
        return False
    if bounds.text in {"", "*"}:  # npm lets pre-releases do where nothing is asked for
        return True
    try:
        return bounds.contains(NpmVersion.parse(version), prereleases=False)
    except ValueError:
        return False
