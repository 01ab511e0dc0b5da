"""From what environments ask for, of any kind, to packages of the lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resolvelib import ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Resolution as Search

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink
from hatchlock.lock.model import Package
from hatchlock.net.http import Refused, Unreachable
from hatchlock.resolve.asker import Asker, node_names, python_choice, python_names
from hatchlock.resolve.direct import ClaimedName, Direct, is_direct
from hatchlock.resolve.explain import TooDeep, explain
from hatchlock.resolve.node import NodeCandidate
from hatchlock.resolve.node_optional import Optional, choose_optional
from hatchlock.resolve.node_tree import FoundTree, node_tree
from hatchlock.resolve.prefetch import Prefetch
from hatchlock.resolve.programs import DirectNames
from hatchlock.resolve.provider import MANIFEST, Ask, Conflicts, Identifier, Pin, Provider
from hatchlock.resolve.python import PythonNames
from hatchlock.resolve.request import EnvironmentRequest, EnvironmentResult, Resolution
from hatchlock.resolve.requirements import declared
from hatchlock.resolve.uses import Uses
from hatchlock.sources.npm.offer import node_allows
from hatchlock.sources.npm.placement import placements
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.python.pypi import PypiSource
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

_MAX_ROUNDS = 20_000
_NPM_AT_ONCE = 4
_GLANCE = 0.2
_PYTHON = f"{Kind.PYPI}:"
_NPM = f"{Kind.NPM}:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexes:
    """Where things come from.

    Attributes:
        python: Python packages.
        npm: Opens npm's registry; called only when an environment needs it.
        load: Requirement, and the package that is pinned -> what the requirement names itself; called for `path:`, `git:`,
            `url:`, and Python packages by address.
        scratch: Makes a directory of ours for npm's own resolver.
    """

    python: PypiSource
    npm: Callable[[], NpmSource]
    load: Callable[[str, Package | None], Direct]
    scratch: Callable[[], Path]


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
            directs = _directs(request, indexes.load)
        loaded.append(directs)
        own = python_names(directs.values())
        for target in request.platforms.values():
            choice = python_choice(request, target, preferred=request.preferred, chosen={}, own=own)
            for text in request.requirements:
                if text.startswith(_PYTHON):
                    prefetch.want(declared(text), choice)
    uses = Uses()
    chosen = [
        _choose(request, indexes, prefetch, uses, directs) for request, directs in zip(requests, loaded, strict=True)
    ]
    trees = _trees(chosen)
    results = [_result(item, tree, uses, emit) for item, tree in zip(chosen, trees, strict=True)]
    direct = {declared(text).name for request in requests for text in request.requirements if text.startswith(_PYTHON)}
    packages = uses.packages(indexes.python, with_scripts=direct)
    return Resolution(environments=tuple(results), packages=tuple(sorted(packages, key=lambda package: package.id)))


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

    work: _Work
    packages: Mapping[str, frozenset[str]]
    node_pins: Mapping[str, NodeCandidate]
    optional: Optional
    rounds: int

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
    work = _Work(
        request=request,
        indexes=indexes,
        prefetch=prefetch,
        directs=directs,
        preferred=_with_own_pins(request.preferred, directs.values()),
        registry=indexes.npm() if _needs_npm(request, directs) else None,
    )
    chosen: dict[tuple[Kind, str], Any] = {}
    packages: dict[str, frozenset[str]] = {}
    node_pins: dict[str, NodeCandidate] = {}
    rounds = 0
    for platform, target in sorted(request.platforms.items()):
        conflicts = Conflicts()
        pins = work.resolve(target, chosen, conflicts)
        rounds += conflicts.rounds
        for pin in pins:
            chosen.setdefault((pin.namespace, pin.candidate.name), pin.candidate.version)
            uses.note(pin, target, indexes.python)
        node_pins |= {pin.candidate.name: pin.candidate for pin in pins if isinstance(pin.candidate, NodeCandidate)}
        packages[platform] = frozenset(pin.candidate.id for pin in pins if not isinstance(pin.candidate, NodeCandidate))
    used = [direct for direct in directs.values() if any(direct.package.id in ids for ids in packages.values())]
    optional = work.optional(used, chosen, node_pins)
    return _Chosen(work=work, packages=packages, node_pins=node_pins, optional=optional, rounds=rounds)


def _result(chosen: _Chosen, found: FoundTree | None, uses: Uses, emit: Sink) -> EnvironmentResult:
    name = chosen.work.request.name
    packages = {platform: set(ids) for platform, ids in chosen.packages.items()}
    told = [direct.package for direct in chosen.work.directs.values()]
    notes = [note for direct in chosen.work.directs.values() for note in direct.notes]
    notes += chosen.optional.notes
    tree: Mapping[str, str] = {}
    if found:
        tree = found.tree.paths
        _check_names(name, chosen.work.directs.values(), found)
        for project, texts in chosen.optional.edges_in(tree):
            uses.add_edges(project, texts)
        uses.add(found.tree.packages)
        notes += found.notes
        told += found.tree.packages
        for platform, ids in packages.items():
            ids |= {package_id for _, package_id in placements(tree, found.by_id, platform, found.tree.optional)}
    node = chosen.work.request.node
    wanting = [package for package in told if not node_allows(package.requires_node, node)]
    notes += [f"{package.id} wants Node {package.requires_node}, and gets {node}" for package in wanting]
    notes += [
        f"{package.id} wants to run a script when it is installed; it is installed without"
        for package in told
        if package.install_script
    ]
    data = {"packages": len(set().union(*packages.values())), "rounds": chosen.rounds}
    emit(Event(name="resolve.done", address=f"env:{name}", data=data))
    for note in notes:
        emit(Event(name="resolve.note", address=f"env:{name}", message=note))
    sorted_ids = {platform: tuple(sorted(ids)) for platform, ids in packages.items()}
    return EnvironmentResult(name=name, packages=sorted_ids, tree=tree, notes=tuple(notes))


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What stays the same over the platforms of an environment."""

    request: EnvironmentRequest
    indexes: Indexes
    prefetch: Prefetch
    directs: Mapping[str, Direct]
    preferred: Mapping[str, Sequence[str]]
    registry: NpmSource | None

    def resolve(self, target: PythonTarget, chosen: Mapping[tuple[Kind, str], Any], conflicts: Conflicts) -> list[Pin]:
        asker = self._asker(target, chosen)
        provider = Provider(asker.names, conflicts)
        asks = [ask for text in sorted(self.request.requirements) for ask in asker.asks(text, MANIFEST)]
        search: Search[Ask, Pin, Identifier] = Search(provider, conflicts)
        try:
            found = search.resolve(asks, max_rounds=_MAX_ROUNDS).mapping
        except ResolutionImpossible as error:
            raise explain(error.causes, conflicts=conflicts, names=provider.names, target=target) from error
        except ResolutionTooDeep as error:
            most = tuple(name for name, _ in conflicts.count.most_common(3))
            raise TooDeep(rounds=_MAX_ROUNDS, names=most) from error
        return _asked_for(asks, found, provider)

    def optional(
        self,
        directs: Iterable[Direct],
        chosen: Mapping[tuple[Kind, str], Any],
        taken: Mapping[str, NodeCandidate],
    ) -> Optional:
        wanting = sorted((direct for direct in directs if direct.optional), key=lambda direct: direct.text)
        names = self._asker(next(iter(self.request.platforms.values())), chosen).node if wanting else None
        return choose_optional(wanting, names, taken) if names else Optional()

    def _asker(self, target: PythonTarget, chosen: Mapping[tuple[Kind, str], Any]) -> Asker:
        asker = Asker(self.directs)
        by_namespace: dict[Kind, dict[str, Direct]] = {}
        for direct in self.directs.values():
            by_namespace.setdefault(direct.package.namespace, {})[direct.package.name] = direct
        own_python = python_names(self.directs.values())
        choice = python_choice(self.request, target, preferred=self.preferred, chosen=chosen, own=own_python)
        asker.python = PythonNames(
            index=self.indexes.python,
            choice=choice,
            prefetch=self.prefetch,
            direct=by_namespace.pop(Kind.PYPI, {}),
            ask=asker.asks,
        )
        if self.registry:
            own = by_namespace.pop(Kind.NPM, {})
            asker.node = node_names(
                self.request, self.registry, own, asker.asks, chosen=chosen, preferred=self.preferred
            )
        asker.others = [DirectNames(kind, names, asker.asks) for kind, names in by_namespace.items()]
        return asker


