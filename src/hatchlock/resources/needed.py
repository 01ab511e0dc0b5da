"""Every file that a lock names, and those that a platform needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hatchlock.address import Kind
from hatchlock.lock.model import Build, Environment, Lock
from hatchlock.manifest.model import Manifest
from hatchlock.paths import Home
from hatchlock.resolve.targets import environment_target
from hatchlock.resolve.wanted import container_platforms
from hatchlock.resources.base import Artefact
from hatchlock.resources.dockerfile_spec import context_artefacts
from hatchlock.resources.env_target import InterpreterFacts, environment_spec
from hatchlock.resources.image_spec import image_artefacts
from hatchlock.resources.image_target import image_of
from hatchlock.resources.server import profile_artefact
from hatchlock.resources.unplaced import PlatformNotLocked

__all__ = ["artefacts_of", "artefacts_of_environment", "locked_files"]

_NOWHERE = Home(root=Path("/"), is_default=False)


def artefacts_of(manifest: Manifest, lock: Lock, platform: str) -> tuple[Artefact, ...]:
    """Return what everything in a lock is made from on a platform, each file once, sorted.

    Args:
        manifest: The manifest that the lock satisfies: its bounds decide between wheels.
        lock: The lock.
        platform: `darwin/arm64`; its containers are Linux.

    Raises:
        PlatformNotLocked: The lock is for other platforms.
        FileNotLocked: No locked file of a package runs there.
    """
    if platform not in lock.platforms:
        raise PlatformNotLocked(platform=platform, locked=lock.platforms)
    (container,) = container_platforms([platform])
    found = {*_images(lock, container), *(item for build in lock.builds for item in _context(build))}
    found |= {profile_artefact(server.name, server.sandbox) for server in lock.servers if server.sandbox.seccomp_sha256}
    for environment in lock.environments:
        where = platform if environment.runtime == "process" else container
        found.update(artefacts_of_environment(manifest, lock, environment, where))
    return tuple(sorted({artefact.digest: artefact for artefact in sorted(found)}.values()))


def locked_files(lock: Lock) -> dict[str, int]:
    """Return digest -> bytes (0 where the lock does not say) of every file that a lock names, for any platform."""
    files = [file for package in lock.packages for file in package.files]
    files += [file for environment in lock.environments for file in environment.managed.values()]
    files += [file for build in lock.builds for file in build.files]
    profiles = {server.sandbox.seccomp_sha256: 0 for server in lock.servers if server.sandbox.seccomp_sha256}
    images = (on for image in lock.images for on in image.platforms.values())
    blobs = {artefact.digest: artefact.size for image in images for artefact in image_artefacts("", image)}
    return {**{file.digest: file.size for file in files}, **blobs, **profiles}


def _context(build: Build) -> tuple[Artefact, ...]:
    return () if build.image else context_artefacts(build)


def _images(lock: Lock, platform: str) -> Iterator[Artefact]:
    used = {item.base for item in lock.environments} | {server.image for server in lock.servers}
    used |= {package.location for package in lock.packages if package.kind is Kind.OCI}
    # what a Dockerfile names is only read, where what was built from it is taken
    used |= {name for build in lock.builds for name in ([build.image] if build.image else build.images)}
    for image in lock.images:
        if image.reference in used and platform in image.platforms:
            yield from image_artefacts(image.reference, image.platforms[platform])


def artefacts_of_environment(
    manifest: Manifest, lock: Lock, environment: Environment, platform: str
) -> tuple[Artefact, ...]:
    """Return what an environment is made from on one of its platforms, besides its base.

    Raises:
        FileNotLocked: No locked file of a package runs there.
    """
    if environment.runtime == "container":
        found = image_of(manifest, lock, environment, platform, name=environment.name)
        return (*found.debs, *(found.environment.artefacts if found.environment else ()))
    target = environment_target(manifest, environment, {}, platform) if environment.python else None
    # which interpreter of a machine runs them makes no difference to the files
    spec, _ = environment_spec(
        lock, environment, platform, home=_NOWHERE, python=_some_interpreter, node=_some_interpreter, target=target
    )
    return spec.artefacts


def _some_interpreter(version: str) -> InterpreterFacts:
    return InterpreterFacts(path="", version=version, prefixes=())
