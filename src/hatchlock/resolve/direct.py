"""What a requirement names itself instead of asking an index.

These are projects in directories and repositories, Hatch packages in directories, files, programs, and entries of the MCP
registry. Each has one version only: what lies there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hatchlock.address import Kind, Source
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import Package
from hatchlock.resolve.requirements import declared
from hatchlock.sources.conda.declared import declared_conda
from hatchlock.sources.hatch.declared import declared_hatch, is_path, split_requirement
from hatchlock.sources.projects.git_reference import GitReference
from hatchlock.sources.projects.path_reference import PathReference

__all__ = [
    "ClaimedName",
    "Direct",
    "DirectCandidate",
    "SameIdentity",
    "direct_source",
    "is_direct",
    "is_on_this_machine",
    "normal_form",
]

_KINDS = (Kind.PATH, Kind.GIT, Kind.URL, Kind.MCP)


@dataclass(kw_only=True, eq=False)
class ClaimedName(HatchlockError):
    """Two things in one environment go by one name.

    Attributes:
        name: The name.
        claims: What goes by it, and what requires that; "" for the manifest.
    """

    code: ClassVar[str] = "claimed-name"

    name: str
    claims: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        claims = (text + (f", which {requirer} requires," if requirer else "") for text, requirer in self.claims)
        return f"the name {self.name} is claimed by {' and by '.join(claims)}".removesuffix(",")

    def _hint(self) -> str:
        return "put them into two environments, or leave one out"


@dataclass(kw_only=True, eq=False)
class SameIdentity(HatchlockError):
    """Two requirements lead to things that the lock could not tell apart."""

    code: ClassVar[str] = "same-identity"

    id: str
    sources: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.sources[0]} and {self.sources[1]} are both {self.id}"

    def _hint(self) -> str:
        return "name the same thing in the same words everywhere, or give one of two projects another version"


def normal_form(text: str) -> str:
    """Return a requirement in the one spelling that all have who mean the same.

    Raises:
        BadSource: It is malformed.
    """
    source = Source.parse(text)
    match source.kind:
        case Kind.PATH:
            return f"{Kind.PATH}:{PathReference.parse(source.spec)}"
        case Kind.GIT:
            return f"{Kind.GIT}:{GitReference.parse(source.spec)}"
        case Kind.HATCH:
            return f"{Kind.HATCH}:{declared_hatch(source.spec)}"
        case Kind.CONDA:
            return f"{Kind.CONDA}:{declared_conda(source.spec)}"
        case Kind.PYPI if not is_direct(text):
            return f"{Kind.PYPI}:{declared(text).with_marker}"
    return text


def is_direct(text: str) -> bool:
    """Return whether a requirement names itself what it means.

    Such are `path:…`, `git:…`, `url:…`, `mcp:…`, `hatch:./DIRECTORY`, `pypi:NAME @ URL`.
    """
    kind, _, spec = text.partition(":")
    if kind == Kind.HATCH:
        return is_path(split_requirement(spec)[0])
    return kind in _KINDS or (kind == Kind.PYPI and "@" in spec.partition(";")[0])


def is_on_this_machine(text: str) -> bool:
    """Return whether a requirement names a directory of this machine: `path:…`, `hatch:./DIRECTORY`, `git:file:///…`.

    Raises:
        BadSource: It names a repository, and is malformed.
    """
    kind, _, spec = text.partition(":")
    if kind == Kind.GIT:
        return GitReference.parse(spec).is_local
    return is_direct(text) and kind in {Kind.PATH, Kind.HATCH}


def direct_source(text: str) -> str:
    """Return what a direct requirement names, apart from what it says about versions: `hatch:./kit` of `hatch:./kit>=1`."""
    kind, _, spec = text.partition(":")
    return f"{kind}:{declared_hatch(spec).target}" if kind == Kind.HATCH else text


@dataclass(frozen=True, kw_only=True, slots=True)
class Direct:
    """Something that is where a requirement says.

    Attributes:
        text: The requirement, in its normal form: `path:./server`.
        package: As the lock holds it, with all its requirements as dependencies.
        extras: Extra -> requirements.
        optional: `npm:` requirements that it can do without.
        pins: `pypi:NAME` or `npm:NAME` -> versions of its own lock file, to be preferred.
        needs_build: Why it cannot be used as it lies there; "" if it can.
        build: What is needed where it is built, sorted, as an environment requires it; None if it is not built, or nobody knows
            how.
        says_version: Whether its version could be read; else it is "0", and suits everybody.
        notes: Sentences that people should see.
    """

    text: str
    package: Package
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs_build: str = ""
    build: tuple[str, ...] | None = None
    says_version: bool = True
    notes: tuple[str, ...] = ()

    @property
    def everything(self) -> tuple[str, ...]:
        """Its requirements, with those of every extra, and those that it can do without."""
        return (*self.package.dependencies, *self.optional, *(text for texts in self.extras.values() for text in texts))

    def needs(self, extra: str = "") -> tuple[str, ...]:
        """Return its requirements, or those that an extra adds; an extra that it does not have adds none."""
        return self.extras.get(extra, ()) if extra else self.package.dependencies


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DirectCandidate:
    """It as a candidate, its version parsed by the rule of its namespace."""

    direct: Direct
    version: Any

    @property
    def id(self) -> str:
        """`kind:name@version`."""
        return self.direct.package.id

    @property
    def package(self) -> Package:
        """What the lock will hold."""
        return self.direct.package

    @property
    def name(self) -> str:
        """Normalised."""
        return self.package.name

    def __str__(self) -> str:
        return self.direct.text
