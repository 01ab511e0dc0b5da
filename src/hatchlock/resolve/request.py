"""What is asked of a resolution, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hatchlock.lock.images import ImagePlatform
from hatchlock.lock.model import Archive, Package
from hatchlock.sources.python.targets import PythonTarget

__all__ = ["BuildResult", "EnvironmentRequest", "EnvironmentResult", "Resolution"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentRequest:
    """What an environment wants.

    Attributes:
        name: The environment's name.
        platforms: Declared platform -> where its Python packages are to run.
        requirements: `pypi:` and PEP 508, extras and markers allowed; `npm:NAME@RANGE`; those of all other kinds but `mcp:`.
        constraints: `pypi:` and `npm:`: limits on what is needed anyway.
        overrides: In the same form: the only requirement on that name that counts, whatever packages declare.
        preferred: `kind:name` (the kind of the namespace) -> versions to keep if they still will do: present pins.
        node: "22".
        pinned: Requirement that names itself what it means (`git:…`) -> the package of the present lock, to be kept.
        base: Reference of the base image; "" for processes.
        bases: Platform -> that image; empty for processes.
        glibc: Platform -> the oldest glibc that it is to run on.
        min_macos: The oldest macOS; "" for the usual one.
        allow_build: Names that may be built, normalised as Python's are: those of Python's packages, where no wheel will do,
            and those of projects.
        allow_scripts: Names of npm whose install scripts run.
        build_preferred: Word of a build (`resolve.builds.build_word`) -> what is preferred where it is made, as `preferred`.
    """

    name: str
    platforms: Mapping[str, PythonTarget]
    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    preferred: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    node: str = ""
    pinned: Mapping[str, Package] = field(default_factory=dict)
    base: str = ""
    bases: Mapping[str, ImagePlatform] = field(default_factory=dict)
    glibc: Mapping[str, str] = field(default_factory=dict)
    min_macos: str = ""
    allow_build: frozenset[str] = frozenset()
    allow_scripts: frozenset[str] = frozenset()
    build_preferred: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildResult:
    """Where a package or project that comes as source is built.

    Attributes:
        word: What its environment is called, behind the name of the one that it is for.
        requirements: What its build asks for, as in a request.
        packages: Platform -> ids of packages, sorted.
        tree: As that of an environment.
        is_node: Whether it is built by Node.
    """

    word: str
    requirements: tuple[str, ...]
    packages: Mapping[str, tuple[str, ...]]
    tree: Mapping[str, str] = field(default_factory=dict)
    is_node: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentResult:
    """What an environment gets.

    Attributes:
        name: The environment's name.
        packages: Platform -> ids of packages, sorted.
        tree: Path of each npm package below the environment -> its id.
        python: The version of the interpreter that is among its packages; "" if none is.
        notes: Sentences that people should see.
        builds: Id of each package that some platform gets as source -> where it is built.
    """

    name: str
    packages: Mapping[str, tuple[str, ...]]
    tree: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    notes: tuple[str, ...] = ()
    builds: Mapping[str, BuildResult] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """What was resolved: the environments in the order of the requests, and every package of any of them by id.

    Attributes:
        environments: In the order of the requests.
        packages: Of all of them, by id.
        archives: The suites of Debian archives that packages are from, by name.
    """

    environments: tuple[EnvironmentResult, ...]
    packages: tuple[Package, ...]
    archives: tuple[Archive, ...] = ()
