"""Source distributions: what they say about themselves without being built (PEP 517, 518, 621, 625, 643)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from packaging.requirements import InvalidRequirement, Requirement

from hatchlock.digest import digest_file
from hatchlock.errors import HatchlockError
from hatchlock.net.http import Http
from hatchlock.realise.unpack import BadArchive, Limits, unpack
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.projects.loose import Document, string, strings, table
from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.setup_files import read_setup
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.python.metadata import WheelMetadata, is_static, read_scripts
from hatchlock.sources.python.simple import IndexFile

__all__ = ["BuildSystem", "MetadataNotTold", "SdistFacts", "SourceOnly", "read_sdist", "read_sdist_file", "sdist_facts"]

_LARGEST_ARCHIVE = 256 << 20
_LIMITS = Limits(size=1 << 30)
_PYPROJECT = "pyproject.toml"
_SETUPTOOLS = "setuptools"
_LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LEGACY_REQUIRES = ("setuptools>=40.8.0",)
_TELLING = frozenset({"PKG-INFO", _PYPROJECT, "setup.cfg", "setup.py"})
_ENTRY_POINTS = ".egg-info/entry_points.txt"
_DECIDING = frozenset({"dependencies", "optional-dependencies", "requires-python"})
_COMPUTED = frozenset({"install_requires", "extras_require", "python_requires", "**"})


@dataclass(kw_only=True, eq=False)
class SourceOnly(HatchlockError):
    """What is needed would have to be built.

    Attributes:
        package: Its name.
        version: Its version.
        requirer: Who needs it: `gsutil 5.0`, "the manifest".
        needs: What its static metadata says that it needs, if there is any.
    """

    code: ClassVar[str] = "source-only"

    package: str
    version: str
    requirer: str
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        needs = f" (it would need {', '.join(self.needs)})" if self.needs else ""
        return f"{self.package} {self.version}, which {self.requirer} requires, is published as source only{needs}"

    def _hint(self) -> str:
        return (
            f"choose a version that has wheels, or do without {self.package}. "
            f'allow-build = ["{self.package}"] would build it in a sandbox without network, and its content would be known '
            "only after that"
        )


@dataclass(kw_only=True, eq=False)
class MetadataNotTold(HatchlockError):
    """A source distribution, or a project, leaves it to its build what it needs."""

    code: ClassVar[str] = "metadata-not-told"

    file: str
    is_project: bool = False

    def __str__(self) -> str:
        return f"{self.file} does not say what it needs, and nothing of it is run to find out"

    def _hint(self) -> str:
        if self.is_project:
            return "write its dependencies into the [project] table of its pyproject.toml, none of them as dynamic"
        return "constrain it to a version that has wheels, or to one whose files say what it needs"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSystem:
    """How a source distribution is built (PEP 517 and 518).

    Attributes:
        requires: PEP 508 requirements of the build.
        backend: `hatchling.build`, `package.module:object`.
        backend_path: Directories of the distribution that the backend is in.
    """

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SdistFacts:
    """What a source distribution says.

    Attributes:
        metadata: What a wheel that is built from it says, scripts included.
        system: How it is built.
    """

    metadata: WheelMetadata
    system: BuildSystem


def read_sdist(http: Http, file: IndexFile, *, scratch: Path) -> SdistFacts:
    """Fetch a source distribution, up to 256 MiB, check it, and return what it says; nothing of it is run.

    Args:
        http: Asks the file's server.
        file: Where it is.
        scratch: A directory of ours; nothing stays in it.

    Raises:
        MetadataNotTold: It does not say what it needs before it is built.
        BadAnswer: It is broken, too large, or not what the index's hash says.
        Refused: The server wants credentials.
        Unreachable: It cannot be asked.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        archive = Path(directory) / "sdist"
        _download(http, file, archive)
        if file.sha256 and digest_file(archive) != file.sha256:
            raise BadAnswer(what=file.name, why="its bytes do not have the sha256 that the index gives")
        return read_sdist_file(archive, name=file.name, scratch=Path(directory))


def _download(http: Http, file: IndexFile, archive: Path) -> None:
    size = 0
    with archive.open("wb") as stream:

        def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > _LARGEST_ARCHIVE:
                raise BadAnswer(what=file.name, why=f"it is larger than {_LARGEST_ARCHIVE >> 20} MiB")
            stream.write(piece)

        http.download(file.url, take)


