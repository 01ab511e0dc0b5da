"""Reading what requirements name themselves: projects and Hatch packages in directories, repositories, programs, wheels.

Nothing of a project is run; see `sources.projects.detect`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from hatchlock.address import BadSource, Kind, Source
from hatchlock.lock.model import File, Package
from hatchlock.paths import joined_path
from hatchlock.realise.bundles import is_bundle
from hatchlock.resolve.direct import Direct, is_direct
from hatchlock.resolve.hatch_package import local_hatch_package
from hatchlock.resolve.requirements import parse
from hatchlock.sources.hatch.declared import HatchReference, declared_hatch
from hatchlock.sources.hatch.local import read_directory
from hatchlock.sources.projects.detect import read_project
from hatchlock.sources.projects.git import GitSource
from hatchlock.sources.projects.git_reference import GitReference
from hatchlock.sources.projects.model import ProjectFacts, Snapshot
from hatchlock.sources.projects.path_reference import PathReference
from hatchlock.sources.projects.snapshot import snapshot
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.sdists import MetadataNotTold, sdist_facts
from hatchlock.sources.url import UrlSource, url_references

__all__ = ["Loader"]

_SIBLING = f"{Kind.PATH}:"
_VERSION = re.compile(r"[/_-]v?(\d+(?:\.\d+)+)(?=[/._-]|$)")
_DIRECT = (_SIBLING, f"{Kind.GIT}:")


@dataclass(frozen=True, kw_only=True, slots=True)
class Loader:
    """Reads what requirements name themselves.

    Attributes:
        place: Tells where a path that is written in the manifest is.
        scratch: Makes a directory of ours for checkouts.
        git: Opens git.
        url: Opens what is behind addresses.
        python: Opens Python's indexes, for wheels by address.
        store: A directory that belongs to no project, wherever it is.
    """

    place: Callable[[str], Path]
    scratch: Callable[[], Path]
    git: Callable[[], GitSource]
    url: Callable[[], UrlSource]
    python: Callable[[], PypiSource]
    store: Path | None = None
    _known: dict[tuple[str, str], Direct] = field(default_factory=dict)
    _commits: dict[str, str] = field(default_factory=dict)

    def __call__(self, text: str, pinned: Package | None) -> Direct:
        """Return what a requirement names; the same thing is read once, so that a lock holds one state of it.

        Args:
            text: `path:DIR`, `git:URL`, `url:URL`, `hatch:DIR`, or `pypi:NAME @ URL`.
            pinned: The package that the present lock has for it; its commit is kept.

        Raises:
            BadSource: The requirement is malformed.
            HatchlockError: What reading and fetching raise.
        """
        key = (text, self._commits.get(text) or (pinned.commit if pinned else ""))
        if key not in self._known:
            self._known[key] = self._read(text, pinned)
        return self._known[key]

    def _read(self, text: str, pinned: Package | None) -> Direct:
        source = Source.parse(text)
        match source.kind:
            case Kind.PATH:
                return self._directory(text, PathReference.parse(source.spec))
            case Kind.GIT:
                return self._repository(text, GitReference.parse(source.spec), pinned)
            case Kind.URL:
                return self._program(text, source.spec)
            case Kind.HATCH:
                return self._hatch(text, declared_hatch(source.spec))
            case _:
                return self._wheel(text, source.spec, pinned)

    def _directory(self, text: str, reference: PathReference) -> Direct:
        root = self.place(reference.path)
        facts = read_project(root, as_=reference.as_)
        found = snapshot(root, without=self.store)

        def sibling(path: str) -> str:
            return f"{Kind.PATH}:{replace(reference, path=joined_path(reference.path, path), as_='')}"

        package = _package(Kind.PATH, text, facts, found, location=reference.path)
        package = replace(package, version=_marked(facts.version, f"s{found.sha256[:12]}"))
        return _direct(text, package, facts, sibling, build=_build(root, facts))

    def _repository(self, text: str, reference: GitReference, pinned: Package | None) -> Direct:
        kept = self._commits.get(text) or (pinned.commit if pinned else "")
        commit = self.git().locate(reference, commit=kept)
        with tempfile.TemporaryDirectory(dir=self.scratch(), prefix="checkout-") as directory:
            # plain files are called like the directory that they are in
            repository = Path(directory) / _repository_name(commit.url)
            root = self.git().checkout(commit, repository, whole=True)
            facts = read_project(root, workspace_root=repository, as_=reference.as_, committed=True)
            found = snapshot(root, committed=True)
            build = _build(root, facts, committed=True)

        def sibling(path: str) -> str:
            inside = joined_path(f"./{reference.subdirectory}", path).removeprefix("./")
            if inside.startswith("../"):
                raise BadSource(text=f"path:{path}", why=f"it leads out of the repository of {text}")
            found = f"{Kind.GIT}:{replace(reference, subdirectory='' if inside == '.' else inside, as_='')}"
            # one repository, one commit: a sibling goes where its parent goes
            self._commits[found] = commit.commit
            return found

        package = replace(
            _package(Kind.GIT, text, facts, found, location=commit.url),
            version=_marked(facts.version, f"g{commit.commit[:12]}"),
            commit=commit.commit,
            tree_hash=commit.tree_hash,
            subdirectory=reference.subdirectory,
            publisher=reference.publisher,
            repository=facts.repository or commit.url,
            source_class="git",
        )
        direct = _direct(text, package, facts, sibling, build=build)
        if not reference.is_local:
            _refuse_local(text, (*direct.everything, *(direct.build or ())))
        return direct

    def _hatch(self, text: str, reference: HatchReference) -> Direct:
        root = self.place(reference.path)
        read = read_directory(root, shown=reference.path)
        found = snapshot(root, without=self.store)
        version = _marked(read.facts.version, f"s{found.sha256[:12]}")
        package = local_hatch_package(
            read,
            source=text,
            location=reference.path,
            version=version,
            file=File(name=f"{read.facts.name.replace('/', '-')}-{version}.tar", sha256=found.sha256, size=found.size),
            dependencies=[_beside(reference.path, item) for item in read.requirements],
        )
        return Direct(text=text, package=package, notes=tuple(f"{text}: {note}" for note in read.notes))

    def _program(self, text: str, spec: str) -> Direct:
        references = url_references(spec)
        files = tuple(sorted(self.url().locate(reference, platform) for platform, reference in references.items()))
        first = next(iter(references.values()))
        package = Package(
            kind=Kind.URL,
            name=first.name,
            version=_version_in(first.url) or files[0].sha256[:12],
            source=text,
            location=first.url if len(references) == 1 else "",
            files=files,
            scripts={} if first.is_archive and not is_bundle(first.file_name) else {first.name: first.name},
            source_class="url",
        )
        return Direct(text=text, package=package, says_version=False)

    def _wheel(self, text: str, spec: str, pinned: Package | None) -> Direct:
        wanted = parse(spec)
        # an address without a hash may serve other bytes some day: what was locked stays until an upgrade
        url = f"{wanted.url}#sha256={pinned.files[0].sha256}" if pinned and "#" not in wanted.url else wanted.url
        found = self.python().direct_wheel(url, wanted.name)
        requirements = tuple(f"{Kind.PYPI}:{item}" for item in found.metadata.requires_dist)
        with_extra = tuple(item for item in requirements if "extra" in item.partition(";")[2])
        return Direct(
            text=text,
            package=replace(found.package, source=text, dependencies=requirements),
            extras=dict.fromkeys(map(canonicalize_name, found.metadata.extras), with_extra),
        )


def _repository_name(url: str) -> str:
    """Return the last word of a repository's address, fit to be a directory's name."""
    last = url.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return re.sub(r"[^A-Za-z0-9._-]", "-", last).lstrip(".-") or "repository"


def _marked(version: str, mark: str) -> str:
    """Return a version that is another one for each content, and compares as the project's own (PEP 440, semver)."""
    return f"{version}.{mark}" if "+" in version else f"{version}+{mark}"


