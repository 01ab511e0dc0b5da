"""What an environment's packages need of each other on one platform, read from a lock. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from hatchlock.address import BadSource, Kind
from hatchlock.lock.model import Environment, Package
from hatchlock.resolve.direct import direct_source, is_direct
from hatchlock.resolve.named import Named, named
from hatchlock.resolve.requirements import holds, parse
from hatchlock.resolve.versions import python_version
from hatchlock.sources.hatch.declared import declared_hatch
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Closure", "Edge", "NpmRoot"]

Edge = tuple[str, str]
"""The id of a package, and one of its dependencies as it writes it."""
NpmRoot = tuple[str, str]
"""Who requires something of npm from outside of the npm tree ("" is the environment itself), and what, without `npm:`."""

_PYTHON = f"{Kind.PYPI}:"
_NPM = f"{Kind.NPM}:"
_UNREAD = "0"
_NO_EXTRAS = frozenset[str]()
_WORD = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_BOUND = r"(?:[<>]=?|[!~=]=)[0-9][0-9a-z.+!]*(?:\.\*)?"
_USUAL = re.compile(
    rf"{_PYTHON}(?P<text>(?P<name>{_WORD})(?:\[(?P<extras>{_WORD}(?:,{_WORD})*)\])?(?P<bounds>{_BOUND}(?:,{_BOUND})*)?)"
    r"(?: ; (?P<marker>.+))?"
)
_Name = tuple[Kind, str]
_STANDS_IN_AMONG = {Kind.CONDA: Kind.PYPI, Kind.DEB: Kind.DEB}
"""Kinds whose packages stand in for others -> among whose names. Nothing else is ever there in the place of a name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Requirement:
    """Like `requirements.Wanted`, with the bounds as text: that is what answers are remembered by."""

    name: _Name
    extras: frozenset[str]
    bounds: str
    marker: str
    url: str
    text: str


