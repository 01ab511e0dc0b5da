"""One resolution in resolvelib's terms: what a requirement is, which candidates it has, what to look at first.

Names live in namespaces (`pypi` for everything Python, `npm` for everything Node, …), each answered by its own `Names`;
what needs what may cross them. An extra is a node of its own, `(namespace, name, extra)`, that depends on exactly the same
version of `(namespace, name, "")`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from resolvelib import AbstractProvider, BaseReporter
from resolvelib.structs import RequirementInformation

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError

__all__ = [
    "MANIFEST",
    "Ask",
    "Bounds",
    "Candidate",
    "Conflicts",
    "Identifier",
    "Names",
    "Pin",
    "Provider",
    "impossible",
]

Identifier = tuple[Kind, str, str]
"""Namespace, package name and extra; the extra "" is the package itself."""

MANIFEST = "the manifest"
"""Who asks for what the manifest asks for."""

_OFTEN = 5
_MOST_WAYS = 20
_MOST_STEPS = 5_000


class Bounds(Protocol):
    """Which versions would do, by the rule of a namespace; its text is how somebody would write it behind the name."""

    def contains(self, item: Any, /, *, prereleases: bool) -> bool:
        """Return whether a version of that namespace would do."""
        ...


class Candidate(Protocol):
    """A version of a package, as a target would get it; equal only to itself."""

    @property
    def id(self) -> str:
        """`kind:name@version`."""
        ...

    @property
    def name(self) -> str:
        """Normalised."""
        ...

    @property
    def version(self) -> Any:
        """Comparable with others of its namespace; its text is how the lock writes it."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ask:
    """A requirement in the resolver; each is only equal to itself.

    Attributes:
        namespace: Whose name it is.
        name: Normalised.
        extra: Normalised, or "".
        bounds: The versions that would do.
        requirer: Who asks: `httpx 0.28.1`, or "the manifest".
        impossible: Why nothing can satisfy it; "" for a real requirement.
    """

    namespace: Kind
    name: str
    extra: str = ""
    bounds: Bounds
    requirer: str
    impossible: str = ""

    @property
    def text(self) -> str:
        """The requirement as somebody would write it."""
        name = f"{self.name}[{self.extra}]" if self.extra else self.name
        bounds = str(self.bounds)
        return f"{name}@{bounds}" if self.namespace is Kind.NPM and bounds else f"{name}{bounds}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pin:
    """A candidate in the resolver, and for an extra's node that extra; each is only equal to itself."""

    namespace: Kind
    candidate: Candidate
    extra: str


class Names(Protocol):
    """The names of one namespace on one target. Candidates and asks that it gets are its own."""

    namespace: Kind

    def candidates(self, name: str, asks: Sequence[Ask]) -> Iterator[Any]:
        """Yield the candidates that satisfy all asks, the best first; decided as far as somebody reads on.

        Raises:
            UnknownPackage: There is no such package; it names who requires it.
        """
        ...

    def allows(self, ask: Ask, candidate: Any) -> bool:
        """Return whether a candidate satisfies an ask."""
        ...

    def pins(self, ask: Ask) -> bool:
        """Return whether an ask allows one version only."""
        ...

    def needs(self, candidate: Any, extra: str) -> Iterable[Ask]:
        """Return what a candidate needs on the target, of any namespace; waits for its metadata."""
        ...

    def usable(self, name: str) -> Iterator[Any]:
        """Yield every candidate of a name that the target can use, the best first."""
        ...

    def ruled_out(self, ask: Ask) -> Iterator[str]:
        """Yield why the newest versions that satisfy an ask cannot be used, a sentence each, newest first."""
        ...

    def refusal(self, ask: Ask) -> HatchlockError | None:
        """Return the error that says best why nothing satisfies an ask, where the usual sentence says too little."""
        ...

    def limit(self, name: str) -> str:
        """Return the constraint on a name as text, or ""."""
        ...


def impossible(who: str, why: str, namespace: Kind) -> Ask:
    """Return what makes a candidate unusable: an ask that nothing satisfies.

    Args:
        who: The candidate; it is made a name that no index can have, so that it meets no other requirement.
        why: The reason, as a sentence.
        namespace: The candidate's.
    """
    return Ask(namespace=namespace, name=f"{who}!", bounds=_Nothing(), requirer=who, impossible=why)


class _Nothing:
    def contains(self, _: Any, /, *, prereleases: bool) -> bool:
        del prereleases
        return False

    def __str__(self) -> str:
        return ""


