"""What of an environment has to be built, as values, each named by what goes in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hatchlock.address import Kind
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_parts import ModuleSpec, ProjectSpec

__all__ = ["BuildSpec", "ProjectBuildSpec", "ScriptSpec", "UnknownSpec"]


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
