"""From the Python requirements of environments to packages of the lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from resolvelib import ResolutionImpossible, ResolutionTooDeep, Resolver

from hatchlock.address import Kind
from hatchlock.events import Event, Sink
from hatchlock.lock.model import File, Package
from hatchlock.resolve.explain import TooDeep, explain
from hatchlock.resolve.prefetch import Prefetch
from hatchlock.resolve.provider import Ask, Choice, Conflicts, Identifier, Pin, PythonProvider
from hatchlock.resolve.requirements import declared, holds, parse
from hatchlock.sources.python.metadata import WheelMetadata
from hatchlock.sources.python.pypi import PypiSource, WheelCandidate
from hatchlock.sources.python.targets import BadPlatform, PythonTarget, container_target, process_target

__all__ = [
    "BadPlatform",
    "EnvironmentRequest",
    "EnvironmentResult",
    "PythonTarget",
    "Resolution",
    "container_target",
    "process_target",
    "resolve_environments",
]

_MAX_ROUNDS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentRequest:
    """What an environment wants of Python.

    Attributes:
        name: The environment's name.
        platforms: Declared platform -> target.
        requirements: `pypi:` and PEP 508, extras and markers allowed.
        constraints: In the same form: limits on what is needed anyway.
        overrides: In the same form: the only requirement on that name that counts, whatever packages declare.
        preferred: Name -> version to keep if it still will do: the pins of the present lock.
        upgrade: Names whose preferred version is forgotten; "all"; or None.
    """

    name: str
    platforms: Mapping[str, PythonTarget]
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    preferred: Mapping[str, str] = field(default_factory=dict)
    upgrade: Literal["all"] | frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentResult:
    """What an environment gets: platform -> ids of packages, sorted."""

    name: str
    packages: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """What was resolved: the environments in the order of the requests, and every package of any of them by id."""

    environments: tuple[EnvironmentResult, ...]
    packages: tuple[Package, ...]


@dataclass(slots=True)
class _Use:
    """A version in use somewhere: its wheels by file name, and what of its dependencies holds."""

    candidate: WheelCandidate
    files: dict[str, WheelCandidate] = field(default_factory=dict)
    dependencies: set[str] = field(default_factory=set)


def resolve_environments(requests: Sequence[EnvironmentRequest], *, index: PypiSource, emit: Sink) -> Resolution:
    """Choose versions for each environment and platform, each environment for itself, the newest that fit together.

    Later platforms (in the order of their names) take the versions of earlier ones where those will do. The result is a
    function of the requests and of what the index says; the order of requirements does not matter.

    Args:
        requests: The environments.
        index: Where packages come from.
        emit: Told `resolve.done` for each environment.

    Raises:
        BadSource: A requirement is malformed.
        ResolutionConflict: Requirements contradict each other.
        NoVersion: One requirement has no version that can be used.
        UnknownPackage: There is no such package.
        Unusable: What would fit is ruled out by its metadata.
        TooDeep: The search was given up.
        DirectUrl: A package requires an address.
        MissingHash: The index gives no sha256. For other troubles with the index see `PypiSource.page`.
    """
    prefetch = Prefetch(index)
    for request in requests:
        for target in request.platforms.values():
            choice = _choice(request, target, {})
            for text in request.requirements:
                prefetch.want(declared(text), choice)
    uses: dict[tuple[str, Version], _Use] = {}
    results = [_resolve_environment(request, index, prefetch, uses, emit) for request in requests]
    direct = {declared(text).name for request in requests for text in request.requirements}
    packages = [_package(use, index, with_scripts=name in direct) for (name, _), use in uses.items()]
    return Resolution(environments=tuple(results), packages=tuple(sorted(packages, key=lambda package: package.id)))


def _resolve_environment(
    request: EnvironmentRequest,
    index: PypiSource,
    prefetch: Prefetch,
    uses: dict[tuple[str, Version], _Use],
    emit: Sink,
) -> EnvironmentResult:
    chosen: dict[str, Version] = {}
    packages: dict[str, tuple[str, ...]] = {}
    rounds = 0
    for platform, target in sorted(request.platforms.items()):
        choice = _choice(request, target, chosen)
        conflicts = Conflicts()
        pins = _resolve(request, index, prefetch, choice, conflicts)
        rounds += conflicts.rounds
        for pin in pins:
            chosen.setdefault(pin.candidate.name, pin.version)
            _note_use(uses, pin, target, index)
        packages[platform] = tuple(sorted({_id(pin.candidate) for pin in pins}))
    emit(
        Event(
            name="resolve.done",
            address=f"env:{request.name}",
            data={"packages": len(set().union(*packages.values())), "rounds": rounds},
        )
    )
    return EnvironmentResult(name=request.name, packages=packages)


def _choice(request: EnvironmentRequest, target: PythonTarget, chosen: Mapping[str, Version]) -> Choice:
    return Choice(
        target=target,
        constraints=_limits(request.constraints, target),
        overrides=_limits(request.overrides, target),
        preferred={**_preferred(request), **chosen},
    )


def _limits(texts: Iterable[str], target: PythonTarget) -> dict[str, SpecifierSet]:
    limits: dict[str, SpecifierSet] = {}
    for wanted in map(declared, sorted(texts)):
        if holds(wanted.marker, target):
            limits[wanted.name] = limits.get(wanted.name, SpecifierSet()) & wanted.specifier
    return limits


def _preferred(request: EnvironmentRequest) -> dict[str, Version]:
    if request.upgrade == "all":
        return {}
    forgotten = {canonicalize_name(name) for name in request.upgrade or ()}
    kept: dict[str, Version] = {}
    for name, version in request.preferred.items():
        try:
            kept[canonicalize_name(name)] = Version(version)
        except InvalidVersion:
            continue  # a lock that somebody edited: then there is nothing to prefer
    return {name: version for name, version in kept.items() if name not in forgotten}


def _resolve(
    request: EnvironmentRequest, index: PypiSource, prefetch: Prefetch, choice: Choice, conflicts: Conflicts
) -> list[Pin]:
    provider = PythonProvider(index=index, choice=choice, prefetch=prefetch, conflicts=conflicts)
    wanted = sorted((declared(text) for text in request.requirements), key=str)
    asks: list[Ask] = [
        ask for item in wanted if holds(item.marker, choice.target) for ask in provider.asks(item, "the manifest")
    ]
    resolver: Resolver[Ask, Pin, Identifier] = Resolver(provider, conflicts)
    try:
        return list(resolver.resolve(asks, max_rounds=_MAX_ROUNDS).mapping.values())
    except ResolutionImpossible as error:
        raise explain(error.causes, conflicts=conflicts, index=index, choice=choice) from error
    except ResolutionTooDeep as error:
        most = tuple(name for name, _ in conflicts.count.most_common(3))
        raise TooDeep(rounds=_MAX_ROUNDS, names=most) from error


def _id(candidate: WheelCandidate) -> str:
    return f"{Kind.PYPI}:{candidate.name}@{candidate.version}"


def _note_use(uses: dict[tuple[str, Version], _Use], pin: Pin, target: PythonTarget, index: PypiSource) -> None:
    candidate = pin.candidate
    use = uses.setdefault((candidate.name, candidate.version), _Use(candidate=candidate))
    use.files[candidate.file.name] = candidate
    for text in index.dependencies(candidate):
        wanted = parse(text)
        if holds(wanted.marker, target, pin.extra):
            use.dependencies.add(f"{Kind.PYPI}:{wanted.with_marker}")


def _package(use: _Use, index: PypiSource, *, with_scripts: bool) -> Package:
    # metadata may differ between wheels of a version; the first by name speaks for it
    files = [use.files[name].file for name in sorted(use.files)]
    metadata: WheelMetadata = (index.metadata_with_scripts if with_scripts else index.metadata)(files[0])
    return Package(
        kind=Kind.PYPI,
        name=use.candidate.name,
        version=str(use.candidate.version),
        index=index.name,
        files=tuple(File(name=file.name, sha256=file.sha256, size=file.size) for file in files),
        dependencies=tuple(sorted(use.dependencies)),
        scripts=dict(metadata.scripts or {}) if with_scripts else {},
        requires_python=metadata.requires_python or files[0].requires_python,
        licence=metadata.licence,
        authors=metadata.authors,
        repository=metadata.repository,
    )
