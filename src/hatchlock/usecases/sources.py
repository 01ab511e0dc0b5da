"""The places that a project's things come from: package indexes, registries, repositories, directories, addresses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypedDict

from hatchlock.events import Event, Sink
from hatchlock.usecases.opened import opened_once

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.launch import Runtime
    from hatchlock.lock.images import Image
    from hatchlock.lock.model import Archive, File, Package
    from hatchlock.manifest.model import BuildSpec, Manifest
    from hatchlock.net.http import Http
    from hatchlock.resolve.direct import Direct
    from hatchlock.resolve.loading import Loader
    from hatchlock.resolve.request import EnvironmentRequest, Resolution
    from hatchlock.sources.conda.solve import CondaSource
    from hatchlock.sources.dockerfile.context import ReadContext
    from hatchlock.sources.hatch.registry import HatchRegistry
    from hatchlock.sources.mcp_registry.registry import McpRegistry
    from hatchlock.sources.npm.registry import NpmSource
    from hatchlock.sources.oci_places import ImagePlaces
    from hatchlock.sources.projects.git import GitSource
    from hatchlock.sources.python.pypi import PypiSource
    from hatchlock.sources.url import UrlSource
    from hatchlock.usecases.debian import DebianDesk, DebianPlaces
    from hatchlock.usecases.desks import HatchDesk
    from hatchlock.usecases.project import Project

__all__ = ["Sources", "open_http"]

_DEFAULT_NODE = "22"


def open_http(project: Project, *, offline: bool) -> Http:
    """Return connections that trust whom the user's environment names, and whom an `.npmrc` does (`cafile`)."""
    from hatchlock.net.http import Http
    from hatchlock.sources.npm.npmrc import read_npmrc

    environ = dict(project.environ)
    if cafile := read_npmrc(environ, project.directory).cafile:
        environ.setdefault("NODE_EXTRA_CA_CERTS", cafile)
    return Http(environ=environ, offline=offline)


class _Asking(TypedDict):
    """How an index is asked; the same for those of all kinds that know when a release was made."""

    http: Http
    cache_dir: Path
    exclude_newer: datetime | None
    offline: bool
    refresh: bool


