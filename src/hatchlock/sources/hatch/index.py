"""The document of a Hatch registry, forms 1.1.0 and 1.2.0, and what each version in it needs.

A version's dependencies stand there as differences against another version of its package. Only those of its own chain
count, each in its turn: what a later version adds or removes is no affair of an earlier one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from packaging.specifiers import SpecifierSet
from pydantic import BaseModel, ConfigDict, ValidationError

from hatchlock.manifest.wrong import Wrong
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.hatch.declared import version_of
from hatchlock.sources.hatch.texts import hatch_text, image_text, python_text, system_text
from hatchlock.sources.hatch.words import PackageName, QualifiedName, VersionNumber

__all__ = ["HatchRelease", "IndexPackage", "read_index"]

Kinds = Literal["hatch", "python", "system", "docker"]
_KINDS: tuple[Kinds, ...] = ("hatch", "python", "system", "docker")
_LONGEST_CONSTRAINT = 1000
_DEPRECATED = "deprecated"


@dataclass(frozen=True, kw_only=True, slots=True)
class HatchRelease:
    """One version of a package, as its registry lists it.

    Attributes:
        name: The package.
        version: Numbers with dots, as the registry writes it.
        repository: The registry's repository that has it.
        index: The name of the index that it comes from.
        uri: The address of its archive.
        added: When the registry got it, as it says (ISO 8601, mostly without a zone); "" if it does not.
        author: The account that submitted it.
        status: "unverified", "validated", "reviewed", "verified" or "deprecated"; "" if the registry does not say.
        remark: What whoever verified it noted.
        description: The package's.
        tags: The package's.
        dependencies: The requirements in force at this version, sorted, as `HatchFacts` has them. Form 1.1.0 knows only
            Hatch packages and Python packages: the archive's own metadata says everything.
        requires_python: A PEP 440 specifier, or "".
    """

    name: str
    version: str
    repository: str
    index: str
    uri: str
    added: str = ""
    author: str = ""
    status: str = ""
    remark: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    requires_python: str = ""

    @property
    def id(self) -> str:
        """`repository:name@version`, for people."""
        return f"{self.repository}:{self.name}@{self.version}"

    @property
    def file_name(self) -> str:
        """What its archive is called in the lock."""
        return f"{self.name.replace('/', '-')}-v{self.version}.zip"

    @property
    def note(self) -> str:
        """The sentence that people should see before they take it, or ""."""
        if self.status != _DEPRECATED:
            return ""
        return f"{self.id} is marked as deprecated by its registry" + (f": {self.remark}" if self.remark else "")


class _Row(BaseModel):
    """A part of the document; what else is in it is passed over."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Dependency(_Row):
    name: str
    version_constraint: str | None = None
    package_manager: str | None = None
    channel: str | None = None
    extras: list[str] | None = None
    tag: str | None = None
    digest: str | None = None


class _Changes(_Row):
    added: list[_Dependency] = []
    removed: list[str] = []
    modified: list[_Dependency] = []


class _ChangesByKind(_Row):
    hatch: _Changes = _Changes()
    python: _Changes = _Changes()
    system: _Changes = _Changes()
    docker: _Changes = _Changes()


class _Author(_Row):
    GitHubID: str = ""


class _Verification(_Row):
    status: str = ""
    notes: str | None = None


class _Compatibility(_Row):
    python: str | None = None


class _Version(_Row):
    version: VersionNumber
    release_uri: str
    author: _Author = _Author()
    added_date: str = ""
    base_version: str | None = None
    verification: _Verification | None = None
    compatibility_changes: _Compatibility = _Compatibility()
    dependency_changes: _ChangesByKind | None = None
    hatch_dependencies_added: list[_Dependency] = []
    hatch_dependencies_removed: list[str] = []
    hatch_dependencies_modified: list[_Dependency] = []
    python_dependencies_added: list[_Dependency] = []
    python_dependencies_removed: list[str] = []
    python_dependencies_modified: list[_Dependency] = []

    def changes(self, kind: Kinds) -> _Changes:
        """Return what it changes, whichever form it is written in."""
        if self.dependency_changes is not None:
            found: _Changes = getattr(self.dependency_changes, kind)
            return found
        if kind in {"system", "docker"}:
            return _Changes()
        added, removed, modified = (
            getattr(self, f"{kind}_dependencies_{what}") for what in ("added", "removed", "modified")
        )
        return _Changes(added=added, removed=removed, modified=modified)


class _Package(_Row):
    name: PackageName | QualifiedName
    description: str = ""
    tags: list[str] = []
    versions: list[_Version]


class _Repository(_Row):
    name: str
    packages: list[_Package]


class _Index(_Row):
    registry_schema_version: str
    repositories: list[_Repository]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexPackage:
    """A package of a registry.

    Attributes:
        name: Its name.
        repository: The repository that has it.
        description: For people.
        tags: In the order of the document.
        releases: Works its versions out, newest first.
    """

    name: str
    repository: str
    description: str
    tags: tuple[str, ...]
    releases: Callable[[], tuple[HatchRelease, ...]]


