"""What is newer than the lock has it, and what holds it back; asks the indexes, and chooses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, Package
from hatchlock.resolve.direct import is_direct
from hatchlock.resolve.named import name_of
from hatchlock.resolve.npm_requirements import NpmBounds, declared_npm
from hatchlock.resolve.requirements import Wanted, holds, parse
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.npm.ranges import NpmVersion
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Standing", "State", "Use", "direct_names", "npm_standing", "plain_standing", "python_standing"]

_PYTHON = f"{Kind.PYPI}:"
_NPM = f"{Kind.NPM}:"
_MANIFEST = "the manifest"

State = Literal["", "yanked", "deprecated", "deleted", "gone", "moved", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How a locked package or image stands against what there is.

    Attributes:
        what: `pypi:anyio`, `npm:zod`, `oci:python:3.11-slim`, `mcp:io.github.acme/time`.
        current: The locked version, or digest.
        compatible: The newest one that the manifest's own bounds and platforms allow; `current` if there is none newer.
        newest: The newest one at all, pre-releases only if `current` is one; `current` if there is none newer.
        state: "yanked" or "deprecated" (by its author), "deleted" (by its registry), "gone" (its index no longer has it),
            "moved" (an image's tag), "unknown" (nobody could be asked), or "".
        reason: What is said about the state; a stranger's text.
        held_by: Why `newest` cannot be had, if it cannot: "httpx<1 by mcp 1.28.1", "httpx 2.0 needs Python >=3.12".
        environments: The environments and servers that have it, sorted.
    """

    what: str
    current: str
    compatible: str
    newest: str
    state: State = ""
    reason: str = ""
    held_by: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing newer and nothing to say."""
        return self.current == self.newest == self.compatible and not self.state


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """An environment that has a package.

    Attributes:
        environment: Its name.
        requirements: What the manifest asks for, as it is now.
        constraints: The same.
        overrides: The same.
        packages: What is in it on any platform.
        targets: Where its Python packages run, of the platforms that have the package.
    """

    environment: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    overrides: tuple[str, ...]
    packages: tuple[Package, ...]
    targets: tuple[PythonTarget, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Limit:
    """Somebody's bounds on a name."""

    text: str
    by: str
    allows: Callable[[Any], bool]

    def __str__(self) -> str:
        return f"{self.text} by {self.by}"

    @property
    def is_manifests(self) -> bool:
        return self.by.startswith(_MANIFEST)


def direct_names(environments: Iterable[Environment]) -> frozenset[str]:
    """Return what environments ask for themselves, as `kind:name`."""
    texts = {text for item in environments for text in item.requirements if not is_direct(text)}
    python = {f"{_PYTHON}{parse(text.removeprefix(_PYTHON)).name}" for text in texts if text.startswith(_PYTHON)}
    npm = {f"{_NPM}{bounds.real or name}" for name, bounds in map(_npm, texts) if name}
    return frozenset(python | npm | {name for name in map(name_of, texts) if name})


def python_standing(package: Package, uses: Sequence[Use], index: PypiSource) -> Standing:
    """Return how a Python package stands.

    Args:
        package: From an index.
        uses: Every environment that has it.
        index: Is asked for its page.

    Raises:
        HatchlockError: What `PypiSource.page` raises, but for a name that the index no longer has.
    """
    current = Version(package.version)
    plain = plain_standing(package, uses)
    try:
        page = index.page(package.name)
    except UnknownPackage:
        return replace(plain, state="gone", reason="its index no longer has anything of that name")
    limits = list(_python_limits(package.name, uses))
    bounds = [limit.allows for limit in limits if limit.is_manifests]
    targets = {target for use in uses for target in use.targets}
    # what is locked as source may be taken as source
    build = any(not file.name.endswith(".whl") for file in package.files)

    def can_run(version: Version) -> bool:
        found = (index.candidate(package.name, version, target, build=build) for target in targets)
        return all(candidate is not None and not candidate.file.yanked for candidate in found)

    newer = [
        version
        for version in _newer(index.versions(package.name), current)
        if any(not file.yanked for file in page.files(version))
    ]
    newest = next(iter(newer), current)
    compatible = (version for version in newer if all(allows(version) for allows in bounds) and can_run(version))
    files = {file.name for file in package.files}
    offered = [file for file in page.files(current) if file.name in files]
    state: State = "gone" if not offered else "yanked" if all(file.yanked for file in offered) else ""
    held = [str(limit) for limit in limits if not limit.allows(newest)] if newest != current else []
    unfit = (target for target in targets if not index.candidate(package.name, newest, target, build=build))
    reasons = (index.why_not(package.name, newest, target) for target in unfit)
    held += [f"{package.name} {newest} {why}" for why in sorted(set(reasons)) if why and newest != current]
    return replace(
        plain,
        compatible=_shown(next(compatible, current), current, package),
        newest=_shown(newest, current, package),
        state=state,
        reason=next((file.yanked_reason for file in offered if file.yanked_reason), "") if state == "yanked" else "",
        held_by=tuple(dict.fromkeys(held)),
    )


