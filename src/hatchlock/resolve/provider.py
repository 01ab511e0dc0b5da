"""Python packages in resolvelib's terms: what a requirement is, which candidates it has, what to look at first.

An extra is a node of its own, `(name, extra)`, that depends on exactly the same version of `(name, "")`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.requirements import InvalidRequirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version
from resolvelib import AbstractProvider, BaseReporter
from resolvelib.structs import RequirementInformation

from hatchlock.resolve.prefetch import Prefetch
from hatchlock.resolve.requirements import DirectUrl, Wanted, holds, parse
from hatchlock.sources.base import BadAnswer, UnknownPackage
from hatchlock.sources.python.pypi import PypiSource, WheelCandidate
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Ask", "Choice", "Conflicts", "Identifier", "Pin", "PythonProvider"]

Identifier = tuple[str, str]
"""Package name and extra; the extra "" is the package itself."""

_OFTEN = 5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ask:
    """A requirement in the resolver; each is only equal to itself.

    Attributes:
        name: Normalised.
        extra: Normalised, or "".
        specifier: The versions that would do.
        requirer: Who asks: `httpx 0.28.1`, or "the manifest".
        impossible: Why nothing can satisfy it; "" for a real requirement.
    """

    name: str
    extra: str
    specifier: SpecifierSet
    requirer: str
    impossible: str = ""

    @property
    def text(self) -> str:
        """The requirement as somebody would write it."""
        return f"{self.name}[{self.extra}]{self.specifier}" if self.extra else f"{self.name}{self.specifier}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pin:
    """A candidate in the resolver: a wheel, and for an extra's node that extra; each is only equal to itself."""

    candidate: WheelCandidate
    extra: str

    @property
    def version(self) -> Version:
        """The version."""
        return self.candidate.version


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What decides among candidates, apart from the requirements.

    Attributes:
        target: Where it is to run.
        constraints: Name -> versions allowed, if the name is needed at all.
        overrides: Name -> the only requirement on that name that counts.
        preferred: Name -> version to take if it will do.
    """

    target: PythonTarget
    constraints: Mapping[str, SpecifierSet] = field(default_factory=dict)
    overrides: Mapping[str, SpecifierSet] = field(default_factory=dict)
    preferred: Mapping[str, Version] = field(default_factory=dict)

    def candidates(self, index: PypiSource, name: str, specifiers: Sequence[SpecifierSet]) -> Iterator[WheelCandidate]:
        """Yield the candidates that satisfy all specifiers: the preferred one, then newest first.

        Yanked ones count only when preferred or pinned with `==` (PEP 592). Pre-releases count when a specifier names
        one (PEP 440), or when the name has no usable final release at all.
        """
        limits = [*specifiers, *([self.constraints[name]] if name in self.constraints else [])]
        preferred = self.preferred.get(name)
        early = any(limit.prereleases for limit in limits) or not index.has_final(name, self.target)
        pinned = {Version(spec.version) for limit in limits for spec in limit if _is_pin(spec.operator, spec.version)}
        versions = index.versions(name)
        ordered = [preferred, *versions] if preferred in versions else versions
        seen: set[Version] = set()
        for version in ordered:
            if version is None or version in seen or (version.is_prerelease and not early):
                continue
            seen.add(version)
            if not all(limit.contains(version, prereleases=True) for limit in limits):
                continue
            candidate = index.candidate(name, version, self.target)
            if candidate and (not candidate.file.yanked or version == preferred or version in pinned):
                yield candidate


def _is_pin(operator: str, version: str) -> bool:
    return operator in {"==", "==="} and not version.endswith(".*")


class Conflicts(BaseReporter[Ask, Pin, Identifier]):
    """Remembers each conflict on the way: how often a name was in one, and the first, which is about the newest versions."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.first: dict[frozenset[str], list[RequirementInformation[Ask, Pin]]] = {}
        self.rounds = 0

    def starting_round(self, index: int) -> None:
        """Count."""
        self.rounds = index + 1

    def resolving_conflicts(self, causes: Collection[RequirementInformation[Ask, Pin]]) -> None:
        """Remember it."""
        names = frozenset(cause.requirement.name for cause in causes)
        self.first.setdefault(names, list(causes))
        self.count.update(names)
        self.count.update({cause.parent.candidate.name for cause in causes if cause.parent})