class Conflicts(BaseReporter[Ask, Pin, Identifier]):
    """Remembers each conflict on the way: how often a name was in one, and the first, which is about the newest versions."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.first: dict[frozenset[str], list[RequirementInformation[Ask, Pin]]] = {}
        self.rounds = 0
        self._asked: dict[tuple[Kind, str], dict[str, None]] = {}
        self._nodes: dict[str, tuple[Kind, str]] = {}

    def adding_requirement(self, requirement: Ask, parent: Pin | None) -> None:
        """Remember who asked for what, to tell the way from the manifest."""
        self._asked.setdefault((requirement.namespace, requirement.name), {})[requirement.requirer] = None
        if parent:
            self._nodes[requirement.requirer] = (parent.namespace, parent.candidate.name)

    def ways(self, requirer: str) -> tuple[tuple[str, ...], ...]:
        """Return the ways by which the manifest came to a requirer, at most 20, the shortest first, both ends left out."""
        found: list[tuple[str, ...]] = []
        waiting: deque[tuple[str, ...]] = deque([(requirer,)])
        for _ in range(_MOST_STEPS):
            if not waiting or len(found) == _MOST_WAYS:
                break
            way = waiting.popleft()
            node = self._nodes.get(way[0])
            for before in self._asked.get(node, ()) if node else ():
                if before == MANIFEST:
                    found.append(way[:-1])
                elif node and all(self._nodes.get(before) != self._nodes.get(item) for item in way):
                    waiting.append((before, *way))
        return tuple(found)

    def starting_round(self, index: int) -> None:
        """Count."""
        self.rounds = index + 1

    def resolving_conflicts(self, causes: Collection[RequirementInformation[Ask, Pin]]) -> None:
        """Remember it."""
        names = frozenset(cause.requirement.name for cause in causes)
        self.first.setdefault(names, list(causes))
        self.count.update(names)


class Provider(AbstractProvider[Ask, Pin, Identifier]):
    """Answers resolvelib's questions for one resolution, each by the names of its namespace.

    Args:
        names: The namespaces.
        conflicts: Of the same resolution; decides what is looked at first.
    """

    def __init__(self, names: Iterable[Names], conflicts: Conflicts) -> None:
        self.names = {item.namespace: item for item in names}
        self._conflicts = conflicts
        self._pins: dict[tuple[Candidate, str], Pin] = {}
        self._needs: dict[Pin, tuple[Ask, ...]] = {}
        self._satisfied: dict[tuple[Ask, Pin], bool] = {}
        self._exact: dict[Ask, bool] = {}

    def identify(self, requirement_or_candidate: Ask | Pin) -> Identifier:
        """Return the node."""
        if isinstance(requirement_or_candidate, Pin):
            pin = requirement_or_candidate
            return pin.namespace, pin.candidate.name, pin.extra
        return requirement_or_candidate.namespace, requirement_or_candidate.name, requirement_or_candidate.extra

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
            _, name, extra = identifier
            often = self._conflicts.count[name]
            return (
                name not in causes,
                -often if often >= _OFTEN else 0,
                not any(self._pins_one(info.requirement) for info in information[identifier]),
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
        namespace, name, extra = identifier
        asks = list(requirements[identifier])
        if any(ask.impossible for ask in asks):
            return []
        if extra:
            asks += requirements[namespace, name, ""]
        excluded = {pin.candidate.version for pin in incompatibilities[identifier]}
        names = self.names[namespace]

        def matches() -> Iterator[Pin]:
            for candidate in names.candidates(name, asks):
                if candidate.version not in excluded:
                    yield self._pin(namespace, candidate, extra)

        return matches

    def is_satisfied_by(self, requirement: Ask, candidate: Pin) -> bool:
        """Return whether a pin can stay."""
        # resolvelib asks this again for every pin in every round
        known = self._satisfied.get((requirement, candidate))
        if known is None:
            names = self.names[requirement.namespace]
            known = not requirement.impossible and names.allows(requirement, candidate.candidate)
            self._satisfied[requirement, candidate] = known
        return known

    def get_dependencies(self, candidate: Pin) -> Sequence[Ask]:
        """Return what a candidate needs on the target; fetches its metadata."""
        if candidate not in self._needs:
            names = self.names[candidate.namespace]
            self._needs[candidate] = tuple(names.needs(candidate.candidate, candidate.extra))
        return self._needs[candidate]

    def _pins_one(self, ask: Ask) -> bool:
        known = self._exact.get(ask)
        if known is None:
            known = self._exact[ask] = not ask.impossible and self.names[ask.namespace].pins(ask)
        return known

    def _pin(self, namespace: Kind, candidate: Candidate, extra: str) -> Pin:
        key = (candidate, extra)
        if key not in self._pins:
            self._pins[key] = Pin(namespace=namespace, candidate=candidate, extra=extra)
        return self._pins[key]
