"""An environment of the process runtime as a value, named by what goes into it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, Self

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import key_of
from hatchlock.resources.base import Artefact
from hatchlock.resources.build_spec import BuildSpec, ProjectBuildSpec, ScriptSpec, UnknownSpec
from hatchlock.resources.env_parts import CondaSpec, ModuleSpec, NodeSpec, ProgramSpec, ProjectSpec

__all__ = ["EnvSpec"]

_RULE = "env:1"
_NAME_DIGITS = 20
"""A shebang line holds 127 bytes, and the store's path is in it too."""


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
        said = {"built elsewhere": elsewhere, "not reproducible": differing}
        return ", ".join(
            " ".join([build.shown, *([f"({', '.join(words)})"] if words else [])])
            for build in self.unknown
            for words in [[word for word, keys in said.items() if build.key in keys]]
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
