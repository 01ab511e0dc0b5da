"""Why a set of requirements has no solution, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from resolvelib.structs import RequirementInformation

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.resolve.direct import is_direct
from hatchlock.resolve.provider import MANIFEST, Ask, Conflicts, Names, Pin
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["Demand", "NoVersion", "ResolutionConflict", "TooDeep", "Unusable", "explain"]

_NEAREST = 3
_MOST_WAYS = 5
_EXACTLY = {Kind.NPM: "@", Kind.DEB: "="}
_WITH_MARKS = {Kind.PYPI, Kind.HATCH}
_Cause = RequirementInformation[Ask, Pin]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """One side of a conflict.

    Attributes:
        requirer: `httpx 0.28.1`, "the manifest", "a constraint".
        requirement: `anyio>=4.5`.
        would_do: The newest versions that would satisfy it, newest first.
        ways: How the manifest comes to the requirer, the shortest ways first, both ends left out.
        more: Whether there are further ways.
    """

    requirer: str
    requirement: str
    would_do: tuple[str, ...]
    ways: tuple[tuple[str, ...], ...] = ()
    more: bool = False

    def __str__(self) -> str:
        versions = f" ({' or '.join(self.would_do)} would do)" if self.would_do else " (no version would do)"
        ways = [" → ".join(way) for way in self.ways if way] + (["…"] if self.more else [])
        through = f", by way of {' and of '.join(ways)}" if ways else ""
        return f"{self.requirer} requires {self.requirement}{versions}{through}"


@dataclass(kw_only=True, eq=False)
class ResolutionConflict(HatchlockError):
    """Two or more requirements on a package have no version in common."""

    code: ClassVar[str] = "conflict"

    kind: Kind
    name: str
    target: str
    demands: tuple[Demand, ...]

    def __str__(self) -> str:
        return (
            f"no version of {self.name} suits everybody on {self.target}: {_and([str(item) for item in self.demands])}"
        )

    def _hint(self) -> str:
        own = [item for item in self.demands if item.requirer == MANIFEST]
        if own:
            return f"change {own[0].requirement} in the manifest, or put the others into another environment"
        names = sorted({item.requirer.partition(" ")[0] for item in self.demands})
        projects = [name for name in names if is_direct(name)]
        packages = [name for name in names if name not in projects]
        ways = [f"ask for other versions of {_and(packages)}"] if packages else []
        ways += [f"change what {_and(projects)} need{'s' if len(projects) == 1 else ''}"] if projects else []
        ways += ["separate them into two environments"]
        if self.kind not in {Kind.PYPI, Kind.NPM}:
            return ", or ".join(ways)
        return f'{", ".join(ways)}, or decide with overrides = ["{self.kind}:{self.name}…"]'


@dataclass(kw_only=True, eq=False)
class NoVersion(HatchlockError):
    """No version of a package satisfies one requirement."""

    code: ClassVar[str] = "no-version"

    kind: Kind
    name: str
    requirement: str
    requirer: str
    target: str
    nearest: tuple[str, ...]
    unusable: tuple[str, ...] = ()

    def __str__(self) -> str:
        limits = "can be used" if self.requirement == self.name else f"satisfies {self.requirement}"
        start = f"no version of {self.name}, which {self.requirer} requires, {limits} on {self.target}"
        if self.unusable:
            return f"{start}: {'; '.join(self.unusable)}"
        if not self.nearest:
            return f"{start}: the index has none that can be used"
        return f"{start}; the nearest that can be used are {', '.join(self.nearest)}"

    def _hint(self) -> str:
        if any("exclude-newer" in reason for reason in self.unusable):
            return "move exclude-newer, or ask for an older version"
        if self.nearest:
            exact = _EXACTLY.get(self.kind, "==")
            # what a directory has behind its version is a mark of ours
            version = self.nearest[0].partition("+")[0] if self.kind in _WITH_MARKS else self.nearest[0]
            return f"ask for {self.name}{exact}{version}, for example"
        return "choose another Python version or platform"


@dataclass(kw_only=True, eq=False)
class Unusable(HatchlockError):
    """Every version that was tried says something that rules it out."""

    code: ClassVar[str] = "unusable"

    target: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"there is no solution on {self.target}: {'; '.join(self.reasons)}"

    def _hint(self) -> str:
        return "choose another Python version, or another version of what requires it"


@dataclass(kw_only=True, eq=False)
class TooDeep(HatchlockError):
    """The search was given up."""

    code: ClassVar[str] = "too-deep"

    rounds: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"no solution was found in {self.rounds} rounds; most conflicts are about {_and(list(self.names))}"

    def _hint(self) -> str:
        return f"narrow it down: require a version range of {self.names[0]}" if self.names else ""


def explain(
    causes: Collection[_Cause], *, conflicts: Conflicts, names: Mapping[Kind, Names], target: PythonTarget
) -> HatchlockError:
    """Return the error to show for an unsolvable set of requirements.

    Args:
        causes: resolvelib's last conflict. It is about the oldest versions that were tried; the first conflict on the
            same names, about the newest, says the same and is what a user knows.
        conflicts: All conflicts on the way.
        names: To say which versions would do.
        target: What was resolved for.
    """
    known = conflicts.first.get(frozenset(cause.requirement.name for cause in causes), list(causes))
    asks = [cause.requirement for cause in known]
    real = [ask for ask in asks if not ask.impossible]
    by_name: dict[tuple[Kind, str], list[Ask]] = {}
    for ask in real:
        by_name.setdefault((ask.namespace, ask.name), []).append(ask)
    unmet = [key for key, group in by_name.items() if not _has_candidate(names, group)]
    if not unmet:
        reasons = tuple(dict.fromkeys(ask.impossible for ask in asks if ask.impossible))
        reasons = reasons or tuple(f"{ask.requirer} requires {ask.text}" for ask in real)
        return Unusable(target=_where(target, Kind.PYPI), reasons=reasons)
    kind, name = unmet[0]
    where = _where(target, kind)
    demands = _distinct(by_name[unmet[0]])
    alone = [ask for ask in demands if not _has_candidate(names, [ask])]
    if alone:
        return names[kind].refusal(alone[0]) or _no_version(alone[0], where, names[kind])
    shown = [
        Demand(
            requirer=ask.requirer,
            requirement=ask.text,
            would_do=_would_do(names[kind], ask),
            ways=(ways := conflicts.ways(ask.requirer))[:_MOST_WAYS],
            more=len(ways) > _MOST_WAYS,
        )
        for ask in demands
    ]
    return ResolutionConflict(kind=kind, name=name, target=where, demands=tuple(shown))


def _where(target: PythonTarget, namespace: Kind) -> str:
    return f"{target.platform} with Python {target.python}" if namespace is Kind.PYPI else target.platform


def _has_candidate(names: Mapping[Kind, Names], asks: Sequence[Ask]) -> bool:
    return next(names[asks[0].namespace].candidates(asks[0].name, asks), None) is not None


def _distinct(asks: Iterable[Ask]) -> list[Ask]:
    return list({(ask.requirer.partition(" ")[0], str(ask.bounds)): ask for ask in reversed(list(asks))}.values())[::-1]


def _would_do(names: Names, ask: Ask) -> tuple[str, ...]:
    return tuple(str(item.version) for item in islice(names.candidates(ask.name, [ask]), 2))


def _no_version(ask: Ask, target: str, names: Names) -> NoVersion:
    constraint = names.limit(ask.name)
    usable = islice(names.usable(ask.name), _NEAREST)
    return NoVersion(
        kind=ask.namespace,
        name=ask.name,
        requirement=f"{ask.text} and the constraint {constraint}" if constraint else ask.text,
        requirer=ask.requirer,
        target=target,
        nearest=tuple(str(item.version) for item in usable),
        unusable=tuple(names.ruled_out(ask)),
    )


def _and(items: Sequence[str]) -> str:
    if len(items) < 2:  # noqa: PLR2004  one item needs no "and"
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
