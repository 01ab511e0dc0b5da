"""Every kind of source behind one small protocol: somewhere that things come from, asked as `lock` and `apply` ask it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from hatchlock.address import Kind
from hatchlock.digest import algorithm_of
from hatchlock.errors import HatchlockError
from hatchlock.events import discard
from hatchlock.lock.model import Image, Lock, Package
from hatchlock.lock.store import dumps
from hatchlock.manifest.load import loads
from hatchlock.net.http import Http
from hatchlock.net.patience import Patience
from hatchlock.net.registry import Registry
from hatchlock.paths import Home
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.resources.base import Artefact
from hatchlock.resources.image import image_artefacts
from hatchlock.sources.npm.ranges import NpmVersion
from hatchlock.sources.projects.git import GitSource
from hatchlock.sources.python.targets import process_target
from hatchlock.sources.url import UrlSource
from hatchlock.store.blobs import Blobs
from hatchlock.usecases.fetch import fetch
from hatchlock.usecases.obtain import Obtain
from hatchlock.usecases.project import Project
from hatchlock.usecases.sources import Sources
from support.fake_registry import MANIFEST, FakeRegistry, fake_registry
from support.git_server import GitServer, Repository, serving_git
from support.index import Index, Release, serving
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm

__all__ = ["SUBJECTS", "Desk", "Exempt", "Law", "Locked", "Place", "Subject", "accepts", "desk"]

PLATFORM = "linux/amd64"
HEAD = '[project]\nname = "trial"\n'


class Law(StrEnum):
    """What the kinds of source that have such a thing must do with it."""

    ORDER = "an-order-of-versions"
    MISSING_HASH = "hashes-told-by-others"
    CACHE = "answers-in-the-cache"
    UNREACHABLE = "somebody-to-reach"
    MIRRORS = "mirrors"
    CLAIMS = "several-indexes"


@dataclass(frozen=True, kw_only=True)
class Exempt:
    """Why a law says nothing about a kind, and what shows that it still does not."""

    why: str
    holds: Callable[[Subject, Path], bool]


class Place(Protocol):
    """Somewhere that things come from.

    Attributes:
        address: What an error about it has to name.
        asked: Every request so far.
    """

    address: str
    asked: list[str]

    def put(self, name: str, version: str, content: str = "", *, hashed: bool = True) -> None:
        """Offer a version of a thing, in place of the one that was there; `hashed`: say what its digest is."""

    def swap(self, name: str, version: str) -> None:
        """Serve other bytes from now on, as if nothing had changed."""


class Subject(Protocol):
    """One kind of source.

    Attributes:
        kind: Which.
        newest_first: Versions in the kind's own order, which is not that of their texts.
        exempt: The laws that say nothing about it.
    """

    @property
    def kind(self) -> Kind: ...
    @property
    def newest_first(self) -> tuple[str, ...]: ...
    @property
    def exempt(self) -> Mapping[Law, Exempt]: ...

    def serve(self, root: Path) -> AbstractContextManager[Place]:
        """Serve inside the block, from an own directory if one is needed; afterwards nobody answers."""

    def tables(self, place: Place, mirrors: Sequence[Place]) -> str:
        """Return what a manifest says of it."""

    def versions(self, sources: Sources, name: str) -> list[str]:
        """Return the versions that there are, as the source sorts them."""

    def lock(self, sources: Sources, place: Place, name: str, version: str) -> Package | Image:
        """Return what the lock will hold of a version."""


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A lock with one thing in it, and the files that it is made from."""

    lock: Lock
    files: tuple[Artefact, ...]


class Desk:
    """One run of hatchlock: with its own connections and memory, on a store that may have seen earlier runs."""

    def __init__(self, subject: Subject, project: Project, sources: Sources, place: Place) -> None:
        self._subject = subject
        self._project = project
        self._place = place
        self.sources = sources
        self.blobs = Blobs(project.home.blobs)

    def versions(self, name: str) -> list[str]:
        return self._subject.versions(self.sources, name)

    def lock(self, name: str, version: str) -> Locked:
        found = self._subject.lock(self.sources, self._place, name, version)
        if isinstance(found, Image):
            files = image_artefacts(found.reference, found.platforms[PLATFORM])
            return Locked(lock=Lock(project="trial", platforms=(PLATFORM,), images=(found,)), files=files)
        files = tuple(
            Artefact(package=found.id, name=file.name, digest=file.digest, size=file.size) for file in found.files
        )
        return Locked(lock=Lock(project="trial", platforms=(PLATFORM,), packages=(found,)), files=files)

    def obtain(self, locked: Locked) -> None:
        """Bring every file from where the lock says it comes from."""
        obtain = Obtain(self._project, locked.lock, self.sources, self.blobs)
        for file in locked.files:
            obtain(file)

    def fetch(self, locked: Locked, *, offline: bool) -> int:
        """Do what `fetch` does; return how many files came from somewhere else than the store."""
        project = replace(self._project, lock_bytes=dumps(locked.lock).encode())
        return fetch(project, locked.files, offline=offline, emit=discard)

    def stored(self, file: Artefact) -> str:
        """Return the digest of what the store has, worked out anew, or "" if it has nothing."""
        path = self.blobs.path(file.digest)
        return hashlib.new(algorithm_of(file.digest), path.read_bytes()).hexdigest() if path.exists() else ""


