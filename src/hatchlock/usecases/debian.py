"""Where Debian packages come from: the archives of a base's own apt, of this machine's, or the manifest's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self

from hatchlock.digest import hex_of

if TYPE_CHECKING:
    from hatchlock.events import Sink
    from hatchlock.lock.images import ImagePlatform
    from hatchlock.lock.model import Archive, Environment, Lock, Package
    from hatchlock.manifest.model import IndexSpec
    from hatchlock.net.http import Http
    from hatchlock.resolve.request import EnvironmentRequest
    from hatchlock.sources.debian.archive import DebianSource
    from hatchlock.sources.debian.archives import DebArchive
    from hatchlock.sources.debian.base import DebianBase
    from hatchlock.sources.debian.package import DebPackage, DebUniverse
    from hatchlock.sources.oci_places import ImageSource
    from hatchlock.usecases.project import Project

__all__ = ["DebianDesk", "DebianPlaces", "desks_having", "request_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DebianDesk:
    """What there is of Debian for one base and platform: `resolve.shelves.DebDesk`.

    Attributes:
        source: The archives.
        base: What the base says.
    """

    source: DebianSource
    base: DebianBase

    @property
    def architecture(self) -> str:
        """Debian's word for the processor."""
        return self.base.architecture

    @property
    def installed(self) -> Sequence[DebPackage]:
        """What the base has."""
        return self.base.status

    @property
    def universe(self) -> DebUniverse:
        """What the archives have."""
        return self.source.universe(self.base.architecture)

    @property
    def archives(self) -> Sequence[Archive]:
        """The suites that were asked."""
        from hatchlock.lock.model import Archive

        return [
            Archive(
                name=item.name,
                suite=item.suite,
                components=tuple(sorted(item.components)),
                snapshot=item.snapshot,
                date=item.date,
                sha256=item.sha256,
                keys=tuple(sorted(item.keys)),
            )
            for item in self.source.releases()
        ]


def request_of(environment: Environment, lock: Lock) -> EnvironmentRequest:
    """Return as much of an environment's request as says where its Debian packages come from."""
    from hatchlock.resolve.request import EnvironmentRequest

    bases = lock.image(environment.base).platforms if environment.base else {}
    return EnvironmentRequest(name=environment.name, platforms={}, requirements=(), base=environment.base, bases=bases)


def desks_having(
    package: Package, lock: Lock, ask: Callable[[EnvironmentRequest, str], DebianDesk], *, platform: str = ""
) -> Iterator[DebianDesk]:
    """Yield the desk of each environment that has a Debian package, for the first of its platforms on which it does.

    Args:
        package: Of the lock.
        lock: Names the environments.
        ask: Opens a desk: `Sources.debian_desk`.
        platform: Look at that one only; "" for any.

    Raises:
        HatchlockError: What `ask` raises.
    """
    from hatchlock.resolve.wanted import container_platforms

    for environment in lock.environments:
        own = container_platforms(lock.platforms) if environment.runtime == "container" else lock.platforms
        having = [item for item in own if platform in {"", item} and package.id in environment.on(item)]
        if having:
            yield ask(request_of(environment, lock), having[0])


class DebianPlaces:
    """Opens archives as bases need them; a context manager. For any number of threads.

    Args:
        spec: What the manifest declares.
        project: Whose.
        http: Asks archives; called only when one is asked.
        registry: Has bases; called only when the layers of one are not here.
        offline: Use what is kept, and ask nobody.
        refresh: Ask again.
        emit: Told about downloads.
    """

    def __init__(
        self,
        spec: IndexSpec,
        *,
        project: Project,
        http: Callable[[], Http],
        registry: Callable[[], ImageSource],
        offline: bool,
        refresh: bool,
        emit: Sink,
    ) -> None:
        self._spec = spec
        self._project = project
        self._http = http
        self._registry = registry
        self._offline = offline
        self._refresh = refresh
        self._emit = emit
        self._opened: dict[tuple[DebArchive, ...], DebianSource] = {}
        self._opening = threading.Lock()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def opened(self) -> Collection[DebianSource]:
        """The archives that were asked."""
        return self._opened.values()

    def desk(self, request: EnvironmentRequest, platform: str) -> DebianDesk:
        """Return what there is for an environment on a platform: over its base, or for machines over nothing.

        Raises:
            NotDebian: The base, or for processes this machine, is of another family.
            NoArchive: Nothing says where packages come from, or which keys sign that.
            HatchlockError: What reading the base raises.
        """
        base = request.bases.get(platform)
        if base is None:
            # what the machines of a platform have is not known, so everything that is needed is locked
            found = replace(self._host, status=(), architecture=platform.partition("/")[2])
        else:
            found = self._base(request.base, base, platform)
        return DebianDesk(source=self._source(found), base=found)

    @cached_property
    def _host(self) -> DebianBase:
        """This machine's apt and keys; where the manifest says everything, any machine will do."""
        from hatchlock.sources.debian.base import DebianBase, NotDebian, host_base

        try:
            return host_base()
        except NotDebian:
            if not (self._spec.url and self._spec.suite and self._spec.keyring):
                raise
            return DebianBase(architecture="", os_release={}, status=(), sources=(), keyrings={})

    def _base(self, reference: str, base: ImagePlatform, platform: str) -> DebianBase:
        """Read a base once; its layers are fetched if that was on another machine."""
        from hatchlock.lock.images import Image
        from hatchlock.sources.debian.base import debian_base
        from hatchlock.sources.oci import fetch_image
        from hatchlock.store.blobs import Blobs

        blobs = Blobs(self._project.home.blobs)
        layers = [blobs.path(hex_of(layer.digest)) for layer in base.layers]
        cache = self._project.home.cache / "bases"
        # by what is read, and not by the manifest that a lock says it is of
        key = " ".join(layer.digest for layer in base.layers)
        try:
            return debian_base(layers, cache=cache, key=key)
        except FileNotFoundError:
            image = Image(reference=reference, digest=base.digest, platforms={platform: base})
            fetch_image(image, platform, registry=self._registry(), blobs=blobs, emit=self._emit)
            return debian_base(layers, cache=cache, key=key)

    def _source(self, base: DebianBase) -> DebianSource:
        """Open the archives that a base's apt asks, or the declared one; bases with the same share them."""
        from hatchlock.sources.debian.archive import DebianSource
        from hatchlock.sources.debian.archives import archives_for

        spec = self._spec
        archives = archives_for(
            base.sources,
            base.keyrings,
            name=spec.name,
            url=spec.url,
            suite=spec.suite,
            components=spec.components,
            snapshot=spec.snapshot,
            keyring=self._keyring(),
            architecture=base.architecture,
        )
        with self._opening:
            if archives not in self._opened:
                source = DebianSource(
                    http=self._http(),
                    cache_dir=self._project.home.cache,
                    archives=archives,
                    **({"ttl": spec.ttl} if spec.ttl is not None else {}),
                    offline=self._offline,
                    refresh=self._refresh,
                    now=datetime.now(UTC),
                )
                self._opened[archives] = source
                self._stack.callback(source.close)
            return self._opened[archives]

    def _keyring(self) -> bytes | None:
        if not self._spec.keyring:
            return None
        from hatchlock.files import read_optional
        from hatchlock.sources.debian.archives import NoArchive

        content = read_optional(self._project.place(self._spec.keyring))
        if content is None:
            raise NoArchive(why=f"its keyring {self._spec.keyring} is not there")
        return content
