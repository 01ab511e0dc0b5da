"""From what environments ask for, of any kind, to packages of the lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink
from hatchlock.lock.model import BUILD, Archive
from hatchlock.net.http import Refused, Unreachable
from hatchlock.resolve.asker import python_choice, python_names
from hatchlock.resolve.builds import build_word
from hatchlock.resolve.conda_layer import CondaFound, conda_packages
from hatchlock.resolve.deb_layer import DebLayer
from hatchlock.resolve.direct import ClaimedName, Direct, DirectCandidate
from hatchlock.resolve.node import NodeCandidate
from hatchlock.resolve.node_optional import Optional
from hatchlock.resolve.node_tree import FoundTree, node_tree
from hatchlock.resolve.prefetch import Prefetch
from hatchlock.resolve.provider import Conflicts, Pin
from hatchlock.resolve.python import OwnedCandidate
from hatchlock.resolve.released import Released
from hatchlock.resolve.request import BuildResult, EnvironmentRequest, EnvironmentResult, Resolution
from hatchlock.resolve.requirements import declared, parse
from hatchlock.resolve.uses import Uses
from hatchlock.resolve.work import Indexes, Work, directs_of, needs_npm, with_own_pins
from hatchlock.sources.npm.offer import node_allows
from hatchlock.sources.npm.placement import placements
from hatchlock.sources.python.pypi import WheelCandidate
from hatchlock.sources.python.targets import BadPlatform, PythonTarget, container_target, process_target

__all__ = [
    "BadPlatform",
    "EnvironmentRequest",
    "EnvironmentResult",
    "Indexes",
    "PythonTarget",
    "Resolution",
    "container_target",
    "process_target",
    "resolve_environments",
]

_NPM_AT_ONCE = 4
_GLANCE = 0.2
_PYTHON = f"{Kind.PYPI}:"
_NPM = f"{Kind.NPM}:"


def resolve_environments(requests: Sequence[EnvironmentRequest], *, indexes: Indexes, emit: Sink) -> Resolution:
    """Choose versions for each environment and platform, each environment for itself, the newest that fit together.

    Later platforms (in the order of their names) take the versions of earlier ones where those will do. The result is a
    function of the requests and of what the indexes say; the order of requirements does not matter.

    Args:
        requests: The environments.
        indexes: Where packages come from.
        emit: Told `resolve.done` for each environment.

    Raises:
        BadSource: A requirement is malformed.
        ResolutionConflict: Requirements contradict each other.
        NoVersion: One requirement has no version that can be used.
        UnknownPackage: There is no such package.
        Unusable: What would fit is ruled out by its metadata.
        TooDeep: The search was given up.
        DirectUrl: A package requires an address.
        ClaimedName: Two projects have one name.
        MissingHash: The index gives no hash. For other troubles with an index see its source.
    """
    prefetch = Prefetch(indexes.python)
    loaded = []
    for request in requests:
        with _named(request):
            directs = directs_of(request, indexes.load)
        loaded.append(directs)
        _fetch_ahead(request, directs, prefetch)
    uses = Uses()
    chosen = [
        _choose(request, indexes, prefetch, uses, directs) for request, directs in zip(requests, loaded, strict=True)
    ]
    trees = _trees(chosen)
    builds = [_builds(item, indexes, prefetch, uses) for item in chosen]
    results = [_result(item, tree, built, uses, emit) for item, tree, built in zip(chosen, trees, builds, strict=True)]
    direct = {declared(text).name for request in requests for text in request.requirements if text.startswith(_PYTHON)}
    packages = uses.packages(indexes.python, with_scripts=direct)
    archives = {archive.name: archive for item in chosen for archive in item.archives}
    return Resolution(
        environments=tuple(results),
        packages=tuple(sorted(packages, key=lambda package: package.id)),
        archives=tuple(archives[name] for name in sorted(archives)),
    )


def _fetch_ahead(request: EnvironmentRequest, directs: Mapping[str, Direct], prefetch: Prefetch) -> None:
    if any(text.startswith(f"{Kind.CONDA}:") for text in request.requirements):
        return  # no index is asked for the names that conda will turn out to have
    own = python_names(directs.values())
    for target in request.platforms.values():
        choice = python_choice(request, target, preferred=request.preferred, chosen={}, own=own)
        for text in request.requirements:
            if text.startswith(_PYTHON):
                prefetch.want(declared(text), choice)


def _trees(chosen: Sequence[_Chosen]) -> list[FoundTree | None]:
    pool = ThreadPoolExecutor(_NPM_AT_ONCE, thread_name_prefix="npm")
    try:
        futures = [pool.submit(item.tree) for item in chosen]
        waiting = set(futures)
        while waiting:
            # by glances: a signal between two of them is heard at once, one in a wait without end may not be
            done, waiting = wait(waiting, timeout=_GLANCE, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        return [future.result() for future in futures]
    finally:
        # whoever interrupts does not wait: the others' npm ends with its registry
        pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """What was chosen for an environment, before npm has told what stands below its packages."""

    work: Work
    packages: Mapping[str, frozenset[str]]
    node_pins: Mapping[str, NodeCandidate]
    optional: Optional
    rounds: int
    archives: tuple[Archive, ...] = ()
    python: str = ""
    notes: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Id of each package or project that has to be built -> what its build asks for."""

    def tree(self) -> FoundTree | None:
        work = self.work
        if work.registry is None or not (self.node_pins or self.optional.pins):
            return None
        with _named(work.request):
            return node_tree(
                work.request,
                work.registry,
                pins=self.node_pins,
                optional=self.optional.pins,
                preferred=work.preferred,
                scratch=work.indexes.scratch(),
            )


