"""A resolution of every kind: Python's index and Hatch's registry on loopback, the rest in memory behind its protocols."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hatchlock.address import ImageReference
from hatchlock.events import Event
from hatchlock.lock.model import Archive
from hatchlock.net.http import Http
from hatchlock.net.patience import Patience
from hatchlock.resolve.environments import resolve_environments
from hatchlock.resolve.loading import Loader
from hatchlock.resolve.request import EnvironmentRequest, Resolution
from hatchlock.sources.conda.channels import CondaChannel
from hatchlock.sources.conda.solve import CondaSource
from hatchlock.sources.debian.package import INSTALLED_PIN, DebPackage
from hatchlock.sources.hatch.documents import HatchIndex
from hatchlock.sources.hatch.registry import HatchRegistry
from hatchlock.sources.projects.git import GitSource
from hatchlock.sources.python.indexes import PythonIndex
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.targets import container_target, process_target
from hatchlock.sources.url import UrlSource
from hatchlock.store.blobs import Blobs
from hatchlock.usecases.desks import HatchDesk
from support.hatch_registry import HatchPackage, HatchServer, serving_hatch
from support.index import Index, Release, serving
from support.indexes import indexes_of
from support.locks import image

__all__ = ["BASE", "LINUX", "MAC", "Mixed", "boxed", "deb", "ids", "installed", "mixed_world", "requires"]

LINUX, MAC = "linux/amd64", "darwin/arm64"
BASE = "base.example.com/python:3.11"
_SUITE = "debian/bookworm"


def deb(name: str, version: str = "1.0-1", **fields: str) -> DebPackage:
    """Return a package of the archive; `fields` as in a control file: `depends`, `provides`."""
    facts = {"filename": f"pool/main/{name[0]}/{name}/{name}.deb", "sha256": "d" * 64, "size": "100"}
    return DebPackage.of(
        {"package": name, "version": version, "architecture": "amd64", **facts, **fields}, suite=_SUITE
    )


def installed(name: str, version: str = "1.0-1", **fields: str) -> DebPackage:
    """Return a package of the base."""
    facts = {"package": name, "version": version, "architecture": "amd64", **fields}
    return DebPackage.of(facts, pin=INSTALLED_PIN)


def requires(**kinds: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return dependencies as Hatch metadata has them: `hatch=[("core_kit", ">=1")]`, or any version if nothing is said.

    What is to install it stands behind `@`: `python=[("numpy@conda", "")]`.
    """

    def one(name: str, bounds: str) -> dict[str, Any]:
        name, _, manager = name.partition("@")
        found = {"name": name, "version_constraint": bounds or ">=0"}
        return found | ({"package_manager": manager} if manager else {})

    return {kind: [one(*item) for item in items] for kind, items in kinds.items()}


@dataclass(kw_only=True)
class _Desk:
    """Debian's archive and base in memory; it is the universe, too."""

    packages: Sequence[DebPackage]
    installed: Sequence[DebPackage]
    architecture: str = "amd64"

    @property
    def universe(self) -> _Desk:
        return self

    @property
    def archives(self) -> Sequence[Archive]:
        names = (_SUITE, "debian/bookworm-updates")
        return [Archive(name=name, suite=name, date="2026-01-01T00:00:00Z", sha256="a" * 64) for name in names]

    @property
    def releases(self) -> Sequence[str]:
        return (_SUITE,)

    def named(self, name: str) -> Sequence[DebPackage]:
        return [item for item in self.packages if item.name == name]

    def providing(self, name: str) -> Sequence[DebPackage]:
        return [item for item in self.packages if any(one.name == name for one in item.provides)]

    def rank(self, name: str) -> int:
        return next(number for number, item in enumerate(self.packages) if item.name == name)


@dataclass(kw_only=True)
class _Tags:
    """Image registries in memory: repository -> tags."""

    known: Mapping[str, Sequence[str]]

    def tags(self, reference: ImageReference) -> Sequence[str]:
        return self.known[reference.repository]

    def normal(self, reference: ImageReference) -> ImageReference:
        return reference