def _version_in(url: str) -> str:
    """Return the version that an address names, as those of releases do: `…/download/v1.2.3/tool_1.2.3.tar.gz`."""
    found = _VERSION.findall(urlsplit(url).path)
    return found[-1] if found else ""


def _beside(directory: str, text: str) -> str:
    """Return a requirement of a Hatch package, with a path in it relative to the manifest instead of to the package."""
    kind, _, spec = text.partition(":")
    if kind == Kind.PATH:
        reference = PathReference.parse(spec)
        return f"{kind}:{replace(reference, path=joined_path(directory, reference.path))}"
    if kind == Kind.HATCH and is_direct(text):
        own = declared_hatch(spec)
        return f"{kind}:{replace(own, path=joined_path(directory, own.path))}"
    return text


def _package(kind: Kind, text: str, facts: ProjectFacts, found: Snapshot, *, location: str) -> Package:
    file_name = f"{facts.name.removeprefix('@').replace('/', '-')}-{facts.version}.tar"
    return Package(
        kind=kind,
        name=facts.name,
        version=facts.version,
        ecosystem=facts.ecosystem,
        source=text,
        location=location,
        files=(File(name=file_name, sha256=found.sha256, size=found.size),),
        dependencies=facts.requirements,
        scripts=dict(facts.scripts),
        import_root=facts.import_root,
        requires_python=facts.requires_python,
        requires_node=facts.requires_node,
        install_script=facts.install_script,
        licence=facts.licence,
        authors=facts.authors,
        repository=facts.repository,
        source_class="local",
    )