def _choose(
    request: EnvironmentRequest, indexes: Indexes, prefetch: Prefetch, uses: Uses, directs: Mapping[str, Direct]
) -> _Chosen:
    with _named(request):
        return _chosen(request, indexes, prefetch, uses, directs)


@contextmanager
def _named(request: EnvironmentRequest) -> Iterator[None]:
    """Say of an error which environment it is about, unless it is about a server that does not answer."""
    try:
        yield
    except (Unreachable, Refused):
        raise
    except HatchlockError as error:
        error.address = error.address or f"env:{request.name}"
        raise


def _chosen(
    request: EnvironmentRequest, indexes: Indexes, prefetch: Prefetch, uses: Uses, directs: Mapping[str, Direct]
) -> _Chosen:
    work = Work(
        request=request,
        indexes=indexes,
        prefetch=prefetch,
        directs=directs,
        preferred=with_own_pins(request.preferred, directs.values()),
        registry=indexes.npm() if needs_npm(request, directs) else None,
    )
    chosen: dict[tuple[Kind, str], Any] = {}
    packages: dict[str, frozenset[str]] = {}
    node_pins: dict[str, NodeCandidate] = {}
    conda: dict[str, CondaFound] = {}
    debs = DebLayer(request, indexes.debian, preferred=work.preferred)
    sources: dict[str, tuple[str, ...]] = {}
    rounds = 0
    for platform, target in sorted(request.platforms.items()):
        conflicts = Conflicts()
        found = work.resolve(target, chosen, conflicts)
        rounds += conflicts.rounds
        for pin in found.pins:
            chosen.setdefault((pin.namespace, pin.candidate.name), pin.candidate.version)
            _note(pin, found.conda.target, work, uses)
            if isinstance(pin.candidate, WheelCandidate) and not pin.candidate.file.is_wheel:
                asked = indexes.python.build_requires(pin.candidate.file)
                sources[pin.candidate.id] = tuple(sorted({f"{_PYTHON}{parse(text).with_marker}" for text in asked}))
            elif isinstance(pin.candidate, DirectCandidate) and pin.candidate.direct.build is not None:
                sources[pin.candidate.id] = pin.candidate.direct.build
        node_pins |= {
            pin.candidate.name: pin.candidate for pin in found.pins if isinstance(pin.candidate, NodeCandidate)
        }
        packages[platform] = frozenset(
            pin.candidate.id for pin in found.pins if not isinstance(pin.candidate, (NodeCandidate, OwnedCandidate))
        )
        conda[platform] = found.conda
        debs.choose(platform, found.asks.get(Kind.DEB, ()))
        packages[platform] |= debs.ids(platform) | found.conda.ids
    uses.add(debs.packages())
    uses.add(conda_packages(conda))
    used = [direct for direct in directs.values() if any(direct.package.id in ids for ids in packages.values())]
    optional = work.optional(used, chosen, node_pins)
    return _Chosen(
        work=work,
        packages=packages,
        node_pins=node_pins,
        optional=optional,
        rounds=rounds,
        archives=debs.archives,
        python=next((item.python for item in conda.values() if item.python), ""),
        notes=debs.notes,
        sources=sources,
    )