class PythonProvider(AbstractProvider[Ask, Pin, Identifier]):
    """One environment on one target.

    Args:
        index: Where packages come from.
        choice: What decides among candidates.
        prefetch: Told of each requirement as soon as it is known.
        conflicts: The resolution's reporter.
    """

    def __init__(self, *, index: PypiSource, choice: Choice, prefetch: Prefetch, conflicts: Conflicts) -> None:
        self._index = index
        self._choice = choice
        self._prefetch = prefetch
        self._conflicts = conflicts
        self._pins: dict[tuple[WheelCandidate, str], Pin] = {}
        self._dependencies: dict[Pin, tuple[Ask, ...]] = {}
        self._satisfied: dict[tuple[Ask, Pin], bool] = {}

    def identify(self, requirement_or_candidate: Ask | Pin) -> Identifier:
        """Return the node."""
        if isinstance(requirement_or_candidate, Pin):
            return requirement_or_candidate.candidate.name, requirement_or_candidate.extra
        return requirement_or_candidate.name, requirement_or_candidate.extra

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[Identifier],
        resolutions: Mapping[Identifier, Pin],  # noqa: ARG002  resolvelib's signature
        candidates: Mapping[Identifier, Iterator[Pin]],  # noqa: ARG002
        information: Mapping[Identifier, Iterator[RequirementInformation[Ask, Pin]]],
        backtrack_causes: Sequence[RequirementInformation[Ask, Pin]],
    ) -> Iterable[Identifier]:
        """Choose one: what conflicts now, then what often did, then exact pins, then in the order of discovery.

        Settling early what conflicts keeps real closures from trying the same dead end once for each choice elsewhere.
        """
        known = list(identifiers)
        causes = {cause.requirement.name for cause in backtrack_causes}
        causes |= {cause.parent.candidate.name for cause in backtrack_causes if cause.parent}

        def order(identifier: Identifier) -> tuple[bool, int, bool, bool]:
            name, extra = identifier
            often = self._conflicts.count[name]
            return (
                name not in causes,
                -often if often >= _OFTEN else 0,
                not any(_pins(info.requirement.specifier) for info in information[identifier]),
                bool(extra),
            )

        return [min(known, key=order)]

    def get_preference(self, *_: Any, **__: Any) -> int:
        """Return the same for all."""
        return 0  # narrow_requirement_selection has chosen

    def find_matches(
        self,
        identifier: Identifier,
        requirements: Mapping[Identifier, Iterator[Ask]],
        incompatibilities: Mapping[Identifier, Iterator[Pin]],
    ) -> Sequence[Pin] | Callable[[], Iterator[Pin]]:
        """Return what satisfies all requirements on a node, best first; decided as far as somebody reads on.

        Raises:
            UnknownPackage: There is no such package; it names who requires it.
        """
        name, extra = identifier
        asks = list(requirements[identifier])
        if any(ask.impossible for ask in asks):
            return []
        self._page_exists(name, asks[0].requirer)
        if extra:
            asks += requirements[name, ""]
        specifiers = list({str(ask.specifier): ask.specifier for ask in asks}.values())
        excluded = {pin.version for pin in incompatibilities[identifier]}

        def matches() -> Iterator[Pin]:
            for candidate in self._choice.candidates(self._index, name, specifiers):
                if candidate.version not in excluded:
                    yield self._pin(candidate, extra)

        return matches

    def is_satisfied_by(self, requirement: Ask, candidate: Pin) -> bool:
        """Return whether a pin can stay."""
        # resolvelib asks this again for every pin in every round
        known = self._satisfied.get((requirement, candidate))
        if known is None:
            known = not requirement.impossible and requirement.specifier.contains(candidate.version, prereleases=True)
            self._satisfied[requirement, candidate] = known
        return known

    def get_dependencies(self, candidate: Pin) -> Sequence[Ask]:
        """Return what a candidate needs on the target; fetches its metadata."""
        if candidate not in self._dependencies:
            self._dependencies[candidate] = tuple(self._find_dependencies(candidate))
        return self._dependencies[candidate]

    def asks(self, wanted: Wanted, requirer: str) -> Iterator[Ask]:
        """Yield the nodes that a requirement speaks of: the package, and one for each extra.

        Raises:
            DirectUrl: It is an address.
        """
        if wanted.name in self._choice.overrides:
            wanted = replace(wanted, specifier=self._choice.overrides[wanted.name], url="")
        if wanted.url:
            raise DirectUrl(requirer=requirer, text=str(wanted))
        for extra in ("", *wanted.extras):
            yield Ask(name=wanted.name, extra=extra, specifier=wanted.specifier, requirer=requirer)

    def _pin(self, candidate: WheelCandidate, extra: str) -> Pin:
        return self._pins.setdefault((candidate, extra), Pin(candidate=candidate, extra=extra))

    def _page_exists(self, name: str, requirer: str) -> None:
        try:
            self._index.page(name)
        except UnknownPackage as error:
            raise UnknownPackage(kind=error.kind, name=name, index=error.index, requirer=requirer) from error

    def _find_dependencies(self, pin: Pin) -> Iterator[Ask]:
        requirer = str(pin.candidate)
        target = self._choice.target
        try:
            metadata = self._index.metadata(pin.candidate.file)
            wanted = [parse(text) for text in metadata.requires_dist]
        except (BadAnswer, InvalidRequirement) as error:
            yield _impossible(pin, f"{requirer} has unreadable metadata ({str(error).partition(chr(10))[0]})")
            return
        if not _runs_on(metadata.requires_python, target.full_python):
            yield _impossible(pin, f"{requirer} needs Python {metadata.requires_python}, not {target.python}")
            return
        if pin.extra:
            exactly = SpecifierSet(f"=={pin.version}", prereleases=True)
            yield Ask(name=pin.candidate.name, extra="", specifier=exactly, requirer=requirer)
        # all first, so that their pages are fetched at once
        needed = [item for item in wanted if _needed(item, target, pin.extra)]
        for item in needed:
            self._prefetch.want(item, self._choice)
        for item in needed:
            yield from self.asks(item, requirer)


def _needed(item: Wanted, target: PythonTarget, extra: str) -> bool:
    if not extra:
        return holds(item.marker, target)
    return holds(item.marker, target, extra) and not holds(item.marker, target)


def _pins(specifier: SpecifierSet) -> bool:
    return any(_is_pin(spec.operator, spec.version) for spec in specifier)


def _impossible(pin: Pin, why: str) -> Ask:
    # a name that no index can have, so that it meets no other requirement
    return Ask(
        name=f"{pin.candidate}!", extra="", specifier=SpecifierSet(), requirer=str(pin.candidate), impossible=why
    )


def _runs_on(requires_python: str, python: str) -> bool:
    try:
        return SpecifierSet(requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return True