class Closure:
    """Everything that the environment's requirements lead to.

    Args:
        environment: Whose.
        packages: Those of a platform.
        target: Where its Python packages run; None if it has no Python.
        is_linux: Whether the platform is one of Linux.
        base: What the base has of Debian, name -> version.

    Attributes:
        npm_roots: What leads into the npm tree.
        broken: What is wrong with an edge of a package of which only some files may have that edge, a sentence each.
        held: The edges of such packages that are satisfied.
    """

    def __init__(
        self,
        environment: Environment,
        packages: Iterable[Package],
        target: PythonTarget | None,
        *,
        is_linux: bool,
        base: Mapping[str, str],
    ) -> None:
        self.npm_roots: dict[NpmRoot, None] = {}
        self.broken: dict[Edge, str] = {}
        self.held: set[Edge] = set()
        self._reasons: dict[str, None] = {}
        self._target = target
        self._is_linux = is_linux
        self._base = base
        self._provided: dict[_Name, Package] = {}
        self._loose: set[Kind] = set()
        self._packages: dict[_Name, Package] = {}
        self._by_source: dict[str, Package] = {}
        # what names itself is there for who names it: the manifest, or a project that the manifest leads to
        said = (*environment.requirements, *environment.overrides)
        self._named_sources = {direct_source(text) for text in said if is_direct(text)}
        self._extras: dict[_Name, frozenset[str]] = {}
        self._waiting: list[_Name] = []
        self._has_loose_ends = False
        for package in packages:
            self._add(package)
        self._overrides = self._limits(environment.overrides)
        self._check_constraints(environment.constraints)
        for text in environment.requirements:
            self._require(text, None)
        while self._waiting:
            name = self._waiting.pop()
            for text in self._packages[name].dependencies:
                self._require(text, name)
        self._find_unneeded()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is missing, too much, or of a version that somebody excludes, a sentence each."""
        return tuple(self._reasons)

    def _say(self, what: str) -> None:
        self._reasons[what] = None

    def _add(self, package: Package) -> None:
        if package.source:
            self._by_source[package.source] = package
        if package.kind is Kind.NPM:
            return
        known = self._packages.setdefault((package.namespace, package.name), package)
        if known is not package:
            self._say(f"has both {known.id} and {package.id}")
        for text in package.provides:
            kind, _, name = text.partition(":")
            if kind == _STANDS_IN_AMONG.get(package.kind):
                self._provided[Kind(kind), name] = package
            else:
                self._say(f"has {package.id}, which cannot stand in for {text}")
        if package.namespace is not Kind.PYPI:
            return
        if self._target is None:
            self._say(f"has {package.id} and no Python")
        elif _has_one_file(package) and not self._runs(package.requires_python, self._target):
            self._say(f"has {package.id}, which needs Python {package.requires_python}")

    def _limits(self, texts: Iterable[str]) -> Mapping[_Name, str]:
        limits: dict[_Name, SpecifierSet] = {}
        for text in texts:
            if not text.startswith(_PYTHON) or is_direct(text) or self._target is None:
                continue
            wanted = self._read(text)
            if wanted and holds(wanted.marker, self._target):
                limits[wanted.name] = limits.get(wanted.name, SpecifierSet()) & SpecifierSet(wanted.bounds)
        return {name: str(limit) for name, limit in limits.items()}

    def _read(self, text: str) -> _Requirement | None:
        wanted = _read(text)
        if wanted is None:
            self._say(f"has a requirement that cannot be read: {text}")
        return wanted

    def _check_constraints(self, texts: Iterable[str]) -> None:
        for name, bounds in self._limits(texts).items():
            package = self._packages.get(name)
            if package and not package.source and not self._fits(package, bounds):
                self._say(f"has {package.id}, which the constraint {name[1]}{bounds} excludes")

    def _require(self, text: str, requirer: _Name | None) -> None:
        if text.startswith(_PYTHON):
            self._require_python(text, requirer)
        elif text.startswith(_NPM):
            self.npm_roots[self._packages[requirer].id if requirer else "", text.removeprefix(_NPM)] = None
        elif is_direct(text):
            self._require_direct(text, requirer)
        else:
            self._require_named(text, requirer)

    def _require_named(self, text: str, requirer: _Name | None) -> None:
        try:
            wanted = named(text)
        except BadSource:
            wanted = None
        if wanted is None:
            if text.startswith(f"{Kind.CONDA}:"):  # channels write more than people may
                self._loose.add(Kind.CONDA)
            else:
                self._say(f"has a requirement that cannot be read: {text}")
            return
        name = (wanted.kind, wanted.name)
        own = self._packages.get(name)
        # what lies in a directory never stands for a name
        package = own if own and not own.source else self._provided.get(name)
        why = ""
        if package is None:
            why = self._missing(wanted, text, requirer)
        else:
            if package.name == wanted.name and not wanted.suits(package):
                why = f"has {package.id}, but {self._asks(requirer)} {text}"
            self._reach((package.namespace, package.name), _NO_EXTRAS)
        self._note(text, requirer, why)

    def _missing(self, wanted: Named, text: str, requirer: _Name | None) -> str:
        """Of Debian the base has most, under its own name or one that others provide; elsewhere there is none of it."""
        why = f"{self._asks(requirer)} {text}, which is missing"
        if wanted.kind is not Kind.DEB:
            return why
        version = self._base.get(wanted.name)
        if version is None:
            return why if wanted.bounds and self._is_linux else ""
        return "" if wanted.allows(version) else f"has {wanted.name} {version} in its base, but {why}"

    def _require_direct(self, text: str, requirer: _Name | None) -> None:
        package = self._by_source.get(direct_source(text))
        if package:
            self._check_place(text, package, requirer)
            self._reach((package.namespace, package.name), _NO_EXTRAS)
            self._name(package, requirer)
        elif requirer is None:
            self._say(f"requires {text}, which is missing")
        elif self._packages[requirer].source:  # a project may write it in another form than the lock
            self._has_loose_ends = True

    def _name(self, package: Package, requirer: _Name | None) -> None:
        """Packages of an index have no say over directories, repositories and addresses."""
        if requirer and self._packages[requirer].source:
            self._named_sources.add(package.source)

    def _check_place(self, text: str, package: Package, requirer: _Name | None) -> None:
        if package.kind is Kind.HATCH and not declared_hatch(text.partition(":")[2]).allows(package.version):
            self._say(f"has {package.id}, but {self._asks(requirer)} {text}")

    def _require_python(self, text: str, requirer: _Name | None) -> None:
        wanted = self._read(text)
        if wanted is None or not self._holds(wanted.marker, requirer):
            return
        package = self._packages.get(wanted.name)
        if package is None and (owner := self._provided.get(wanted.name)):
            # that it is there is conda's affair: this name alone brings it nowhere
            self._check_owner(owner, wanted, text, requirer)
            return
        why = f"{self._asks(requirer)} {wanted.text}, which is missing" if package is None else ""
        if package is not None:
            bounds = self._overrides.get(wanted.name, "" if wanted.url else wanted.bounds)
            if bounds and not self._fits(package, bounds):
                why = f"has {package.id}, but {self._asks(requirer)} {wanted.name[1]}{bounds}"
            self._reach(wanted.name, wanted.extras)
            if wanted.url and wanted.url.partition("#")[0] == package.location:
                self._name(package, requirer)
        self._note(text, requirer, why)

    def _check_owner(self, owner: Package, wanted: _Requirement, text: str, requirer: _Name | None) -> None:
        bounds = self._overrides.get(wanted.name, "" if wanted.url else wanted.bounds)
        fits = not bounds or SpecifierSet(bounds).contains(python_version(owner), prereleases=True)
        self._note(text, requirer, "" if fits else f"has {owner.id}, but {self._asks(requirer)} {wanted.text}")

    def _note(self, text: str, requirer: _Name | None, why: str) -> None:
        package = self._packages[requirer] if requirer else None
        if package is None or _has_one_file(package):
            if why:
                self._say(why)
        elif why:
            self.broken[package.id, text] = why
        else:
            self.held.add((package.id, text))

    @staticmethod
    def _runs(requires_python: str, target: PythonTarget) -> bool:
        return not requires_python or _contains(requires_python, target.full_python)

    def _holds(self, marker: str, requirer: _Name | None) -> bool:
        if not marker:
            return True
        if self._target is None:
            return False
        if holds(marker, self._target):
            return True
        extras = self._extras[requirer] if requirer else ()
        return any(holds(marker, self._target, extra) for extra in extras)

    def _fits(self, package: Package, bounds: str) -> bool:
        # a version that could not be read without running the project rules nothing out
        return bool(package.source and package.version.partition("+")[0] == _UNREAD) or _contains(
            bounds, package.version
        )

    def _reach(self, name: _Name, extras: frozenset[str]) -> None:
        known = self._extras.get(name)
        if known is None or not extras <= known:
            self._extras[name] = extras if known is None else extras | known
            self._waiting.append(name)

    def _find_unneeded(self) -> None:
        for name, package in self._packages.items():
            if (package.source and self._has_loose_ends) or package.kind in self._loose:
                continue
            if name in self._extras and (not package.source or package.source in self._named_sources):
                continue
            self._say(f"has {package.id}, which nothing in it requires")

    def _asks(self, requirer: _Name | None) -> str:
        return f"{self._packages[requirer].id} requires" if requirer else "requires"


def _has_one_file(package: Package) -> bool:
    """Whether all that is said of it holds everywhere: else what one wheel declares, another may not."""
    return not package.source and len(package.files) <= 1


@cache
def _read(text: str) -> _Requirement | None:
    # the form in which the lock is written is read without a parser, which takes 20 times as long
    match = _USUAL.fullmatch(text)
    if match and _is_marker(match["marker"] or ""):
        extras = match["extras"]
        return _Requirement(
            name=(Kind.PYPI, match["name"]),
            extras=frozenset(extras.split(",")) if extras else _NO_EXTRAS,
            bounds=match["bounds"] or "",
            marker=match["marker"] or "",
            url="",
            text=match["text"],
        )
    try:
        wanted = parse(text.removeprefix(_PYTHON).strip())
    except ValueError:
        return None
    return _Requirement(
        name=(Kind.PYPI, wanted.name),
        extras=frozenset(wanted.extras),
        bounds=str(wanted.specifier),
        marker=wanted.marker,
        url=wanted.url,
        text=str(wanted),
    )


@cache
def _is_marker(text: str) -> bool:
    try:
        return not text or bool(Marker(text))
    except InvalidMarker:
        return False


@cache
def _contains(bounds: str, version: str) -> bool:
    try:
        limit = SpecifierSet(bounds)
    except InvalidSpecifier:
        return True  # of `requires-python`, as the resolver takes it
    try:
        return limit.contains(Version(version), prereleases=True)
    except ValueError:
        return False
