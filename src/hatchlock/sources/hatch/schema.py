"""The forms that `hatch_metadata.json` has had, from metadata 1 to 2.0.0.

They are closed. Where a form of Hatch's is open (the objects inside of metadata 1), `model` leaves out what is not known and
tells of it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hatchlock.manifest.wrong import Wrong
from hatchlock.sources.hatch.words import (
    CITATIONS,
    Channel,
    Commit,
    Constraint,
    Digest,
    HatchName,
    HatchName2,
    ImageName,
    ImageWord,
    PackageName,
    PythonFile,
    PythonName,
    PythonPath,
    QualifiedName,
    SemanticVersion,
    SystemName,
    SystemWord,
    Tag,
    VersionNumber,
)

__all__ = [
    "MODELS",
    "Citation",
    "EntryPoint",
    "FlatPython",
    "Hatch2",
    "HatchDependency",
    "Image2",
    "ImageDependency",
    "Metadata",
    "Metadata2",
    "Metadata11",
    "MetadataOne",
    "Person",
    "Provenance",
    "Python2",
    "PythonDependency",
    "System2",
    "SystemDependency",
]


class _Object(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


class Person(_Object):
    """Somebody."""

    name: str
    email: str | None = None


class Licence(_Object):
    """A licence."""

    name: str
    uri: str | None = None


class Tool(_Object):
    """A tool that the server has."""

    name: str
    description: str


class HatchDependency(_Object):
    """Another Hatch package."""

    name: HatchName
    version_constraint: Constraint


class _Python(_Object):
    name: PythonName
    package_manager: Literal["pip", "conda"] = "pip"
    channel: Channel | None = None

    @model_validator(mode="after")
    def _conda_has_channels_and_no_directories(self) -> Self:
        if self.channel and self.package_manager != "conda":
            raise Wrong("a channel is about conda", 'write "package_manager": "conda", or leave \'channel\' out')
        if self.package_manager == "conda" and not self.name.replace("-", "_").replace(".", "_").isidentifier():
            raise Wrong(f"{self.name!r} is no name of a conda package", "conda takes packages from channels only")
        return self


class PythonDependency(_Python):
    """A Python package, from Python's index or a conda channel."""

    version_constraint: Constraint
    extras: list[str] | None = None  # in no form of Hatch's, but its installer reads it


class SystemDependency(_Object):
    """A Debian package."""

    name: SystemWord
    version_constraint: Constraint
    package_manager: Literal["apt"] = "apt"


class ImageDependency(_Object):
    """A container image."""

    name: ImageWord
    version_constraint: Constraint
    registry: Literal["dockerhub"] = "dockerhub"


class Dependencies(_Object):
    """What a package needs, by kind."""

    hatch: list[HatchDependency] = []
    python: list[PythonDependency] = []
    system: list[SystemDependency] = []
    docker: list[ImageDependency] = []


class Compatibility(_Object):
    """What a package runs with."""

    hatchling: Constraint | None = None
    python: Constraint | None = None


class EntryPoint(_Object):
    """The server, and what wraps it for Hatch."""

    mcp_server: PythonFile
    hatch_mcp_server: PythonFile


class Works(_Object):
    """What to cite."""

    origin: str | None = None
    mcp: str | None = None


class Metadata1(_Object):
    """What all metadata before 2.0.0 has."""

    schema_: str | None = Field(default=None, alias="$schema")
    package_schema_version: str
    name: PackageName
    version: VersionNumber
    description: str
    tags: list[str]
    author: Person
    licence: Licence = Field(alias="license")
    contributors: list[Person] = []
    repository: str | None = None
    documentation: str | None = None
    compatibility: Compatibility = Compatibility()
    tools: list[Tool] = []
    citations: Works = Works()


class Origin(_Object):
    """Where a Hatch package of metadata 1.1.0 comes from."""

    type: Literal["local", "remote"]
    path: str | None = None

    @model_validator(mode="after")
    def _a_local_one_has_a_path(self) -> Self:
        if self.type == "local" and not self.path:
            raise Wrong("a local package has no 'path'", 'write "path": "../DIRECTORY"')
        return self


