"""Which of an index's releases of a Python package is taken: preferred ones, then newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from hatchlock.sources.python.pypi import PypiSource, WheelCandidate
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Choice", "is_pin"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What decides among candidates, apart from the requirements.

    Attributes:
        target: Where it is to run.
        constraints: Name -> versions allowed, if the name is needed at all.
        overrides: Name -> the only requirement on that name that counts.
        preferred: Name -> versions to take if they will do, the first that does.
        own: Names that are not the index's business.
        build: Names that may be taken as source where there is no wheel.
    """

    target: PythonTarget
    constraints: Mapping[str, SpecifierSet] = field(default_factory=dict)
    overrides: Mapping[str, SpecifierSet] = field(default_factory=dict)
    preferred: Mapping[str, Sequence[Version]] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    build: frozenset[str] = frozenset()

    def candidates(self, index: PypiSource, name: str, specifiers: Sequence[SpecifierSet]) -> Iterator[WheelCandidate]:
        """Yield the candidates that satisfy all specifiers: the preferred ones, then newest first.

        Yanked ones count only when preferred or pinned with `==` (PEP 592). Pre-releases count when a specifier names
        one (PEP 440), or when the name has no usable final release at all.
        """
        build = name in self.build
        limits = [*specifiers, *([self.constraints[name]] if name in self.constraints else [])]
        versions = index.versions(name)
        preferred = [version for version in self.preferred.get(name, ()) if version in versions]
        early: bool | None = any(limit.prereleases for limit in limits) or None
        pinned = {Version(spec.version) for limit in limits for spec in limit if is_pin(spec)}
        seen: set[Version] = set()
        for version in chain(preferred, versions):
            if version in seen or not all(limit.contains(version, prereleases=True) for limit in limits):
                continue
            seen.add(version)
            if version.is_prerelease and early is None:
                early = not index.has_final(name, self.target, build=build)
            if version.is_prerelease and not early:
                continue
            candidate = index.candidate(name, version, self.target, build=build)
            if candidate and (not candidate.file.yanked or version in preferred or version in pinned):
                yield candidate


def is_pin(specifier: Specifier) -> bool:
    """Return whether one version alone satisfies a clause (PEP 440)."""
    return specifier.operator in {"==", "==="} and not specifier.version.endswith(".*")
