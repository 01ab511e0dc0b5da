"""Every kind of source that this version has, on loopback or on this disk, behind the protocol of `source_desk`."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hatchlock.address import Kind
from hatchlock.lock.images import Image
from hatchlock.lock.model import Package
from hatchlock.net.registry import ImageUnreachable, Registry
from hatchlock.resolve.loading import Loader
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.sources.npm.ranges import NpmVersion
from hatchlock.sources.projects.git import GitSource
from hatchlock.sources.python.targets import process_target
from hatchlock.sources.url import UrlSource
from hatchlock.usecases.sources import Sources
from support.fake_registry import MANIFEST, FakeRegistry, fake_registry
from support.git_server import GitServer, Repository, serving_git
from support.hatch_registry import HatchPackage, HatchServer, serving_hatch
from support.index import Index, Release, serving
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.source_desk import PLATFORM, Exempt, Law, Place, Subject, accepts, desk

__all__ = ["SUBJECTS"]

_ONE = "1.0.0"
_ELSE = "something else"


class _Indexed:
    """What has indexes, which a manifest declares."""

    kind: ClassVar[Kind]
    exempt: ClassVar[Mapping[Law, Exempt]] = {}

    def tables(self, place: Place, mirrors: Sequence[Place], /) -> str:
        addresses = json.dumps([mirror.address for mirror in mirrors])
        return f'[indexes.{self.kind}]\nurl = "{place.address}"\nmirrors = {addresses}\n'


class _Addressed:
    """What a requirement says the address of itself: there are no versions to choose from."""

    newest_first: ClassVar[tuple[str, ...]] = ()

    def tables(self, _place: Place, _mirrors: Sequence[Place], /) -> str:
        return ""

    def versions(self, _sources: Sources, name: str, /) -> list[str]:
        raise AssertionError(name)


class _Content:
    """A place that tells no hashes: they are worked out from the content."""

    def put(self, name: str, version: str, content: str = "") -> None:
        raise NotImplementedError

    def put_unhashed(self, name: str, version: str) -> None:
        self.put(name, version)

    def swap(self, name: str, version: str) -> None:
        self.put(name, version, _ELSE)


# pypi:


class _PypiPlace:
    def __init__(self, index: Index) -> None:
        self._index = index
        self.address = index.url
        self.asked = index.asked

    def put(self, name: str, version: str, content: str = "") -> None:
        self._replace(Release(name=name, version=version, headers=[f"Summary: {content}"]))

    def put_unhashed(self, name: str, version: str) -> None:
        self._replace(Release(name=name, version=version, hashed=False))

    def swap(self, name: str, version: str) -> None:
        self._index.raw_pages[name] = json.dumps(self._index.page(name)).encode()
        self.put(name, version, _ELSE)

    def _replace(self, release: Release) -> None:
        kept = [item for item in self._index.releases if item.file_name != release.file_name]
        self._index.releases[:] = [*kept, release]


class _Pypi(_Indexed):
    kind = Kind.PYPI
    newest_first = ("1!0.1", "1.10", "1.9.post1", "1.9+cpu", "1.9", "1.9rc1", "1.9.dev2")

    @contextlib.contextmanager
    def serve(self, _root: Path, /) -> Iterator[Place]:
        with serving() as index:
            yield _PypiPlace(index)

    def versions(self, sources: Sources, name: str, /) -> list[str]:
        return [str(version) for version in sources.python.versions(name)]

    def lock(self, sources: Sources, _place: Place, name: str, version: str, /) -> Package:
        request = EnvironmentRequest(
            name="e",
            platforms={PLATFORM: process_target(PLATFORM, "3.11")},
            requirements=(f"pypi:{name}=={version}",),
        )
        (package,) = sources.resolve([request], exclude_newer=None).packages
        return package


# npm:


class _NpmPlace:
    def __init__(self, registry: NpmRegistry) -> None:
        self._registry = registry
        self.address = registry.url
        self.asked = registry.asked

    def put(self, name: str, version: str, content: str = "") -> None:
        self._replace(NpmRelease(name=name, version=version, files={"it.js": content}))

    def put_unhashed(self, name: str, version: str) -> None:
        self._replace(NpmRelease(name=name, version=version, integrity=""))

    def swap(self, name: str, version: str) -> None:
        self._registry.raw[f"/{name}"] = json.dumps(self._registry.packument(name, short=False)).encode()
        self.put(name, version, _ELSE)

    def _replace(self, release: NpmRelease) -> None:
        both = (release.name, release.version)
        kept = [item for item in self._registry.releases if (item.name, item.version) != both]
        self._registry.releases[:] = [*kept, release]


class _Npm(_Indexed):
    kind = Kind.NPM
    newest_first = ("10.0.0", "9.0.0", "1.0.0", "1.0.0-rc.10", "1.0.0-rc.9", "1.0.0-beta")

    @contextlib.contextmanager
    def serve(self, _root: Path, /) -> Iterator[Place]:
        with serving_npm() as registry:
            yield _NpmPlace(registry)

    def versions(self, sources: Sources, name: str, /) -> list[str]:
        return [str(version) for version in sources.npm.versions(name)]

    def lock(self, sources: Sources, _place: Place, name: str, version: str, /) -> Package:
        found = sources.npm.candidate(name, NpmVersion.parse(version))
        assert found is not None
        return Package(kind=Kind.NPM, name=name, version=str(found.version), index=found.index, files=(found.file,))


# hatch:


class _HatchPlace(_Content):
    def __init__(self, server: HatchServer) -> None:
        self._server = server
        self.address = server.index_url
        self.asked = server.asked

    def put(self, name: str, version: str, content: str = "") -> None:
        package = HatchPackage(name=name, version=version, metadata={"description": content})
        kept = [item for item in self._server.packages if item.file_name != package.file_name]
        self._server.packages[:] = [*kept, package]


class _Hatch(_Indexed):
    kind = Kind.HATCH
    newest_first = ("10.0.0", "9.0.0", "1.10", "1.9.1", "1.9", "0.1")
    exempt: ClassVar[Mapping[Law, Exempt]] = {
        Law.MISSING_HASH: Exempt(
            why="the hash comes of the archive",
            holds=lambda subject, root: _is_hashed_here(subject, root),  # noqa: PLW0108  it is defined below
        ),
    }

    @contextlib.contextmanager
    def serve(self, _root: Path, /) -> Iterator[Place]:
        with serving_hatch() as server:
            yield _HatchPlace(server)

    def versions(self, sources: Sources, name: str, /) -> list[str]:
        return [release.version for release in sources.hatch.versions(name)]

    def lock(self, sources: Sources, _place: Place, name: str, version: str, /) -> Package:
        return sources.hatch.locked(sources.hatch_registry.release(name, version))


# git: and path:


def _project(name: str, version: str, content: str) -> dict[str, str]:
    return {"pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n', f"{name}.py": f"# {content}\n"}


class _GitPlace(_Content):
    def __init__(self, server: GitServer) -> None:
        self._root = server.root
        self._repositories: dict[str, Repository] = {}
        self.address = server.url
        self.asked = server.asked

    def put(self, name: str, version: str, content: str = "") -> None:
        if name not in self._repositories:
            self._repositories[name] = Repository(self._root / name)
        self._repositories[name].commit(_project(name, version, content))
        self._repositories[name].git("tag", "--force", f"v{version}")

    def swap(self, name: str, version: str) -> None:
        shutil.rmtree(self._repositories.pop(name).path)
        super().swap(name, version)


class _Git(_Addressed):
    kind = Kind.GIT

    @property
    def exempt(self) -> Mapping[Law, Exempt]:
        return {
            Law.ORDER: Exempt(why="refs are names of commits", holds=lambda *_: not hasattr(GitSource, "versions")),
            Law.MISSING_HASH: Exempt(why="ids and hash come of the content", holds=_is_hashed_here),
            Law.MIRRORS: _no_indexes("a repository has one address"),
            Law.CLAIMS: _no_indexes("the address says which repository"),
        }

    @contextlib.contextmanager
    def serve(self, root: Path, /) -> Iterator[Place]:
        with serving_git(root) as server:
            yield _GitPlace(server)

    def lock(self, sources: Sources, place: Place, name: str, version: str, /) -> Package:
        return sources.load(f"git:{place.address}/{name}@v{version}", None).package


class _PathPlace(_Content):
    def __init__(self, root: Path) -> None:
        self.address = str(root)
        self.asked: list[str] = []

    def put(self, name: str, version: str, content: str = "") -> None:
        directory = Path(self.address) / f"{name}-{version}"
        directory.mkdir(exist_ok=True)
        for file, text in _project(name, version, content).items():
            (directory / file).write_text(text)


class _Path(_Addressed):
    kind = Kind.PATH

    @property
    def exempt(self) -> Mapping[Law, Exempt]:
        return {
            Law.ORDER: Exempt(why="a directory has one version", holds=lambda *_: not hasattr(Loader, "versions")),
            Law.MISSING_HASH: Exempt(why="the hash comes of the content", holds=_is_hashed_here),
            Law.UNREACHABLE: Exempt(why="it lies on this machine", holds=_needs_nobody),
            Law.MIRRORS: _no_indexes("a directory is one place"),
            Law.CLAIMS: _no_indexes("the path says which directory"),
        }

    @contextlib.contextmanager
    def serve(self, root: Path, /) -> Iterator[Place]:
        yield _PathPlace(root)

    def lock(self, sources: Sources, place: Place, name: str, version: str, /) -> Package:
        return sources.load(f"path:{place.address}/{name}-{version}", None).package


# url:


class _UrlPlace(_Content):
    def __init__(self, server: GitServer) -> None:
        self._root = server.root
        self.address = server.url
        self.asked = server.asked

    def put(self, name: str, version: str, content: str = "") -> None:
        (self._root / f"{name}-{version}").write_text(f"#!/bin/sh\n# {name} {version} {content}\n")


class _Url(_Addressed):
    kind = Kind.URL

    @property
    def exempt(self) -> Mapping[Law, Exempt]:
        return {
            Law.ORDER: Exempt(why="an address is one file", holds=lambda *_: not hasattr(UrlSource, "versions")),
            Law.MISSING_HASH: Exempt(
                why="the manifest itself has to say it",
                holds=lambda *_: not accepts('[environments.e]\ndependencies = ["url:https://example.com/tool"]\n'),
            ),
            Law.CACHE: Exempt(why="with #sha256 nobody is asked at all", holds=_says_its_hash),
            Law.MIRRORS: _no_indexes("an address is one place"),
            Law.CLAIMS: _no_indexes("the address says which file"),
        }

    @contextlib.contextmanager
    def serve(self, root: Path, /) -> Iterator[Place]:
        with serving_git(root, dumb=True) as server:
            yield _UrlPlace(server)

    def lock(self, sources: Sources, place: Place, name: str, version: str, /) -> Package:
        return sources.load(f"url:{place.address}/{name}-{version}", None).package


# oci:


class _OciPlace:
    def __init__(self, server: FakeRegistry) -> None:
        self._server = server
        self.address = server.address
        self.asked = server.asked

    def put(self, name: str, version: str, content: str = "") -> None:
        self._server.image(name, version, layers=[f"{name} {version} {content}".encode()])

    def put_unhashed(self, name: str, version: str) -> None:
        self.put(name, version)
        manifest = self._manifest(name, version)
        del manifest["layers"][0]["digest"]
        self._server.document(name, version, MANIFEST, manifest)

    def swap(self, name: str, version: str) -> None:
        for layer in self._manifest(name, version)["layers"]:
            self._server.blobs[layer["digest"]] = b"x" * layer["size"]

    def _manifest(self, name: str, version: str) -> Any:
        _, data = self._server.documents[f"/v2/{name}/manifests/{version}"]
        return json.loads(data)


class _Oci(_Addressed):
    kind = Kind.OCI

    @property
    def exempt(self) -> Mapping[Law, Exempt]:
        return {
            Law.ORDER: Exempt(why="tags are names", holds=lambda *_: not hasattr(Registry, "versions")),
            Law.CACHE: Exempt(
                why="what a tag means is asked each time, and only once it is locked stays", holds=_asks_again
            ),
            Law.MIRRORS: Exempt(
                why="mirrors of registries are asked first, and have tests of their own", holds=_asks_mirrors_first
            ),
            Law.CLAIMS: _no_indexes("the reference says which registry"),
        }

    def tables(self, place: Place, mirrors: Sequence[Place], /) -> str:
        addresses = json.dumps([mirror.address for mirror in mirrors])
        return f'[registries."{place.address}"]\nmirrors = {addresses}\n'

    @contextlib.contextmanager
    def serve(self, _root: Path, /) -> Iterator[Place]:
        with fake_registry() as server:
            yield _OciPlace(server)

    def lock(self, sources: Sources, place: Place, name: str, version: str, /) -> Image:
        return sources.look_up_image(f"{place.address}/{name}:{version}", [PLATFORM], facts=False)


# what shows that an exemption is true


def _no_indexes(why: str) -> Exempt:
    def holds(subject: Subject, _: Path) -> bool:
        return not accepts(f'[indexes.{subject.kind}]\nurl = "https://example.com"\n')

    return Exempt(why=why, holds=holds)


def _is_hashed_here(subject: Subject, root: Path) -> bool:
    with _served(subject, root) as place, desk(subject, root / "run", place) as found:
        locked = found.lock("thing", _ONE)
        found.obtain(locked)
        return [found.stored(file) for file in locked.files] == [file.digest for file in locked.files] != []


def _needs_nobody(subject: Subject, root: Path) -> bool:
    with _served(subject, root) as place, desk(subject, root / "run", place, offline=True) as found:
        return bool(found.lock("thing", _ONE).files)


def _says_its_hash(subject: Subject, root: Path) -> bool:
    with _served(subject, root) as place, desk(subject, root / "run", place, offline=True) as found:
        text = f"url:{place.address}/thing-{_ONE}#sha256={'0' * 64}"
        return found.sources.load(text, None).package.files[0].sha256 == "0" * 64 and not place.asked


def _asks_mirrors_first(subject: Subject, root: Path) -> bool:
    with _served(subject, root) as place, subject.serve(root) as mirror:
        mirror.put("thing", _ONE)
        with desk(subject, root / "run", place, mirrors=[mirror]) as found:
            found.lock("thing", _ONE)
        return bool(mirror.asked) and not place.asked


def _asks_again(subject: Subject, root: Path) -> bool:
    with _served(subject, root) as place:
        with desk(subject, root / "run", place) as found:
            found.lock("thing", _ONE)
        with desk(subject, root / "run", place, offline=True) as found, contextlib.suppress(ImageUnreachable):
            found.lock("thing", _ONE)
            return False
    return True


@contextlib.contextmanager
def _served(subject: Subject, root: Path) -> Iterator[Place]:
    directory = root / "served"
    directory.mkdir()
    with subject.serve(directory) as place:
        place.put("thing", _ONE)
        yield place


SUBJECTS: tuple[Subject, ...] = (_Pypi(), _Npm(), _Hatch(), _Git(), _Path(), _Url(), _Oci())
"""One for each kind that this version installs."""