class FlatHatch(_Object):
    """Another Hatch package, as metadata 1.1.0 has it."""

    name: PackageName
    type: Origin
    version_constraint: Constraint | None = None


class FlatPython(_Python):
    """A Python package, as metadata 1.1.0 has it."""

    version_constraint: Constraint | None = None
    extras: list[str] | None = None


class Metadata11(Metadata1):
    """Metadata 1 and 1.1.0: dependencies of two kinds, one entry point."""

    entry_point: PythonPath
    hatch_dependencies: list[FlatHatch] = []
    python_dependencies: list[FlatPython] = []


class Metadata120(Metadata1):
    """Metadata 1.2.0: dependencies of four kinds, one entry point."""

    entry_point: PythonPath
    dependencies: Dependencies = Dependencies()


class Metadata121(Metadata1):
    """Metadata 1.2.1 and 1.2.2: two entry points, then channels."""

    entry_point: EntryPoint
    dependencies: Dependencies = Dependencies()


class Hatch2(_Object):
    """Another Hatch package."""

    name: HatchName2
    version_constraint: Constraint | None = None


class Python2(_Python):
    """A Python package."""

    version_constraint: Constraint | None = None


class System2(_Object):
    """A Debian package."""

    name: SystemName
    version_constraint: Constraint | None = None
    package_manager: Literal["apt"] = "apt"


class Image2(_Object):
    """A container image, by its digest."""

    name: ImageName
    digest: Digest
    tag: Tag | None = None


class Dependencies2(_Object):
    """What a package needs, by kind."""

    hatch: list[Hatch2] = []
    python: list[Python2] = []
    system: list[System2] = []
    docker: list[Image2] = []


class Tool2(_Object):
    """A tool that the server has."""

    name: str
    desc: str


class Citation(_Object):
    """Something to cite."""

    format: Literal["doi", "arxiv", "pmid", "isbn", "url", "bibtex", "ris", "csl-json", "formatted"]
    value: str
    note: str | None = None

    @model_validator(mode="after")
    def _has_the_form_of_its_format(self) -> Self:
        pattern = CITATIONS.get(self.format, ".*")
        if re.fullmatch(pattern, self.value, re.DOTALL) is None:
            raise Wrong(f"{self.value!r} is no {self.format}")
        return self


class Provenance(_Object):
    """What a package was built from."""

    git_sha: Commit | None = None
    build_env: Literal["conda-lock", "pip-compile", "manual"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.git_sha or self.build_env):
            raise Wrong("it says nothing", "write git_sha or build_env, or leave 'provenance' out")
        return self


def _at_most_200(text: str) -> str:
    if not 1 <= len(text) <= _LONGEST_DESCRIPTION:
        raise Wrong(f"it has {len(text)} characters", f"write 1 to {_LONGEST_DESCRIPTION}")
    return text


_LONGEST_DESCRIPTION = 200


class Metadata2(_Object):
    """Metadata 2.0.0: names with a namespace, semantic versions, images by digest."""

    schema_: str | None = Field(default=None, alias="$schema")
    hatch_schema_version: str
    name: QualifiedName | None = None
    version: SemanticVersion | None = None
    description: Annotated[str, AfterValidator(_at_most_200)] | None = None
    authors: list[Person] = Field(min_length=1)
    licence: Licence | None = Field(default=None, alias="license")
    tags: list[str] = []
    documentation: str | None = None
    entry_point: EntryPoint
    dependencies: Dependencies2 = Dependencies2()
    tools: list[Tool2] = []
    citations: list[Citation] = []
    provenance: Provenance | None = None


MetadataOne = Metadata11 | Metadata120 | Metadata121
Metadata = MetadataOne | Metadata2

MODELS: dict[str, type[Metadata]] = {
    "1": Metadata11,
    "1.1.0": Metadata11,
    "1.2.0": Metadata120,
    "1.2.1": Metadata121,
    "1.2.2": Metadata121,
    "2.0.0": Metadata2,
}
"""Metadata version -> its form."""