class Sources:
    """The places that a project's things come from, opened when they are first needed; a context manager.

    Args:
        project: Whose.
        manifest: Which indexes and registries it declares.
        offline: Use what is cached, however old, and ask nobody.
        refresh: Ask again, even for what is cached.
        emit: Told about progress.
        http: Connections that are already being made.
        exclude_newer: Releases after this moment do not count.
        upgrading: Something may move, so repositories are asked where their branches are now.
    """

    def __init__(
        self,
        project: Project,
        manifest: Manifest,
        *,
        offline: bool,
        refresh: bool,
        emit: Sink,
        http: Http | None = None,
        exclude_newer: datetime | None = None,
        upgrading: bool = False,
    ) -> None:
        self._project = project
        self._manifest = manifest
        self._offline = offline
        self._refresh = refresh
        self._emit = emit
        self._given_http = http
        self._exclude_newer = exclude_newer
        self._upgrading = upgrading
        self._stack = contextlib.ExitStack()
        self.opened: dict[str, Any] = {}
        self.opening = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell_stale()
        self._stack.close()

    def _tell_stale(self) -> None:
        from hatchlock.net.cache import stale_event

        labels = {
            "python": "pypi",
            "npm": "npm",
            "hatch_registry": "hatch",
            "mcp_registry": "mcp",
            "conda": "conda",
        }
        opened = [(label, self.opened.get(name)) for name, label in labels.items()]
        archives = self.opened["debian"].opened if "debian" in self.opened else ()
        for label, source in (*opened, *(("debian", archive) for archive in archives)):
            if source and source.stale:
                self._emit(stale_event(label, source.stale, is_asked=not self._offline))

    def _asking(self) -> _Asking:
        return {
            "http": self.http,
            "cache_dir": self._project.home.cache,
            "exclude_newer": self._exclude_newer,
            "offline": self._offline,
            "refresh": self._refresh,
        }

    @opened_once
    def http(self) -> Http:
        """The connections to package indexes."""
        http = self._given_http or open_http(self._project, offline=self._offline)
        return self._stack.enter_context(http)

    @opened_once
    def images(self) -> ImagePlaces:
        """Whatever has images: registries, the container engine, OCI layouts."""
        from hatchlock.usecases.image_places import open_images

        return open_images(
            self._project, self._manifest, offline=self._offline, scratch=lambda: self.scratch, stack=self._stack
        )

    @opened_once
    def python(self) -> PypiSource:
        """The manifest's Python indexes, or the user's own default one."""
        from hatchlock.manifest.model import IndexSpec
        from hatchlock.sources.python.default_index import default_index
        from hatchlock.sources.python.indexes import DEFAULT_TTL, PythonIndex
        from hatchlock.sources.python.pypi import PypiSource

        specs = self._manifest.indexes.get("pypi", ())
        if all(spec.packages for spec in specs):
            specs = (*specs, IndexSpec(name="pypi"))
        indexes = [
            PythonIndex(
                name=spec.name,
                url=spec.url or default_index(self._project.environ),
                mirrors=spec.mirrors,
                ttl=DEFAULT_TTL if spec.ttl is None else spec.ttl,
                packages=spec.packages,
            )
            for spec in specs
        ]
        return self._stack.enter_context(PypiSource(indexes=indexes, **self._asking()))

    @opened_once
    def npm(self) -> NpmSource:
        """The manifest's npm registries, or those of the user's `.npmrc`."""
        from hatchlock.sources.npm.indexes import NpmIndex
        from hatchlock.sources.npm.registry import NpmSource

        indexes = [
            NpmIndex(name=spec.name, url=spec.url, mirrors=spec.mirrors, ttl=spec.ttl, packages=spec.packages)
            for spec in self._manifest.indexes.get("npm", ())
        ]
        environ, directory = self._project.environ, self._project.directory
        source = NpmSource(environ=environ, project=directory, indexes=indexes, **self._asking())
        return self._stack.enter_context(source)

    @opened_once
    def hatch_registry(self) -> HatchRegistry:
        """The manifest's Hatch registries, and Hatch's own."""
        from hatchlock.sources.hatch.documents import HatchIndex
        from hatchlock.sources.hatch.registry import HatchRegistry

        indexes = [
            HatchIndex(name=spec.name, url=spec.url, mirrors=spec.mirrors, ttl=spec.ttl, packages=spec.packages)
            for spec in self._manifest.indexes.get("hatch", ())
        ]
        return self._stack.enter_context(HatchRegistry(indexes=indexes, **self._asking()))

    @opened_once
    def hatch(self) -> HatchDesk:
        """Hatch packages as the lock holds them."""
        from hatchlock.store.blobs import Blobs
        from hatchlock.usecases.desks import HatchDesk

        def tell(address: str, note: str) -> None:
            self._emit(Event(name="resolve.note", address=address, message=note))

        return HatchDesk(self.hatch_registry, Blobs(self._project.home.blobs), lambda: self.scratch, tell)

    @opened_once
    def mcp_registry(self) -> McpRegistry:
        """The manifest's registry of MCP servers, or the official one."""
        from hatchlock.sources.mcp_registry.registry import McpRegistry

        spec = next(iter(self._manifest.indexes.get("mcp", ())), None)
        return McpRegistry(
            http=self.http,
            cache_dir=self._project.home.cache,
            url=spec.url if spec else "",
            mirrors=spec.mirrors if spec else (),
            **({"ttl": spec.ttl} if spec and spec.ttl is not None else {}),
            offline=self._offline,
            refresh=self._refresh,
        )

    @opened_once
    def conda(self) -> CondaSource:
        """The manifest's channels of conda, or conda-forge."""
        from hatchlock.sources.conda.channels import CondaChannel
        from hatchlock.sources.conda.solve import CondaSource

        channels = [
            CondaChannel(name=spec.name, url=spec.url, mirrors=spec.mirrors, ttl=spec.ttl)
            for spec in self._manifest.indexes.get("conda", ())
        ]
        return self._stack.enter_context(CondaSource(channels=channels, **self._asking()))

    def debian_desk(self, request: EnvironmentRequest, platform: str) -> DebianDesk:
        """Return what there is of Debian for an environment on a platform; see `debian.DebianPlaces.desk`."""
        return self.debian.desk(request, platform)

    @opened_once
    def debian(self) -> DebianPlaces:
        """The archives of Debian packages: those of bases and of this machine, or the manifest's."""
        from hatchlock.manifest.model import IndexSpec
        from hatchlock.usecases.debian import DebianPlaces

        places = DebianPlaces(
            next(iter(self._manifest.indexes.get("deb", ())), IndexSpec(name="debian")),
            project=self._project,
            http=lambda: self.http,
            registry=lambda: self.images,
            offline=self._offline,
            refresh=self._refresh,
            emit=self._emit,
        )
        return self._stack.enter_context(places)

    @opened_once
    def git(self) -> GitSource:
        """Git repositories."""
        from hatchlock.sources.projects.git import GitSource

        return GitSource(
            cache_dir=self._project.home.cache,
            environ=self._project.environ,
            offline=self._offline,
            refresh=self._refresh or self._upgrading,
            emit=self._emit,
        )

    @opened_once
    def url(self) -> UrlSource:
        """Programs and archives by their addresses."""
        from hatchlock.sources.url import UrlSource

        return UrlSource(http=self.http, emit=self._emit)

    @opened_once
    def scratch(self) -> Path:
        """A directory of ours for what is not kept."""
        import tempfile
        from pathlib import Path

        from hatchlock.files import private_directory

        private_directory(self._project.home.cache)
        directory = tempfile.TemporaryDirectory(dir=self._project.home.cache, prefix="work-")
        return Path(self._stack.enter_context(directory))

    def look_up_image(self, reference: str, platforms: Sequence[str], *, facts: bool) -> Image:
        """Look an image up where it is; see `sources.oci.lock_image`."""
        from hatchlock.net.cache import Cache
        from hatchlock.sources.oci import lock_image
        from hatchlock.store.blobs import Blobs

        blobs = Blobs(self._project.home.blobs)
        known = Cache(self._project.home.cache / "bases")
        return lock_image(
            reference, platforms, registry=self.images, blobs=blobs, facts=facts, known=known, emit=self._emit
        )

    def resolve(self, requests: Sequence[EnvironmentRequest], *, exclude_newer: datetime | None) -> Resolution:
        """Resolve environments; see `resolve.environments.resolve_environments`. Called before anything was asked."""
        from hatchlock.resolve.environments import resolve_environments
        from hatchlock.resolve.work import Indexes

        self._exclude_newer = exclude_newer
        self._emit(Event(name="resolve.start", address=", ".join(f"env:{request.name}" for request in requests)))
        indexes = Indexes(
            python=self.python,
            npm=lambda: self.npm,
            load=self.load,
            scratch=lambda: self.scratch,
            hatch=lambda: self.hatch,
            tags=lambda: self.images,
            debian=self.debian_desk,
            conda=lambda: self.conda,
        )
        found = resolve_environments(requests, indexes=indexes, emit=self._emit)
        self._tell_newer(found.archives)
        return found

    def _tell_newer(self, archives: Sequence[Archive]) -> None:
        """An archive tells no ages of packages: only a snapshot of it is from before a moment."""
        limit = self._exclude_newer
        for archive in archives if limit else ():
            if limit and archive.date and datetime.fromisoformat(archive.date) > limit:
                note = (
                    "it is younger than exclude-newer allows, which cannot be applied to its packages: name a snapshot"
                )
                self._emit(Event(name="resolve.note", address=archive.name, message=note))

    def entry(self, text: str, runtime: Runtime, platforms: Sequence[str], pinned: Package | None) -> Package:
        """Return an entry of the MCP registry; see `desks.entry_package`."""
        from hatchlock.usecases.desks import entry_package

        package, notes = entry_package(text, runtime, platforms, pinned, registry=self.mcp_registry)
        for note in notes:
            self._emit(Event(name="resolve.note", address=package.source, message=note))
        return package

    def load(self, text: str, pinned: Package | None) -> Direct:
        """Read what a requirement names itself; see `resolve.loading.Loader`."""
        return self._loader(text, pinned)

    def interpreters(self, python: str, platforms: Sequence[str]) -> Mapping[str, File]:
        """Return the archive of uv's own build of a Python version for each platform."""
        from hatchlock.sources.python.managed import find_archives

        found = find_archives(python, platforms, http=self.http, environ=self._project.environ)
        return {platform: archive.file for platform, archive in found.items()}

    def read_context(self, server: str, build: BuildSpec) -> ReadContext:
        """Read the directory that a server's image is built from; see `contexts.read_context`."""
        from hatchlock.usecases.contexts import read_context

        return read_context(self._project, server, build)

    def host_node(self) -> str:
        """Return the major version of this machine's Node, or of the current long-term one where there is none."""
        return self._host_node

    @opened_once
    def _host_node(self) -> str:
        from hatchlock.engines.node import NodeMissing, find_node

        try:
            return find_node("", self._project.environ).version.partition(".")[0]
        except NodeMissing:
            return _DEFAULT_NODE

    @opened_once
    def _loader(self) -> Loader:
        from hatchlock.resolve.loading import Loader

        return Loader(
            place=self._project.place,
            store=self._project.home.root,
            scratch=lambda: self.scratch,
            git=lambda: self.git,
            url=lambda: self.url,
            python=lambda: self.python,
        )
