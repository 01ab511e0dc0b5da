"""An environment of the process runtime as a value, named by what goes into it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, Self

from hatchlock.address import Address, Kind, ResourceKind
from hatchlock.digest import key_of, sha256_bytes
from hatchlock.resources.base import Artefact

__all__ = [
    "BuildSpec",
    "CondaSpec",
    "EnvSpec",
    "ModuleSpec",
    "NodeSpec",
    "ProgramSpec",
    "ProjectBuildSpec",
    "ProjectSpec",
    "ScriptSpec",
    "UnknownSpec",
    "directory_name",
]

_RULE = "env:1"
_LONGEST_NAME = 60
_HASH_DIGITS = 12
_NAME_DIGITS = 20
"""A shebang line holds 127 bytes, and the store's path is in it too."""


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


def _shown(package_id: str) -> str:
    name, _, version = package_id.partition(":")[2].rpartition("@")
    return f"{name} {version}"


def _log_name(environment: str, package_id: str) -> str:
    """The name of a file, whatever a lock that somebody else wrote says."""
    name = package_id.partition(":")[2].rpartition("@")[0].removeprefix("@")
    return re.sub(r"[^\w.+-]|^\.+", "-", f"{environment}.{name}", flags=re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSpec:
    """A package of Python that has to be built: what comes of it is known after that, and named by what goes in.

    Attributes:
        package: Its id, `pypi:docopt@0.6.2`, or that of a project: `path:weather@1.0+s0a1b2c3d4e5f`.
        archive: Its source distribution, or the project's snapshot.
        wheels: What its build environment has, sorted by file name.
        key: The digest of everything that goes in.
    """

    package: str
    archive: Artefact
    wheels: tuple[Artefact, ...]
    key: str

    @property
    def is_project(self) -> bool:
        """Whether it is a project: its archive is the source tree itself, not a directory with that."""
        return not self.package.startswith(f"{Kind.PYPI}:")

    @property
    def shown(self) -> str:
        """The package for people: `docopt 0.6.2`."""
        return _shown(self.package)

    def log_name(self, environment: str) -> str:
        """Return what `logs --build` calls its log."""
        return _log_name(environment, self.package)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScriptSpec:
    """An npm package whose install scripts run: what they change is known after that, and named by what they can see.

    Attributes:
        package: Its id, `npm:sharp@0.33.5`.
        path: Where it is: `node_modules/sharp`.
        key: The digest of everything that they can see.
    """

    package: str
    path: str
    key: str

    @property
    def shown(self) -> str:
        """The package for people: `install scripts of sharp 0.33.5`."""
        return f"install scripts of {_shown(self.package)}"

    def log_name(self, environment: str) -> str:
        """Return what `logs --build` calls their log."""
        return _log_name(environment, self.package)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectBuildSpec:
    """A project of Node that has to be built: what becomes of its directory is known after that, and named by what goes in.

    Attributes:
        package: Its id, `path:@acme/weather@1.0.0+s0a1b2c3d4e5f`.
        archive: Its snapshot.
        entries: The files that it is started by, and that its build makes.
        modules: The npm packages that its build needs, sorted by path.
        siblings: The projects that its build needs, sorted by name.
        key: The digest of everything that goes in.
    """

    package: str
    archive: Artefact
    entries: tuple[str, ...]
    modules: tuple[ModuleSpec, ...]
    siblings: tuple[ProjectSpec, ...]
    key: str

    @property
    def shown(self) -> str:
        """The project for people: `@acme/weather 1.0.0+s0a1b2c3d4e5f`."""
        return _shown(self.package)

    def log_name(self, environment: str) -> str:
        """Return what `logs --build` calls its log."""
        return _log_name(environment, self.package)

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """Every file that goes in."""
        return (self.archive, *(item.artefact for item in self.modules), *(item.artefact for item in self.siblings))


UnknownSpec = BuildSpec | ScriptSpec | ProjectBuildSpec
"""What is known only after it was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvSpec:
    """An environment as it should be on this machine.

    Attributes:
        name: Its name in the manifest.
        python: The interpreter's real path; "" if it has no Python.
        python_version: Its full version.
        interpreter: The archive that the interpreter is unpacked from, if it is none of the machine's.
        conda: conda's packages, if it has any.
        wheels: What is installed, sorted by file name.
        builds: What is built and installed then, sorted by package.
        node: The Node, if it has one.
        modules: npm packages, sorted by path.
        scripts: Those of them whose install scripts run, sorted by path.
        projects: Sorted by name.
        project_builds: Those of them, of Node, that are built, sorted by package.
        programs: Sorted by name.
        prefixes: Directories besides it that its programs need: those of its interpreters.
        trust: Its label. It goes into nothing.
    """

    name: str
    python: str = ""
    python_version: str = ""
    interpreter: Artefact | None = None
    conda: CondaSpec | None = None
    wheels: tuple[Artefact, ...] = ()
    builds: tuple[BuildSpec, ...] = ()
    node: NodeSpec | None = None
    modules: tuple[ModuleSpec, ...] = ()
    scripts: tuple[ScriptSpec, ...] = ()
    projects: tuple[ProjectSpec, ...] = ()
    project_builds: tuple[ProjectBuildSpec, ...] = ()
    programs: tuple[ProgramSpec, ...] = ()
    prefixes: tuple[str, ...] = ()
    trust: str = ""

    @property
    def address(self) -> Address:
        """`env:NAME`."""
        return Address(kind=ResourceKind.ENV, name=self.name)

    @property
    def key(self) -> str:
        """The directory's name: 20 hex digits over everything that goes into it, in order."""
        return key_of(_RULE, self._parts())[:_NAME_DIGITS]

    @property
    def unknown(self) -> tuple[UnknownSpec, ...]:
        """What of it is known only after it was made."""
        return (*self.builds, *self.project_builds, *self.scripts)

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """Every file that it is made from."""
        return (
            *([self.interpreter] if self.interpreter else []),
            *(self.conda.artefacts if self.conda else ()),
            *self.wheels,
            *(artefact for build in self.builds for artefact in (build.archive, *build.wheels)),
            *(module.artefact for module in self.modules),
            *(project.artefact for project in self.projects),
            *(artefact for build in self.project_builds for artefact in build.artefacts),
            *(program.artefact for program in self.programs),
        )

    @property
    def facts(self) -> dict[str, str]:
        """What people see of it."""
        counts = {
            "packages": len(self.wheels) + len(self.builds),
            "npm packages": len(self.modules),
            "conda packages": len(self.conda.artefacts) if self.conda else 0,
            "projects": len(self.projects),
            "programs": len(self.programs),
        }
        return {
            **({"python": self.python_version + (" (managed)" if self.interpreter else "")} if self.python else {}),
            **({"node": self.node.version} if self.node else {}),
            **{name: str(count) for name, count in counts.items() if count or (name == "packages" and self.python)},
            **({"builds": self.told_of_builds(())} if self.unknown else {}),
            **{project.name: f"{project.version}, {project.about}" for project in self.projects if project.about},
            **({"trust": self.trust} if self.trust else {}),
            "key": self.key,
        }

    def told_of_builds(self, differing: Collection[str], elsewhere: Collection[str] = ()) -> str:
        """Return what people see of its builds and install scripts.

        Args:
            differing: Keys of those that gave something else each time.
            elsewhere: Keys of those whose result another machine made.
        """
        return ", ".join(
            f"{build.shown} ({'built elsewhere' if build.key in elsewhere else 'known after build'}"
            f"{', not reproducible' if build.key in differing else ''})"
            for build in self.unknown
        )

    def _parts(self) -> Iterator[str]:
        # what an environment does not have adds nothing, so that names made before there were other kinds stay
        yield self.python
        yield self.python_version
        for wheel in self.wheels:
            yield f"{wheel.name} {wheel.digest}"
        if self.conda:
            yield f"conda {self.conda.root}"
        if self.node:
            yield f"node {self.node.path} {self.node.version}"
        yield from self.laid_out()

    def laid_out(self) -> Iterator[str]:
        """Yield what decides on everything in it but wheels and packages of conda, a line for each."""
        for build in self.builds:
            yield f"build {build.package} {build.key}"
        for project_build in self.project_builds:
            yield f"project-build {project_build.package} {project_build.key}"
        for script in self.scripts:
            yield f"scripts {script.path} {script.key}"
        for module in self.modules:
            yield f"module {module.path} {module.artefact.digest} {module.offered} {_text(module.commands)}"
        for project in self.projects:
            facts = [project.path, project.ecosystem, project.version, project.import_root, *project.requires]
            yield f"project {project.name} {project.artefact.digest} {json.dumps(facts)} {_text(project.commands)}"
        for program in self.programs:
            names = [program.name, program.artefact.name]
            yield f"program {json.dumps(names)} {program.artefact.digest}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave, through JSON.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        values = {
            **data,
            "interpreter": Artefact(**data["interpreter"]) if data["interpreter"] else None,
            "conda": _conda(data["conda"]) if data["conda"] else None,
            "wheels": tuple(Artefact(**item) for item in data["wheels"]),
            "builds": tuple(map(_build, data["builds"])),
            "node": NodeSpec(**data["node"]) if data["node"] else None,
            "modules": tuple(map(_module, data["modules"])),
            "scripts": tuple(ScriptSpec(**item) for item in data["scripts"]),
            "projects": tuple(map(_project, data["projects"])),
            "project_builds": tuple(map(_project_build, data["project_builds"])),
            "programs": tuple(ProgramSpec(**_placed(item)) for item in data["programs"]),
            "prefixes": tuple(data["prefixes"]),
        }
        return cls(**values)

    @property
    def interpreter_root(self) -> str:
        """The directory that the interpreter's archive is unpacked to; only if there is one."""
        return str(PurePath(self.python).parent.parent)