@contextlib.contextmanager
def desk(
    subject: Subject, root: Path, place: Place, *, mirrors: Sequence[Place] = (), tables: str = "", offline: bool = False
) -> Iterator[Desk]:
    """Start a run in `root`, with the store that is there; `tables` instead of those of the subject if given."""
    root.mkdir(exist_ok=True)
    text = HEAD + (tables or subject.tables(place, mirrors))
    manifest = root / "hatchlock.toml"
    manifest.write_text(text)
    environ = {"HOME": str(root), "PATH": os.environ["PATH"]}
    project = Project(
        manifest=manifest,
        home=Home(root=root / "store", is_default=False),
        environ=environ,
        manifest_bytes=text.encode(),
        overlay_bytes=b"",
        lock_bytes=None,
    )
    with (
        Http(environ=environ, offline=offline, patience=Patience(repeats=0)) as http,
        Sources(
            project, loads(text, shown="").manifest, http=http, offline=offline, refresh=False, emit=discard
        ) as sources,
    ):
        yield Desk(subject, project, sources, place)


def accepts(tables: str) -> bool:
    """Return whether this version takes a manifest with these tables."""
    try:
        loads(HEAD + tables, shown="")
    except HatchlockError:
        return False
    return True


class _PypiPlace:
    def __init__(self, index: Index) -> None:
        self._index = index
        self.address = index.url
        self.asked = index.asked

    def put(self, name: str, version: str, content: str = "", *, hashed: bool = True) -> None:
        self._index.releases[:] = [item for item in self._index.releases if (item.name, item.version) != (name, version)]
        self._index.releases.append(Release(name=name, version=version, headers=[f"Summary: {content}"], hashed=hashed))

    def swap(self, name: str, version: str) -> None:
        page = self._index.page(name)
        self._index.raw_pages[name] = json.dumps(page).encode()
        self.put(name, version, "something else")


@dataclass(frozen=True)
class _Pypi:
    kind: ClassVar[Kind] = Kind.PYPI
    newest_first: ClassVar[tuple[str, ...]] = ("1!0.1", "1.10", "1.9.post1", "1.9+cpu", "1.9", "1.9rc1", "1.9.dev2")
    exempt: ClassVar[Mapping[Law, Exempt]] = {}

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Place]:
        with serving() as index:
            yield _PypiPlace(index)

    def tables(self, place: Place, mirrors: Sequence[Place]) -> str:
        return _index(self.kind, place, mirrors)

    def versions(self, sources: Sources, name: str) -> list[str]:
        return [str(version) for version in sources.python.versions(name)]

    def lock(self, sources: Sources, place: Place, name: str, version: str) -> Package:
        target = process_target(PLATFORM, "3.11")
        request = EnvironmentRequest(
            name="e", platforms={PLATFORM: target}, requirements=(f"pypi:{name}=={version}",)
        )
        (package,) = sources.resolve([request], exclude_newer=None).packages
        return package


class _NpmPlace:
    def __init__(self, registry: NpmRegistry) -> None:
        self._registry = registry
        self.address = registry.url
        self.asked = registry.asked

    def put(self, name: str, version: str, content: str = "", *, hashed: bool = True) -> None:
        releases = self._registry.releases
        releases[:] = [item for item in releases if (item.name, item.version) != (name, version)]
        integrity = None if hashed else ""
        releases.append(NpmRelease(name=name, version=version, files={"it.js": content}, integrity=integrity))

    def swap(self, name: str, version: str) -> None:
        document = self._registry.packument(name, short=False)
        self._registry.raw[f"/{name}"] = json.dumps(document).encode()
        self.put(name, version, "something else")


