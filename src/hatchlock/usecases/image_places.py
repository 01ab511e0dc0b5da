"""Where a project's images come from and go to: registries with the user's logins, the container engine, OCI layouts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.manifest.model import Manifest
    from hatchlock.net.registry import Registry
    from hatchlock.net.registry_push import Pusher
    from hatchlock.sources.oci_engine import EngineImages, ImageStore
    from hatchlock.sources.oci_places import ImagePlaces
    from hatchlock.usecases.project import Project

__all__ = ["open_images", "open_pusher"]


def open_images(
    project: Project, manifest: Manifest, *, offline: bool, scratch: Callable[[], Path], stack: ExitStack
) -> ImagePlaces:
    """Return everything that has images; each is opened when it is first needed.

    Args:
        project: Whose; layouts are named from its directory.
        manifest: Which registries it declares.
        offline: Ask no registry; engine and layouts are on this machine.
        scratch: Gives a directory for what comes out of the engine.
        stack: Closes what was opened.
    """
    from hatchlock.address import Transport
    from hatchlock.sources.oci_layout import LayoutImages
    from hatchlock.sources.oci_places import ImagePlaces

    return ImagePlaces(
        {
            Transport.REGISTRY: lambda: _registry(project, manifest, offline=offline, stack=stack),
            Transport.ENGINE: lambda: _engine_images(project, scratch=scratch, stack=stack),
            Transport.LAYOUT: lambda: LayoutImages(project.place),
        }
    )


def _registry(project: Project, manifest: Manifest, *, offline: bool, stack: ExitStack) -> Registry:
    from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST
    from hatchlock.net.registry import Registry

    registry = Registry(
        environ=project.environ,
        default_host=DEFAULT_REGISTRY_HOST,
        plain_http=_plain_http(manifest),
        mirrors={host: spec.mirrors for host, spec in manifest.registries.items()},
        offline=offline,
    )
    stack.callback(registry.close)
    return registry


def _engine_images(project: Project, *, scratch: Callable[[], Path], stack: ExitStack) -> EngineImages:
    from hatchlock.sources.oci_engine import EngineImages
    from hatchlock.store.blobs import Blobs

    def connect() -> ImageStore:
        from hatchlock.engines.locate import find_engine
        from hatchlock.engines.saved import EngineStore

        store = EngineStore(find_engine(project.environ))
        stack.callback(store.close)
        return store

    return EngineImages(connect, scratch=scratch, blobs=Blobs(project.home.blobs))


def open_pusher(project: Project, manifest: Manifest) -> Pusher:
    """Return the registries, to push to; whoever asks closes them."""
    from hatchlock.engines.docker import DEFAULT_REGISTRY_HOST
    from hatchlock.net.registry_push import Pusher

    return Pusher(environ=project.environ, default_host=DEFAULT_REGISTRY_HOST, plain_http=_plain_http(manifest))


def _plain_http(manifest: Manifest) -> frozenset[str]:
    return frozenset(host for host, spec in manifest.registries.items() if spec.plain_http)
