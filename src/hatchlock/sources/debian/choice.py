"""What is wanted of Debian archives, what was chosen, and why nothing can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.sources.debian.declared import DebBounds
from hatchlock.sources.debian.package import DebPackage
from hatchlock.sources.debian.versions import DebVersion

__all__ = ["AmbiguousDeb", "DebChoice", "DebConflict", "NoSuchDeb", "NoSuchDebVersion", "Upgrade", "WantedDeb"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedDeb:
    """A package that is asked for.

    Attributes:
        name: Real or virtual.
        bounds: Which versions will do.
        requirer: Who asks, as a user knows it: `server:time`, `hatch:weather_kit@1.2.0`.
    """

    name: str
    bounds: DebBounds = field(default_factory=DebBounds)
    requirer: str = ""

    def __str__(self) -> str:
        return f"deb:{self.name}{self.bounds}"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Upgrade:
    """A package of the base that has to become newer.

    Attributes:
        name: The package.
        old: The base's version.
        new: The chosen one.
    """

    name: str
    old: DebVersion
    new: DebVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class DebChoice:
    """What has to be unpacked over a base so that everything that was wanted is there.

    Attributes:
        packages: What is not in the base, or not in that version; by name.
        edges: Package -> what it needs among `packages`, sorted, as requirements: `deb:libc6>=2.36`; one for each package
            that serves, whether the archive asks for that one, for one of several, or for a virtual name.
        base_edges: Package -> what it needs and the base already has, in the same form.
        roots: Wanted name -> the package that serves; in the base or among `packages`.
        in_base: Wanted names that the base already satisfies; by name.
        upgrades: Which of `packages` are in the base in an older version; by name.
    """

    packages: tuple[DebPackage, ...] = ()
    edges: Mapping[str, tuple[str, ...]]
    base_edges: Mapping[str, tuple[str, ...]]
    roots: Mapping[str, str]
    in_base: tuple[str, ...] = ()
    upgrades: tuple[Upgrade, ...] = ()


@dataclass(kw_only=True, eq=False)
class NoSuchDeb(HatchlockError):
    """No release has a package of that name, or anything that provides it."""

    code: ClassVar[str] = "unknown-package"

    name: str
    releases: tuple[str, ...]
    requirer: str = ""

    def __str__(self) -> str:
        wanted = f", which {self.requirer} requires," if self.requirer else ""
        return f"there is no Debian package {self.name!r}{wanted} in {', '.join(self.releases) or 'any release'}"

    def _hint(self) -> str:
        return "check the spelling; if another suite or component has it, name that below [indexes.debian]"


@dataclass(kw_only=True, eq=False)
class AmbiguousDeb(HatchlockError):
    """A virtual name that several packages provide."""

    code: ClassVar[str] = "ambiguous-package"

    name: str
    providers: tuple[str, ...]
    requirer: str = ""

    def __str__(self) -> str:
        wanted = f", which {self.requirer} requires," if self.requirer else ""
        return f"{self.name!r}{wanted} is no package, but what several provide: {', '.join(self.providers)}"

    def _hint(self) -> str:
        return f"ask for one of them: deb:{self.providers[0]}"


@dataclass(kw_only=True, eq=False)
class NoSuchDebVersion(HatchlockError):
    """A package has no version that all who ask for it can use.

    Attributes:
        name: The package.
        wanted: Who asks for what: `deb:git>=1:3 (server:time)`.
        versions: Those that there are, newest first.
        installed: The base's own version, which cannot be replaced by an older one; "" if it has none.
    """

    code: ClassVar[str] = "no-version"

    name: str
    wanted: tuple[str, ...]
    versions: tuple[str, ...]
    installed: str = ""

    def __str__(self) -> str:
        there = ", ".join(self.versions)
        base = f"; the base has {self.installed}, and does not go back" if self.installed else ""
        return f"no version of the Debian package {self.name} fits {' and '.join(self.wanted)}: there is {there}{base}"

    def _hint(self) -> str:
        epochs = sorted({version.partition(":")[0] for version in self.versions if ":" in version})
        if epochs:
            return f"write the epoch too: the {epochs[-1]}: in front belongs to the version"
        return "widen the bounds, or declare a suite or snapshot that has such a version below [indexes.debian]"


@dataclass(kw_only=True, eq=False)
class DebConflict(HatchlockError):
    """Nothing satisfies a relation between Debian packages.

    Attributes:
        way: From who asks to the package whose relation fails: `server:time`, `deb:git`, `git-man`.
        why: What fails there, as a clause.
    """

    code: ClassVar[str] = "deb-conflict"

    way: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return f"{' → '.join(self.way)}: {self.why}"

    def _hint(self) -> str:
        return "ask for other versions or packages, choose another base, or declare a suite that has what is missing"