@dataclass(frozen=True)
class _Npm:
    kind: ClassVar[Kind] = Kind.NPM
    newest_first: ClassVar[tuple[str, ...]] = ("10.0.0", "9.0.0", "1.0.0", "1.0.0-rc.10", "1.0.0-rc.9", "1.0.0-beta")
    exempt: ClassVar[Mapping[Law, Exempt]] = {}

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Place]:
        with serving_npm() as registry:
            yield _NpmPlace(registry)

    def tables(self, place: Place, mirrors: Sequence[Place]) -> str:
        return _index(self.kind, place, mirrors)

    def versions(self, sources: Sources, name: str) -> list[str]:
        return [str(version) for version in sources.npm.versions(name)]

    def lock(self, sources: Sources, place: Place, name: str, version: str) -> Package:
        found = sources.npm.candidate(name, NpmVersion.parse(version))
        assert found is not None
        return Package(kind=Kind.NPM, name=name, version=str(found.version), index=found.index, files=(found.file,))


def _index(kind: Kind, place: Place, mirrors: Sequence[Place]) -> str:
    addresses = json.dumps([mirror.address for mirror in mirrors])
    return f'[indexes.{kind}]\nurl = "{place.address}"\nmirrors = {addresses}\n'


def _project(name: str, version: str, content: str) -> dict[str, str]:
    return {"pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n', f"{name}.py": f"# {content}\n"}


class _GitPlace:
    def __init__(self, server: GitServer) -> None:
        self._root = server.root
        self.address = server.url
        self.asked = server.asked

    def put(self, name: str, version: str, content: str = "", *, hashed: bool = True) -> None:
        place = self._root / name
        repository = Repository(place) if not place.exists() else Repository.at(place)
        repository.commit(_project(name, version, content))
        repository.git("tag", "--force", f"v{version}")

    def swap(self, name: str, version: str) -> None:
        shutil.rmtree(self._root / name)
        self.put(name, version, "something else")


@dataclass(frozen=True)
class _Git:
    kind: ClassVar[Kind] = Kind.GIT
    newest_first: ClassVar[tuple[str, ...]] = ("2.0", "1.0")

    @property
    def exempt(self) -> Mapping[Law, Exempt]:
        return {
            Law.ORDER: Exempt(
                why="a ref is one commit, and refs are not compared", holds=lambda *_: not hasattr(GitSource, "versions")
            ),
            Law.MISSING_HASH: Exempt(why="git's ids and the snapshot's hash come of the content", holds=_is_hashed_here),
            Law.MIRRORS: _no_indexes("a repository has one address"),
            Law.CLAIMS: _no_indexes("the address says which repository"),
        }

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Place]:
        with serving_git(root) as server:
            yield _GitPlace(server)

    def tables(self, place: Place, mirrors: Sequence[Place]) -> str:
        return ""

    def versions(self, sources: Sources, name: str) -> list[str]:
        raise NotImplementedError

    def lock(self, sources: Sources, place: Place, name: str, version: str) -> Package:
        return sources.load(f"git:{place.address}/{name}@v{version}", None).package


class _PathPlace:
    def __init__(self, root: Path) -> None:
        self.address = str(root)
        self.asked: list[str] = []

    def put(self, name: str, version: str, content: str = "", *, hashed: bool = True) -> None:
        directory = Path(self.address) / f"{name}-{version}"
        directory.mkdir(exist_ok=True)
        for file, text in _project(name, version, content).items():
            (directory / file).write_text(text)

    def swap(self, name: str, version: str) -> None:
        self.put(name, version, "something else")


@dataclass(frozen=True)
class _Path:
    kind: ClassVar[Kind] = Kind.PATH
    newest_first: ClassVar[tuple[str, ...]] = ("2.0", "1.0")

    @property
    def exempt(self) -> Mapping[Law, Exempt]:
        return {
            Law.ORDER: Exempt(
                why="a directory holds one version", holds=lambda *_: not accepts(_dependency("path:./thing>=1"))
            ),
            Law.MISSING_HASH: Exempt(why="the hash comes of the content", holds=_is_hashed_here),
            Law.UNREACHABLE: Exempt(why="it lies on this machine", holds=_needs_nobody),
            Law.MIRRORS: _no_indexes("a directory is one place"),
            Law.CLAIMS: _no_indexes("the path says which directory"),
        }

    @contextlib.contextmanager
    def serve(self, root: Path) -> Iterator[Place]:
        yield _PathPlace(root)

    def tables(self, place: Place, mirrors: Sequence[Place]) -> str:
        return ""

    def versions(self, sources: Sources, name: str) -> list[str]:
        raise NotImplementedError

    def lock(self, sources: Sources, place: Place, name: str, version: str) -> Package:
        return sources.load(f"path:{place.address}/{name}-{version}", None).package
