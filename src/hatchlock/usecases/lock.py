"""`lock`: manifest -> hatch.lock. Runs no third-party code, and asks the network only for what the lock does not hold yet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from hatchlock.events import Event, Sink, discard

if TYPE_CHECKING:
    from hatchlock.lock.diff import Change
    from hatchlock.lock.model import Image, Lock
    from hatchlock.manifest.load import LoadedManifest
    from hatchlock.manifest.model import Manifest
    from hatchlock.net.http import Http
    from hatchlock.net.registry import Registry
    from hatchlock.resolve.build import Upgrade
    from hatchlock.resolve.python import EnvironmentRequest, Resolution
    from hatchlock.sources.python.pypi import PypiSource
    from hatchlock.usecases.project import Project

__all__ = ["LockResult", "Sources", "lock_project", "warnings_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LockResult:
    """What `lock` did.

    Attributes:
        lock: The lock.
        changes: How it differs from the one before.
        written: Whether the file changed.
        warnings: What the manifest should not do, one sentence each, with their places.
    """

    lock: Lock
    changes: tuple[Change, ...]
    written: bool
    warnings: tuple[str, ...]


def lock_project(
    project: Project,
    *,
    upgrade: Upgrade = frozenset(),
    offline: bool = False,
    refresh: bool = False,
    check: bool = False,
    emit: Sink = discard,
) -> LockResult:
    """Resolve a project and write its lock, if it changed.

    Args:
        project: Whose.
        upgrade: Names that may move; None: all may.
        offline: Use what is cached, however old.
        refresh: Ask the index again, even within the TTL.
        check: Write nothing.
        emit: Told about progress.

    Raises:
        ManyErrors: The manifest has mistakes.
        NotInLock: Something that may move is not in the lock.
        HatchlockError: What resolving raises: unknown package, conflict, unreachable index, …
        PermissionProblem: The lock cannot be written.
    """
    will_ask = project.lock_bytes is None or upgrade is None or bool(upgrade)
    http = _connections(project, offline=offline) if will_ask else None
    from hatchlock.engines.process import host_platform
    from hatchlock.lock.diff import diff_locks
    from hatchlock.lock.store import BadLock, loads, write_lock
    from hatchlock.manifest.load import load_bytes
    from hatchlock.resolve.build import build_lock

    if project.overlay_bytes:  # its mistakes count; what it says is this machine's and stays out
        load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes)
    loaded = load_bytes(project.manifest, project.manifest_bytes, b"")
    previous = None
    if project.lock_bytes is not None:
        try:
            previous = loads(project.lock_bytes)
        except BadLock:
            if upgrade is not None:
                raise
    if upgrade:
        upgrade = _known_names(upgrade, previous)
    with Sources(project, loaded.manifest, http=http, offline=offline, refresh=refresh, emit=emit) as sources:
        lock = build_lock(
            loaded.manifest,
            previous,
            now=datetime.now(UTC),
            host_platform=host_platform(),
            upgrade=upgrade,
            look_up_image=sources.look_up_image,
            resolve_python=sources.resolve_python,
        )
    written = (not check) and write_lock(project.lock, lock)
    warnings = warnings_of(loaded)
    return LockResult(lock=lock, changes=diff_locks(previous, lock), written=written, warnings=warnings)


def _known_names(names: frozenset[str], lock: Lock | None) -> frozenset[str]:
    """Return the names as the lock has them: packages in their normal form, without kind; images as they are written."""
    from packaging.utils import canonicalize_name

    from hatchlock.usecases.inspect import NotInLock

    if lock is None:
        return frozenset()  # there is nothing to move: all of it is new
    packages, images = {item.name for item in lock.packages}, {item.reference for item in lock.images}
    found = set()
    for name in names:
        image, package = name.removeprefix("oci:"), str(canonicalize_name(name.removeprefix("pypi:")))
        if image not in images and package not in packages:
            raise NotInLock(what="package or image", name=name, known=(*packages, *images))
        found.add(image if image in images else package)
    return frozenset(found)


def _connections(project: Project, *, offline: bool) -> Http:
    """Begin to load the trusted certificates: it takes as long as loading the manifest's schema, and goes on beside it."""
    from hatchlock.net.http import Http

    http = Http(environ=project.environ, offline=offline)
    http.warm_up()
    return http


def warnings_of(loaded: LoadedManifest) -> tuple[str, ...]:
    """Return a manifest's warnings as sentences with their places."""
    return tuple(f"{item.place}: {item}" + (f" ({item.hint})" if item.hint else "") for item in loaded.warnings)


class Sources:
    """The places that a project's things come from, opened when they are first needed; a context manager."""

    def __init__(
        self,
        project: Project,
        manifest: Manifest,
        *,
        offline: bool,
        refresh: bool,
        emit: Sink,
        http: Http | None = None,
    ) -> None:
        self._project = project
        self._manifest = manifest
        self._offline = offline
        self._refresh = refresh
        self._emit = emit
        self._stack = contextlib.ExitStack()
        self._http = self._stack.enter_context(http) if http else None
        self._registry: Registry | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def http(self) -> Http:
        """The connections to package indexes."""
        from hatchlock.net.http import Http

        if self._http is None:
            self._http = self._stack.enter_context(Http(environ=self._project.environ, offline=self._offline))
        return self._http

    @property
    def registry(self) -> Registry:
        """The connections to image registries."""
        from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST
        from hatchlock.net.registry import Registry

        if self._registry is None:
            plain = [host for host, spec in self._manifest.registries.items() if spec.plain_http]
            self._registry = Registry(
                environ=self._project.environ,
                default_host=DEFAULT_REGISTRY_HOST,
                plain_http=frozenset(plain),
                offline=self._offline,
            )
            self._stack.callback(self._registry.close)
        return self._registry

    def look_up_image(self, reference: str, platforms: Sequence[str], *, facts: bool) -> Image:
        """Ask a registry for an image; see `sources.oci.lock_image`."""
        from hatchlock.sources.oci import lock_image
        from hatchlock.store.blobs import Blobs

        blobs = Blobs(self._project.home.blobs)
        return lock_image(reference, platforms, registry=self.registry, blobs=blobs, facts=facts, emit=self._emit)

    def resolve_python(self, requests: Sequence[EnvironmentRequest], *, exclude_newer: datetime | None) -> Resolution:
        """Resolve environments; see `resolve.python.resolve_environments`."""
        from hatchlock.resolve.python import resolve_environments

        self._emit(Event(name="resolve.start", address=", ".join(f"env:{request.name}" for request in requests)))
        with self.python_index(exclude_newer) as index:
            return resolve_environments(requests, index=index, emit=self._emit)

    @contextlib.contextmanager
    def python_index(self, exclude_newer: datetime | None = None) -> Iterator[PypiSource]:
        """Open the manifest's Python index, or the user's own default one."""
        from hatchlock.manifest.model import IndexSpec
        from hatchlock.sources.python.default_index import default_index
        from hatchlock.sources.python.pypi import PypiSource

        spec = self._manifest.indexes.get("pypi") or IndexSpec(name="pypi")
        ttl: dict[str, Any] = {} if spec.ttl is None else {"ttl": spec.ttl}
        with PypiSource(
            http=self.http,
            cache_dir=self._project.home.cache,
            index_url=spec.url or default_index(self._project.environ),
            exclude_newer=exclude_newer,
            mirrors=spec.mirrors,
            offline=self._offline,
            refresh=self._refresh,
            **ttl,
        ) as index:
            yield index