@dataclass(kw_only=True)
class Mixed:
    """What there is.

    `debs` are those of the archive, `base` those of the base; `tags` are images with their tags; `channel` is a directory that
    is a channel of conda. `said` are the notes of resolutions.
    """

    root: Path
    python: Index
    registry: HatchServer
    debs: list[DebPackage] = field(default_factory=list)
    base: list[DebPackage] = field(default_factory=list)
    tags: dict[str, Sequence[str]] = field(default_factory=dict)
    channel: Path | None = None
    said: list[str] = field(default_factory=list)

    def put(self, name: str, version: str = "1.0.0", *, repository: str = "main", **needs: Any) -> None:
        """Publish a Hatch package; `python` is its compatibility, the rest as `requires` takes it."""
        python = needs.pop("python_version", "")
        metadata = {"compatibility": {"python": python}} if python else {}
        package = HatchPackage(
            name=name, version=version, repository=repository, dependencies=requires(**needs), metadata=metadata
        )
        self.registry.packages.append(package)

    def resolve(self, *requirements: str, **request: Any) -> Resolution:
        """Resolve one environment, for Linux as a process unless `request` says something else."""
        usual = {"name": "e", "platforms": {LINUX: process_target(LINUX, "3.11")}, "requirements": requirements}
        wanted = EnvironmentRequest(**{**usual, **request})
        with self._opened() as indexes:
            return resolve_environments([wanted], indexes=indexes, emit=self._hear)

    def _hear(self, event: Event) -> None:
        self.said.extend([event.message] if event.name == "resolve.note" else [])

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        cache, environ = self.root / "cache", {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        channels = [CondaChannel(name="local", url=self.channel.as_uri())] if self.channel else []
        with (
            Http(environ={}, patience=Patience(repeats=0)) as http,
            PypiSource(http=http, cache_dir=cache, indexes=[PythonIndex(name="pypi", url=self.python.url)]) as python,
            CondaSource(http=http, cache_dir=cache, channels=channels) as conda,
        ):
            hatch = HatchRegistry(
                http=http,
                cache_dir=cache,
                indexes=[HatchIndex(name="hatch", url=self.registry.index_url)],
                refresh=True,
            )
            scratch = self.root / "scratch"
            scratch.mkdir(exist_ok=True)
            load = Loader(
                place=self.root.joinpath,
                scratch=lambda: scratch,
                git=lambda: GitSource(cache_dir=cache, environ=environ),
                url=lambda: UrlSource(http=http),
                python=lambda: python,
            )
            desk = HatchDesk(hatch, Blobs(self.root / "blobs"), lambda: scratch, lambda _, note: self.said.append(note))
            yield indexes_of(
                python,
                load=load,
                scratch=lambda: scratch,
                hatch=lambda: desk,
                tags=lambda: _Tags(known=self.tags),
                debian=lambda request, _: _Desk(packages=self.debs, installed=self.base if request.base else ()),
                conda=lambda: conda,
            )


@contextlib.contextmanager
def mixed_world(root: Path) -> Iterator[Mixed]:
    """Serve a world inside the block, with nothing in it but the SDK."""
    with serving(Release(name="mcp", version="2.0")) as python, serving_hatch() as registry:
        yield Mixed(root=root, python=python, registry=registry)


def boxed(platform: str = LINUX, python: str = "3.11.2") -> dict[str, Any]:
    """Return what a request says of a container's base."""
    base = image(BASE, platform, python=python).platforms[platform]
    target = container_target(platform, python or "3.11", libc=base.libc)
    return {"platforms": {platform: target}, "base": BASE, "bases": {platform: base}, "glibc": {platform: "2.36"}}


def ids(resolution: Resolution, platform: str = LINUX) -> list[str]:
    """Return the ids of the first environment on a platform, without the SDK that every Hatch server needs."""
    return [item for item in resolution.environments[0].packages[platform] if not item.startswith("pypi:mcp@")]
