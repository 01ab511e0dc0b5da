"""The resolution of one environment on one platform after the other: which names there are, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version
from resolvelib import ResolutionImpossible, ResolutionTooDeep
from resolvelib.resolvers import Resolution as Search

from hatchlock.address import Kind
from hatchlock.lock.model import Package
from hatchlock.resolve.asker import Asker, node_names, python_choice, python_names
from hatchlock.resolve.conda_layer import CondaFound, CondaLayer
from hatchlock.resolve.cycles import check_cycles
from hatchlock.resolve.direct import ClaimedName, Direct, direct_source, is_direct, normal_form
from hatchlock.resolve.explain import TooDeep, explain
from hatchlock.resolve.node import NodeCandidate
from hatchlock.resolve.node_optional import Optional, choose_optional
from hatchlock.resolve.preferred import preferred_of
from hatchlock.resolve.prefetch import Prefetch
from hatchlock.resolve.programs import DirectNames
from hatchlock.resolve.provider import MANIFEST, Ask, Conflicts, Identifier, Pin, Provider
from hatchlock.resolve.python import PythonNames
from hatchlock.resolve.released import NamedBounds, Released, ReleasedNames
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.resolve.shelves import CondaShelf, DebDesk, DebShelf, HatchArchives, HatchShelf, ImageShelf, ImageTags
from hatchlock.resolve.unbuilt import check_unbuilt
from hatchlock.sources.conda.solve import CondaSource
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Indexes", "Resolved", "Work", "directs_of", "needs_npm", "with_own_pins"]

_MAX_ROUNDS = 20_000
_NPM = f"{Kind.NPM}:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Indexes:
    """Where things come from.

    Attributes:
        python: Python packages.
        npm: Opens npm's registry; called only when an environment needs it.
        load: Requirement, and the package that is pinned -> what the requirement names itself; called for `path:`, `git:`,
            `url:`, `hatch:./DIRECTORY`, and Python packages by address.
        scratch: Makes a directory of ours for npm's own resolver.
        hatch: Opens the Hatch registries; called when a name of theirs is needed.
        tags: Opens the image registries, likewise.
        debian: Request and platform -> what there is of Debian for its base, likewise.
        conda: Opens conda's solver, likewise.
    """

    python: PypiSource
    npm: Callable[[], NpmSource]
    load: Callable[[str, Package | None], Direct]
    scratch: Callable[[], Path]
    hatch: Callable[[], HatchArchives]
    tags: Callable[[], ImageTags]
    debian: Callable[[EnvironmentRequest, str], DebDesk]
    conda: Callable[[], CondaSource]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What one platform gets.

    Attributes:
        pins: Of all kinds but those whose own solvers choose.
        asks: Everything that was asked of these kinds: Debian's, and conda's.
        conda: What conda's solver chose, and where Python packages run.
    """

    pins: list[Pin]
    asks: Mapping[Kind, Sequence[Ask]]
    conda: CondaFound


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What stays the same over the platforms of an environment."""

    request: EnvironmentRequest
    indexes: Indexes
    prefetch: Prefetch
    directs: Mapping[str, Direct]
    preferred: Mapping[str, Sequence[str]]
    registry: NpmSource | None
    hatch: HatchShelf = field(init=False)
    images: ImageShelf = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hatch", HatchShelf(self.indexes.hatch))
        object.__setattr__(self, "images", ImageShelf(self.indexes.tags))

    def resolve(self, target: PythonTarget, chosen: Mapping[tuple[Kind, str], Any], conflicts: Conflicts) -> Resolved:
        """Choose versions for one platform.

        Conda's packages are solved for before, since Python's names are taken by them, and again when something turned out
        to need more of them.

        Raises:
            HatchlockError: What `resolve_environments` raises.
        """
        layer = CondaLayer(self.indexes.conda, self.request, preferred=preferred_of(Kind.CONDA, self.preferred))
        wanted = {normal_form(text) for text in self.request.requirements if text.startswith(f"{Kind.CONDA}:")}
        while True:
            found = layer.find(wanted, target)
            here = found.target
            asker = self._asker(here, chosen, owned=found.owned)
            asks, pins, provider = self._search(asker, here, conflicts)
            asked = _asks_of(asks, pins, provider)
            further = {_text(ask) for ask in asked.get(Kind.CONDA, ())}
            if further <= wanted:
                check_cycles(pins, provider)
                kept = [pin for pin in pins if pin.namespace not in asked]
                return Resolved(pins=kept, asks=asked, conda=found)
            wanted |= further

    def package(self, candidate: Released) -> Package:
        """Return what the lock holds of a Hatch package or an image."""
        return (self.images if candidate.kind is Kind.OCI else self.hatch).package(candidate)

    def optional(
        self,
        directs: Iterable[Direct],
        chosen: Mapping[tuple[Kind, str], Any],
        taken: Mapping[str, NodeCandidate],
    ) -> Optional:
        """Return what projects can do without, and can have."""
        wanting = sorted((direct for direct in directs if direct.optional), key=lambda direct: direct.text)
        target = next(iter(self.request.platforms.values()))
        names = self._asker(target, chosen, owned={}).node if wanting else None
        return choose_optional(wanting, names, taken) if names else Optional()

    def _search(
        self, asker: Asker, target: PythonTarget, conflicts: Conflicts
    ) -> tuple[list[Ask], list[Pin], Provider]:
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
        return asks, _asked_for(asks, found, provider), provider

    def _asker(
        self, target: PythonTarget, chosen: Mapping[tuple[Kind, str], Any], *, owned: Mapping[str, Version]
    ) -> Asker:
        asker = Asker(self.directs)
        by_namespace: dict[Kind, dict[str, Direct]] = {}
        for direct in self.directs.values():
            by_namespace.setdefault(direct.package.namespace, {})[direct.package.name] = direct
        own_python = python_names(self.directs.values()) | owned.keys()
        choice = python_choice(self.request, target, preferred=self.preferred, chosen=chosen, own=own_python)
        asker.python = PythonNames(
            index=self.indexes.python,
            choice=choice,
            prefetch=self.prefetch,
            direct=by_namespace.pop(Kind.PYPI, {}),
            owned=owned,
            ask=asker.asks,
        )
        if self.registry:
            own = by_namespace.pop(Kind.NPM, {})
            asker.node = node_names(
                self.request, self.registry, own, asker.asks, chosen=chosen, preferred=self.preferred
            )
        debian = DebShelf(lambda: self.indexes.debian(self.request, target.platform))
        for shelf in (self.hatch.on(target), self.images, debian, CondaShelf()):
            own = by_namespace.pop(shelf.kind, {})
            preferred = preferred_of(shelf.kind, self.preferred, chosen)
            asker.released.append(ReleasedNames(shelf, direct=own, ask=asker.asks, preferred=preferred))
        asker.others = [DirectNames(kind, names, asker.asks) for kind, names in by_namespace.items()]
        return asker


def _text(ask: Ask) -> str:
    assert isinstance(ask.bounds, NamedBounds)  # noqa: S101  only these are asked of such kinds
    return f"{ask.namespace}:{ask.bounds.named.text}"


def _asks_of(asks: Iterable[Ask], pins: Iterable[Pin], provider: Provider) -> dict[Kind, list[Ask]]:
    """Return what is asked, by the manifest and by what was chosen, of the kinds that have a solver of their own."""
    found: dict[Kind, list[Ask]] = {}
    for ask in (*asks, *(ask for pin in pins for ask in provider.get_dependencies(pin))):
        if ask.namespace in {Kind.DEB, Kind.CONDA} and not ask.impossible:
            found.setdefault(ask.namespace, []).append(ask)
    return found


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


def directs_of(request: EnvironmentRequest, load: Callable[[str, Package | None], Direct]) -> dict[str, Direct]:
    """Return everything that a requirement names itself, siblings included, by what it names.

    Raises:
        ClaimedName: Two of them have one name.
        NeedsBuild, MetadataNotTold: One of them cannot be used as it is, and is not built.
        HatchlockError: What `load` raises.
    """
    found: dict[str, Direct] = {}
    claimed: dict[tuple[Kind, str], str] = {}
    waiting = sorted({direct_source(text) for text in request.requirements if is_direct(text)})
    requirers = dict.fromkeys(waiting, "")
    while waiting:
        text = waiting.pop(0)
        if text in found:
            continue
        direct = load(text, request.pinned.get(text))
        check_unbuilt(direct, request)
        found[text] = direct
        key = (direct.package.namespace, direct.package.name)
        other = claimed.setdefault(key, direct.text)
        if other != direct.text:
            claims = tuple((item, requirers.get(item, "")) for item in (other, direct.text))
            raise ClaimedName(name=direct.package.name, claims=claims)
        for item in map(direct_source, filter(is_direct, direct.everything)):
            requirers.setdefault(item, text)
            waiting.append(item)
    return found


def with_own_pins(preferred: Mapping[str, Sequence[str]], directs: Iterable[Direct]) -> dict[str, tuple[str, ...]]:
    """Return what is preferred, and behind it what projects have in their own lock files."""
    merged = {name: tuple(versions) for name, versions in preferred.items()}
    for direct in sorted(directs, key=lambda item: item.text):
        for name, versions in direct.pins.items():
            merged[name] = (*merged.get(name, ()), *versions)
    return merged


def needs_npm(request: EnvironmentRequest, directs: Mapping[str, Direct]) -> bool:
    """Return whether an environment has to do with npm's registry."""
    texts = [*request.requirements, *(text for direct in directs.values() for text in direct.everything)]
    return any(text.startswith(_NPM) for text in texts) or any(
        direct.package.namespace is Kind.NPM for direct in directs.values()
    )