def _builds(chosen: _Chosen, indexes: Indexes, prefetch: Prefetch, uses: Uses) -> dict[str, BuildResult]:
    """Resolve what the builds ask for, each by itself, on the platforms of its environment; nothing there is built itself."""
    asking = chosen.work.request
    nodes = {item.package.id for item in chosen.work.directs.values() if item.package.namespace is Kind.NPM}
    found = {}
    for package_id, texts in sorted(chosen.sources.items()):
        word = build_word(package_id, is_node=package_id in nodes)
        request = EnvironmentRequest(
            name=f"{asking.name}{BUILD}{word}",
            platforms=asking.platforms,
            requirements=texts,
            constraints=asking.constraints,
            overrides=asking.overrides,
            preferred=asking.build_preferred.get(word, {}),
            node=asking.node,
            pinned=asking.pinned,
            base=asking.base,
            bases=asking.bases,
            glibc=asking.glibc,
            min_macos=asking.min_macos,
        )
        with _named(request):
            directs = directs_of(request, indexes.load) if package_id in nodes else {}
        own = _choose(request, indexes, prefetch, uses, directs)
        (tree,) = _trees([own])
        packages = _placed(own, tree, uses)
        found[package_id] = BuildResult(
            word=word,
            requirements=texts,
            packages={platform: tuple(sorted(ids)) for platform, ids in packages.items()},
            tree=tree.tree.paths if tree else {},
            is_node=package_id in nodes,
        )
    return found


def _placed(chosen: _Chosen, found: FoundTree | None, uses: Uses) -> dict[str, set[str]]:
    """Return the ids of each platform, with what npm's resolver put below those that were chosen."""
    packages = {platform: set(ids) for platform, ids in chosen.packages.items()}
    if found is None:
        return packages
    _check_names(chosen.work.request.name, chosen.work.directs.values(), found)
    for project, texts in chosen.optional.edges_in(found.tree.paths):
        uses.add_edges(project, texts)
    uses.add(found.tree.packages)
    for platform, ids in packages.items():
        ids |= {
            package_id for _, package_id in placements(found.tree.paths, found.by_id, platform, found.tree.optional)
        }
    return packages


def _note(pin: Pin, target: PythonTarget, work: Work, uses: Uses) -> None:
    if isinstance(pin.candidate, Released):
        uses.add([work.package(pin.candidate)])
    else:
        uses.note(pin, target, work.indexes.python)


def _result(
    chosen: _Chosen, found: FoundTree | None, builds: Mapping[str, BuildResult], uses: Uses, emit: Sink
) -> EnvironmentResult:
    name = chosen.work.request.name
    packages = _placed(chosen, found, uses)
    told = [direct.package for direct in chosen.work.directs.values()]
    notes = [note for direct in chosen.work.directs.values() for note in direct.notes]
    notes += [*chosen.optional.notes, *chosen.notes]
    if found:
        notes += found.notes
        told += found.tree.packages
    node = chosen.work.request.node
    wanting = [package for package in told if not node_allows(package.requires_node, node)]
    notes += [f"{package.id} wants Node {package.requires_node}, and gets {node}" for package in wanting]
    notes += [f"{package_id} is built from source: what is in it is known after its build" for package_id in builds]
    notes += [
        f"{package.id} wants to run a script when it is installed; it is installed without"
        for package in told
        if package.install_script and package.name not in chosen.work.request.allow_scripts
    ]
    data = {"packages": len(set().union(*packages.values())), "rounds": chosen.rounds}
    emit(Event(name="resolve.done", address=f"env:{name}", data=data))
    for note in notes:
        emit(Event(name="resolve.note", address=f"env:{name}", message=note))
    sorted_ids = {platform: tuple(sorted(ids)) for platform, ids in packages.items()}
    return EnvironmentResult(
        name=name,
        packages=sorted_ids,
        tree=found.tree.paths if found else {},
        python=chosen.python,
        notes=tuple(notes),
        builds=builds,
    )


def _check_names(environment: str, directs: Iterable[Direct], found: FoundTree) -> None:
    """Refuse a project whose place in the tree npm gave to a package, since somebody below asks for that."""
    for direct in directs:
        name = direct.package.name
        other = found.tree.paths.get(f"node_modules/{name}") if direct.package.namespace is Kind.NPM else None
        if other is not None:
            asks = f"{_NPM}{name}@"
            requirers = [
                item.id for item in found.tree.packages if any(text.startswith(asks) for text in item.dependencies)
            ]
            claims = ((direct.text, ""), (other, next(iter(requirers), "")))
            raise ClaimedName(address=f"env:{environment}", name=name, claims=claims)