def _asked_for(asks: Iterable[Ask], pins: Mapping[Identifier, Pin], provider: Provider) -> list[Pin]:
    """Return the pins that the asks lead to.

    What a pin needed that was given up again stays among the rest. resolvelib's own `Resolver` looks from each pin for the
    way back to the asks, and goes round for ever where two of the rest need each other.
    """
    reached: set[Identifier] = set()
    waiting = [provider.identify(ask) for ask in asks]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += [provider.identify(ask) for ask in provider.get_dependencies(pins[node])]
    return [pin for node, pin in pins.items() if node in reached]


def _directs(request: EnvironmentRequest, load: Callable[[str, Package | None], Direct]) -> dict[str, Direct]:
    """Return everything that a requirement names itself, siblings included, by requirement."""
    found: dict[str, Direct] = {}
    claimed: dict[tuple[Kind, str], str] = {}
    waiting = sorted(text for text in request.requirements if is_direct(text))
    requirers = dict.fromkeys(waiting, "")
    while waiting:
        text = waiting.pop(0)
        if text in found:
            continue
        direct = load(text, request.pinned.get(text))
        found[text] = direct
        key = (direct.package.namespace, direct.package.name)
        other = claimed.setdefault(key, direct.text)
        if other != direct.text:
            claims = tuple((item, requirers.get(item, "")) for item in (other, direct.text))
            raise ClaimedName(name=direct.package.name, claims=claims)
        for item in filter(is_direct, direct.everything):
            requirers.setdefault(item, text)
            waiting.append(item)
    return found


def _with_own_pins(preferred: Mapping[str, Sequence[str]], directs: Iterable[Direct]) -> dict[str, tuple[str, ...]]:
    """Return what is preferred, and behind it what projects have in their own lock files."""
    merged = {name: tuple(versions) for name, versions in preferred.items()}
    for direct in sorted(directs, key=lambda item: item.text):
        for name, versions in direct.pins.items():
            merged[name] = (*merged.get(name, ()), *versions)
    return merged


def _needs_npm(request: EnvironmentRequest, directs: Mapping[str, Direct]) -> bool:
    texts = [*request.requirements, *(text for direct in directs.values() for text in direct.everything)]
    return any(text.startswith(_NPM) for text in texts) or any(
        direct.package.namespace is Kind.NPM for direct in directs.values()
    )