def npm_standing(package: Package, uses: Sequence[Use], source: NpmSource) -> Standing:
    """Return how an npm package stands; "newest" is what its author tagged `latest`, if that is newer.

    Args:
        package: From a registry.
        uses: Every environment that has it.
        source: Is asked for its document.

    Raises:
        HatchlockError: What `NpmSource.packument` raises, but for a name that the registry no longer has.
    """
    current = NpmVersion.parse(package.version)
    plain = plain_standing(package, uses)
    try:
        versions = source.versions(package.name)
    except UnknownPackage:
        return replace(plain, state="gone", reason="its registry no longer has anything of that name")
    limits = [limit for limit in _npm_limits(package, uses) if limit.allows(current)]
    bounds = [limit.allows for limit in limits if limit.is_manifests]
    latest = source.dist_tags(package.name).get("latest")
    newer = [
        version
        for version in _newer(versions, current)
        if (found := source.candidate(package.name, version)) and not found.deprecated
    ]
    newest = latest if latest is not None and latest in newer else next(iter(newer), current)
    compatible = (version for version in (newest, *newer) if all(allows(version) for allows in bounds))
    locked = source.candidate(package.name, current)
    gone = current not in versions
    deprecated = locked.deprecated if locked else ""
    held = [str(limit) for limit in limits if not limit.allows(newest)]
    return replace(
        plain,
        compatible=_shown(next(compatible, current), current, package),
        newest=_shown(newest, current, package),
        state="gone" if gone else "deprecated" if deprecated else "",
        reason=deprecated,
        held_by=tuple(dict.fromkeys(held)),
    )


def plain_standing(package: Package, uses: Sequence[Use]) -> Standing:
    """Return what is known of a package before anybody is asked: there is nothing newer."""
    return Standing(
        what=f"{package.kind}:{package.name}",
        current=package.version,
        compatible=package.version,
        newest=package.version,
        environments=tuple(sorted({use.environment for use in uses})),
    )


def _shown(version: Any, current: Any, package: Package) -> str:
    return package.version if version == current else str(version)


def _newer(versions: Iterable[Any], current: Any) -> Iterator[Any]:
    """Yield what is newer, newest first; pre-releases only to who has one."""
    for version in versions:
        if version <= current:
            return
        if not _is_early(version) or _is_early(current):
            yield version


def _is_early(version: Version | NpmVersion) -> bool:
    return version.is_prerelease if isinstance(version, Version) else bool(version.prerelease)


def _python_limits(name: str, uses: Iterable[Use]) -> Iterator[_Limit]:
    for use in uses:
        overrides = list(_python_of(use.overrides, name, use.targets, f"{_MANIFEST}'s overrides"))
        yield from overrides
        yield from _python_of(use.constraints, name, use.targets, f"{_MANIFEST}'s constraints")
        if overrides:
            continue
        yield from _python_of(use.requirements, name, use.targets, _MANIFEST)
        for package in use.packages:
            yield from _python_of(package.dependencies, name, use.targets, f"{package.name} {package.version}")


def _python_of(texts: Iterable[str], name: str, targets: Iterable[PythonTarget], by: str) -> Iterator[_Limit]:
    for text in texts:
        if not text.startswith(_PYTHON) or is_direct(text):
            continue
        wanted = parse(text.removeprefix(_PYTHON))
        if wanted.name == name and wanted.specifier and _applies(wanted, targets):
            yield _Limit(text=f"{name}{wanted.specifier}", by=by, allows=_python_allows(wanted.specifier))


def _python_allows(specifier: SpecifierSet) -> Callable[[Version], bool]:
    return lambda version: specifier.contains(version, prereleases=True)


def _applies(wanted: Wanted, targets: Iterable[PythonTarget]) -> bool:
    # what an extra brings in is in the lock only if that extra is in use
    return "extra" in wanted.marker or any(holds(wanted.marker, target) for target in targets)


def _npm_limits(package: Package, uses: Iterable[Use]) -> Iterator[_Limit]:
    for use in uses:
        overrides = list(_npm_of(use.overrides, package.name, f"{_MANIFEST}'s overrides"))
        yield from overrides
        yield from _npm_of(use.constraints, package.name, f"{_MANIFEST}'s constraints")
        if overrides:
            continue
        yield from _npm_of(use.requirements, package.name, _MANIFEST)
        for other in use.packages:
            yield from _npm_of(other.dependencies, package.name, f"{other.name} {other.version}")


def _npm_of(texts: Iterable[str], name: str, by: str) -> Iterator[_Limit]:
    for text in texts:
        if name not in text:
            continue
        asked, bounds = _npm(text)
        if (bounds.real or asked) == name and bounds.text:
            yield _Limit(text=f"{name}@{bounds.text}", by=by, allows=_npm_allows(bounds))


def _npm_allows(bounds: NpmBounds) -> Callable[[NpmVersion], bool]:
    return lambda version: bounds.contains(version, prereleases=False)


def _npm(text: str) -> tuple[str, NpmBounds]:
    return declared_npm(text.removeprefix(_NPM)) if text.startswith(_NPM) else ("", NpmBounds(text=""))
