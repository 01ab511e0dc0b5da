"""What is in an environment of the process runtime, part for part, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hatchlock.digest import sha256_bytes
from hatchlock.resources.base import Artefact

__all__ = ["CondaSpec", "ModuleSpec", "NodeSpec", "ProgramSpec", "ProjectSpec", "directory_name"]

_LONGEST_NAME = 60
_HASH_DIGITS = 12


def directory_name(name: str) -> str:
    """Return the directory of a program, one word: `@scope/name` is `scope-name`."""
    return name.removeprefix("@").replace("/", "-")


def _source_name(name: str, ecosystem: str, digest: str) -> str:
    """The directory of a project, which shares it with none: names of Python have no dot and those of npm no plus."""
    match ecosystem:
        case "python":
            word = directory_name(name)
        case "node":
            word = f"{name.removeprefix('@').replace('/', '+')}.node"
        case "hatch":
            word = f"{directory_name(name)}.hatch"
        case _:
            # two directories of plain files may be called alike, but not if they have the same content
            word = f"{directory_name(name)}.{digest[:_HASH_DIGITS]}"
    if len(word) <= _LONGEST_NAME:
        return word
    return f"{word[: _LONGEST_NAME - _HASH_DIGITS - 1]}-{sha256_bytes(word.encode())[:_HASH_DIGITS]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSpec:
    """An npm package and where it goes.

    Attributes:
        path: Below the environment: `node_modules/zod`.
        artefact: Its tarball.
        commands: Command -> file in the package.
        offered: Whether its commands are commands of the environment: it was asked for by name.
        changes: What its install scripts changed of it, once they have run; they are named in `EnvSpec.scripts` before.
    """

    path: str
    artefact: Artefact
    commands: Mapping[str, str] = field(default_factory=dict)
    offered: bool = False
    changes: Artefact | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectSpec:
    """A project from a directory or a repository.

    Attributes:
        name: Its name.
        version: Its version.
        ecosystem: "python", "node", "hatch" for a Hatch package, or "" for plain files.
        artefact: Its snapshot or archive.
        import_root: Python: what goes on the import path, below the project.
        commands: Python: script -> `module:function`; Node, Hatch: command -> file below the project.
        requires: Python: what its metadata says that it requires (PEP 508).
        about: Hatch: who made it, under which licence, and what to cite, for people. It goes into nothing.
    """

    name: str
    version: str
    ecosystem: str
    artefact: Artefact
    import_root: str = ""
    commands: Mapping[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    about: str = ""

    @property
    def path(self) -> str:
        """Where it is, below the environment: `src/weather`, for one of Node `src/scope+name.node`."""
        return f"src/{_source_name(self.name, self.ecosystem, self.artefact.digest)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramSpec:
    """A program or archive from an address."""

    name: str
    artefact: Artefact

    @property
    def path(self) -> str:
        """Where it is, below the environment."""
        return f"programs/{directory_name(self.name)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSpec:
    """The Node that an environment uses: its real path and full version."""

    path: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaSpec:
    """Packages of conda, in a directory of their own that environments share.

    Attributes:
        root: That directory.
        platform: `linux/amd64`.
        artefacts: Their files, sorted by package.
        has_python: Whether the environment's interpreter is among them.
    """

    root: str
    platform: str
    artefacts: tuple[Artefact, ...]
    has_python: bool = False