def _refuse_local(source: str, requirements: Iterable[str]) -> None:
    """Somebody else's project has no business in the directories of this machine.

    Raises:
        BadSource: A requirement names one.
    """
    for text in requirements:
        kind, _, spec = text.partition(" ; ")[0].partition(":")
        if kind == Kind.GIT and GitReference.parse(spec).is_local:
            raise BadSource(text=text, why=f"{source} requires it, and it is a directory of this machine")


def _build(root: Path, facts: ProjectFacts, *, committed: bool = False) -> tuple[str, ...] | None:
    """Return what a project needs where it is built, as it says it; None if it is not, or nothing tells."""
    if not facts.needs_build or facts.ecosystem != "python":
        return facts.build_requirements
    try:
        system = sdist_facts(ProjectTree.open(root, committed=committed), name=facts.name).system
        return tuple(sorted({f"{Kind.PYPI}:{parse(text).with_marker}" for text in system.requires}))
    except (MetadataNotTold, ValueError):  # a requirement that cannot be read tells nothing either
        return None


def _direct(
    text: str,
    package: Package,
    facts: ProjectFacts,
    sibling: Callable[[str], str],
    *,
    build: tuple[str, ...] | None,
) -> Direct:
    conditional: list[str] = []

    def placed(texts: Iterable[str]) -> tuple[str, ...]:
        found = []
        for item in texts:
            if not item.startswith(_DIRECT):
                found.append(item)
                continue
            text, condition, _ = item.partition(" ; ")
            conditional.extend([text] if condition else [])
            found.append(sibling(text.removeprefix(_SIBLING)) if text.startswith(_SIBLING) else text)
        return tuple(found)

    placed_requirements = placed(facts.requirements)
    placed_extras = {name: placed(texts) for name, texts in facts.extras.items()}
    notes = [f"{item} is taken on every platform, whatever its condition says" for item in conditional]
    return Direct(
        text=text,
        package=replace(package, dependencies=placed_requirements),
        extras=placed_extras,
        optional=facts.optional,
        pins=facts.pins,
        needs_build=facts.needs_build,
        build=None if build is None else tuple(sorted(placed(build))),
        says_version=facts.version != "0",
        notes=(f"{text} is {facts.layout}", *(f"{text}: {note}" for note in (*facts.notes, *notes))),
    )