def _placed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, "artefact": Artefact(**item["artefact"])}


def _module(item: Mapping[str, Any]) -> ModuleSpec:
    return ModuleSpec(**_placed(item) | {"changes": Artefact(**item["changes"]) if item["changes"] else None})


def _project(item: Mapping[str, Any]) -> ProjectSpec:
    return ProjectSpec(**_placed(item) | {"requires": tuple(item["requires"])})


def _project_build(item: Mapping[str, Any]) -> ProjectBuildSpec:
    values = {
        **item,
        "archive": Artefact(**item["archive"]),
        "entries": tuple(item["entries"]),
        "modules": tuple(map(_module, item["modules"])),
        "siblings": tuple(map(_project, item["siblings"])),
    }
    return ProjectBuildSpec(**values)


def _conda(item: Mapping[str, Any]) -> CondaSpec:
    return CondaSpec(**{**item, "artefacts": tuple(Artefact(**file) for file in item["artefacts"])})


def _build(item: Mapping[str, Any]) -> BuildSpec:
    wheels = tuple(Artefact(**wheel) for wheel in item["wheels"])
    return BuildSpec(**{**item, "archive": Artefact(**item["archive"]), "wheels": wheels})


def _text(commands: Mapping[str, str]) -> str:
    return json.dumps(commands, sort_keys=True)