def read_index(data: bytes, *, index: str, url: str) -> dict[str, tuple[IndexPackage, ...]]:
    """Read a registry's document: repository -> its packages.

    Args:
        data: The document.
        index: The name of the index.
        url: Where it came from.

    Raises:
        BadAnswer: It is none, or of a form that is not known here.
    """
    try:
        parsed = json.loads(data)
        json.dumps(parsed, ensure_ascii=False).encode()  # halves of characters are in no file that we write
        document = _Index.model_validate(parsed)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadAnswer(what=url, why=f"it is no document of a Hatch registry ({where}: {first['msg']})") from error
    except (ValueError, RecursionError) as error:
        raise BadAnswer(what=url, why=f"it is no document of a Hatch registry ({error})") from error
    if document.registry_schema_version.split(".")[:1] != ["1"]:
        form = document.registry_schema_version
        raise BadAnswer(what=url, why=f"its form {form} is not known here, only 1.1.0 and 1.2.0 are")
    return {
        repository.name: tuple(_package(package, repository.name, index, url) for package in repository.packages)
        for repository in document.repositories
    }


def _package(package: _Package, repository: str, index: str, url: str) -> IndexPackage:
    def releases() -> tuple[HatchRelease, ...]:
        states = _States(package, url)
        found = [
            _release(package, version, states.of(version), repository=repository, index=index, url=url)
            for version in states.versions.values()
        ]
        return tuple(sorted(found, key=lambda item: version_of(item.version), reverse=True))

    return IndexPackage(
        name=package.name,
        repository=repository,
        description=package.description,
        tags=tuple(package.tags),
        releases=releases,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    """What is in force at a version: by kind, name -> how it is needed; and the range of Python."""

    needs: Mapping[Kinds, Mapping[str, dict[str, Any]]] = field(default_factory=dict)
    python: str = ""

    def after(self, version: _Version) -> _State:
        """Return what a version makes of it."""
        needs = {kind: _changed(self.needs.get(kind, {}), version.changes(kind)) for kind in _KINDS}
        return _State(needs=needs, python=version.compatibility_changes.python or self.python)


class _States:
    """What is in force at each version of a package; each difference is looked at once, however long the chains are."""

    def __init__(self, package: _Package, url: str) -> None:
        self.versions = {item.version: item for item in package.versions}
        self._name = package.name
        self._url = url
        self._known: dict[str, _State] = {}

    def of(self, version: _Version) -> _State:
        """Return what is in force at a version.

        Raises:
            BadAnswer: It is a difference against what is not there, or against itself.
        """
        chain: dict[str, _Version] = {}
        while version.version not in self._known:
            if version.version in chain:
                way = " -> ".join([version.version, *reversed(chain)])
                raise self._bad(f"the versions of {self._name} are differences in a circle: {way}")
            chain[version.version] = version
            base = version.base_version
            if not base:
                break
            if base not in self.versions:
                raise self._bad(f"{self._name} {version.version} is a difference against {base}, which is not there")
            version = self.versions[base]
        state = self._known.get(version.version, _State())
        for item in reversed(chain.values()):
            state = self._known[item.version] = state.after(item)
        return state

    def _bad(self, why: str) -> BadAnswer:
        return BadAnswer(what=self._url, why=why)


def _changed(before: Mapping[str, dict[str, Any]], changes: _Changes) -> Mapping[str, dict[str, Any]]:
    if not (changes.added or changes.removed or changes.modified):
        return before
    needs = dict(before)
    for gone in changes.removed:
        needs.pop(gone, None)
    for item in changes.added:
        needs[item.name] = item.model_dump(exclude_none=True)
    for item in changes.modified:
        needs[item.name] = needs.get(item.name, {}) | item.model_dump(exclude_none=True)
    return needs


def _release(
    package: _Package, version: _Version, state: _State, *, repository: str, index: str, url: str
) -> HatchRelease:
    verification = version.verification or _Verification()
    return HatchRelease(
        name=package.name,
        version=version.version,
        repository=repository,
        index=index,
        uri=_address(version, package.name, url),
        added=version.added_date,
        author=version.author.GitHubID,
        status=verification.status,
        remark=verification.notes or "",
        description=package.description,
        tags=tuple(package.tags),
        dependencies=tuple(sorted(set(_texts(state, package.name, url)))),
        requires_python="".join(state.python.split()),
    )


def _address(version: _Version, name: str, url: str) -> str:
    try:
        address = urljoin(url, version.release_uri)
        urlsplit(address)
    except ValueError as error:
        raise BadAnswer(what=url, why=f"the archive of {name} {version.version} is at no address: {error}") from error
    return address


def _texts(state: _State, name: str, url: str) -> Iterator[str]:
    for kind, needs in state.needs.items():
        for found in needs.values():
            try:
                yield _text(kind, found)
            except (Wrong, ValueError) as error:
                raise BadAnswer(what=url, why=f"{name} needs {found['name']!r}: {error}") from error


def _text(kind: Kinds, found: dict[str, Any]) -> str:
    name = str(found["name"])
    written = "".join(str(found.get("version_constraint", "")).split())
    if len(written) > _LONGEST_CONSTRAINT:
        raise Wrong(f"a constraint of {len(written)} characters is none")
    constraint = str(SpecifierSet(written))
    if kind == "hatch":
        return hatch_text(name, constraint, qualified=True)
    if kind == "system":
        return system_text(name, constraint)
    if kind == "docker":
        return image_text(name, constraint, tag=str(found.get("tag", "")), digest=str(found.get("digest", "")))
    return python_text(
        name,
        constraint,
        manager=str(found.get("package_manager", "pip")),
        channel=str(found.get("channel", "")),
        extras=found.get("extras", ()),
    )