def read_sdist_file(archive: Path, *, name: str, scratch: Path, is_project: bool = False) -> SdistFacts:
    """Return what a source distribution that is here says, or a project's snapshot.

    What decides, the first that tells: a `PKG-INFO` that binds the build (PEP 643), a `[project]` table that leaves
    nothing of it to the build (PEP 621), the literals of setup.cfg and setup.py.

    Args:
        archive: The file.
        name: Its name, for messages.
        scratch: A directory of ours; nothing stays in it.
        is_project: Whether it is a snapshot: its files are not below one directory.

    Raises:
        MetadataNotTold: None of them tells.
        BadAnswer: It is broken.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        root = Path(directory).resolve()
        try:
            strip = 0 if is_project else 1
            unpack(archive, root, name=name, strip=strip, links=False, place=_telling, limits=_LIMITS)
            return sdist_facts(ProjectTree(root=root, boundary=root, committed=True), name=name)
        except (BadArchive, BadProjectFile, ValueError) as error:
            raise BadAnswer(what=name, why=f"it is no proper source distribution ({error})") from error


def _telling(path: str) -> str:
    return path if path in _TELLING or (path.endswith(_ENTRY_POINTS) and path.count("/") < 3) else ""  # noqa: PLR2004


def sdist_facts(tree: ProjectTree, *, name: str) -> SdistFacts:
    """Return what the files of an unpacked source distribution say; see `read_sdist_file`."""
    info = tree.bytes_of("PKG-INFO") or b""
    said = WheelMetadata.parse(info) if info else WheelMetadata()
    document = tree.toml(_PYPROJECT)
    scripts = _scripts(tree, document)
    system = _build_system(document)
    if info and is_static(info):
        return SdistFacts(metadata=replace(said, scripts=scripts), system=system)
    found = _from_project(table(document, "project"), said) or _from_setup(tree, said)
    if found is None:
        raise MetadataNotTold(file=name)
    return SdistFacts(metadata=replace(found, scripts=scripts), system=system)


def _from_project(project: Document, said: WheelMetadata) -> WheelMetadata | None:
    if not project or _DECIDING & set(strings(project.get("dynamic"))):
        return None
    extras = {extra: strings(texts) for extra, texts in table(project, "optional-dependencies").items()}
    return _declared(said, strings(project.get("dependencies")), extras, string(project.get("requires-python")))


def _from_setup(tree: ProjectTree, said: WheelMetadata) -> WheelMetadata | None:
    document = tree.toml(_PYPROJECT)
    backend = _build_system(document).backend
    if table(document, "project") or not backend.startswith(_SETUPTOOLS):
        return None  # then these files are not what its build goes by
    setup = read_setup(tree)
    if setup is None or setup.requirements is None or setup.requirement_files or _COMPUTED & set(setup.computed):
        return None
    return _declared(said, setup.requirements, setup.extras, setup.requires_python)


def _declared(
    said: WheelMetadata, requirements: Sequence[str], extras: Mapping[str, tuple[str, ...]], requires_python: str
) -> WheelMetadata:
    optional = [text for extra, texts in extras.items() for text in _of_extra(extra, texts)]
    return replace(
        said,
        requires_dist=(*requirements, *optional),
        requires_python=requires_python,
        extras=tuple(name for extra in extras if (name := extra.partition(":")[0])),
    )


def _of_extra(extra: str, texts: Sequence[str]) -> Iterator[str]:
    """Say as wheels do what an extra brings; setuptools also writes `extra:marker`, and `:marker` for no extra at all."""
    name, _, marker = extra.partition(":")
    for text in texts:
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            raise ValueError(str(error).partition("\n")[0]) from error
        own = str(wanted.marker) if wanted.marker else ""
        parts = [part for part in (own, marker) if part]
        if name:
            parts = [*(f"({part})" if " or " in part else part for part in parts), f'extra == "{name}"']
        wanted.marker = None
        yield f"{wanted}; {' and '.join(parts)}" if parts else str(wanted)


def _scripts(tree: ProjectTree, document: Document) -> dict[str, str]:
    for path in sorted(tree.files):
        if path.endswith(_ENTRY_POINTS):
            return dict(read_scripts(tree.bytes_of(path) or b""))
    declared = table(document, "project", "scripts") or table(document, "tool", "poetry", "scripts")
    targets = {name: string(target).partition("[")[0].strip() for name, target in declared.items()}
    if targets:
        return {name: target for name, target in sorted(targets.items()) if ":" in target}
    setup = read_setup(tree)
    return dict(sorted(setup.scripts.items())) if setup else {}


def _build_system(document: Document) -> BuildSystem:
    said = table(document, "build-system")
    backend = string(said.get("build-backend")) or _LEGACY_BACKEND
    requires = strings(said.get("requires")) if "requires" in said else _LEGACY_REQUIRES
    if backend.startswith(_SETUPTOOLS):
        # what setuptools before 70.1 asks for when its build begins, and then it is too late
        requires = (*requires, "wheel")
    return BuildSystem(requires=requires, backend=backend, backend_path=strings(said.get("backend-path")))
