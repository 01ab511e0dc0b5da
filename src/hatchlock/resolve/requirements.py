"""Python requirements as the resolver uses them, parsed once each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from packaging.markers import Marker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from hatchlock.address import BadSource, Kind
from hatchlock.errors import HatchlockError
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["DirectUrl", "Wanted", "declared", "holds", "of_another_extra", "parse"]


_EXTRA = re.compile(r"""\bextra\s*==\s*["']([\w.-]+)["']""")
_OR = re.compile(r"\bor\b")
_PARSED: dict[str, Wanted] = {}


@dataclass(kw_only=True, eq=False)
class DirectUrl(HatchlockError):
    """A package requires another by an address instead of a version."""

    code: ClassVar[str] = "direct-url"

    requirer: str
    text: str

    def __str__(self) -> str:
        return f"{self.requirer} requires {self.text}, which is an address and no version of an index"

    def _hint(self) -> str:
        return "ask for another version of it, or replace the requirement with `overrides`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A parsed PEP 508 requirement.

    Attributes:
        name: Normalised (PEP 503).
        extras: Normalised, sorted.
        specifier: The versions that would do.
        marker: As text, "" if there is none.
        url: A direct reference, or "".
    """

    name: str
    extras: tuple[str, ...]
    specifier: SpecifierSet
    marker: str
    url: str

    def __str__(self) -> str:
        """Return it without its marker, in one spelling for all who mean the same."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}{self.specifier}" + (f" @ {self.url}" if self.url else "")

    @property
    def with_marker(self) -> str:
        """The requirement as the lock writes it."""
        return f"{self} ; {self.marker}" if self.marker else str(self)


def parse(text: str) -> Wanted:
    """Read a PEP 508 requirement.

    Raises:
        packaging.requirements.InvalidRequirement: It is none.
    """
    known = _PARSED.get(text)
    if known is None:
        known = _PARSED[text] = _parse(text)
        # the normal form of a requirement means the same, and is asked for next
        _PARSED[known.with_marker] = known
    return known


def of_another_extra(text: str, extra: str) -> bool:
    """Return whether a requirement plainly belongs to extras other than this one; most requirements of packages do.

    That is told without parsing: a marker without `or` that compares `extra` with something else cannot hold.
    """
    marker = text.partition(";")[2]
    found = _EXTRA.findall(marker)
    return bool(found) and not _OR.search(marker) and all(canonicalize_name(name) != extra for name in found)


def _parse(text: str) -> Wanted:
    parsed = Pep508(text)
    return Wanted(
        name=canonicalize_name(parsed.name),
        extras=tuple(sorted(canonicalize_name(extra) for extra in parsed.extras)),
        specifier=parsed.specifier,
        marker=str(parsed.marker) if parsed.marker else "",
        url=parsed.url or "",
    )


def declared(text: str) -> Wanted:
    """Read a requirement as the manifest writes it: `pypi:` and PEP 508.

    Raises:
        BadSource: It is not one.
    """
    kind, colon, spec = text.partition(":")
    if not colon or kind != Kind.PYPI:
        raise BadSource(text=text, why="the Python resolver takes pypi: only")
    try:
        wanted = parse(spec.strip())
    except InvalidRequirement as error:
        why = str(error).partition("\n")[0]
        raise BadSource(text=text, why=why, advice="write pypi:NAME[extras]>=VERSION as in PEP 508") from error
    return wanted


def holds(marker: str, target: PythonTarget, extra: str = "") -> bool:
    """Return whether a marker holds on a target with one extra ("" for none)."""
    return not marker or _evaluate(marker, target, extra)


@cache
def _evaluate(marker: str, target: PythonTarget, extra: str) -> bool:
    try:
        return Marker(marker).evaluate({**target.marker_environment, "extra": extra})
    except UndefinedEnvironmentName:
        return False
