"""Which images should be in this machine's engine, from lock and machine: one that is added to, or one as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from hatchlock.address import Address, Kind, ResourceKind
from hatchlock.digest import sha256_bytes
from hatchlock.images.key import input_key
from hatchlock.lock.model import ASSEMBLER, Environment, File, Lock
from hatchlock.manifest.fitting import NOT_IN_IMAGES
from hatchlock.manifest.model import Manifest
from hatchlock.resolve.targets import environment_target
from hatchlock.resolve.wanted import container_platforms
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_target import wheels_of
from hatchlock.resources.image import ImageSpec
from hatchlock.resources.machine import Machine, or_raise
from hatchlock.resources.unplaced import KeyNotLocked, NotInImages, PlatformNotLocked

__all__ = ["assembled_image", "image_as_it_is", "images_beside"]

_WORD_DIGITS = 8


def assembled_image(manifest: Manifest, lock: Lock, locked: Environment, machine: Machine, *, name: str) -> ImageSpec:
    """Return the image of an environment: its base, and its wheels.

    Args:
        manifest: Where an environment's bounds are.
        lock: Where its packages are.
        locked: The environment; of the container runtime.
        machine: For whose containers it is.
        name: Whose image it is: a server, or the environment itself.

    Raises:
        PlatformNotLocked: The lock is not for containers of this machine.
        NotInImages: It has packages that are not installed in images.
        KeyNotLocked: The lock has another key for it than follows from what is in it.
        FileNotLocked: No file of a package runs there.
    """
    platform = _container_platform(lock, machine)
    packages = lock.packages_of(locked, platform)
    if kinds := sorted({package.kind for package in packages if package.kind in NOT_IN_IMAGES}):
        raise NotInImages(kinds=tuple(kinds))
    base = lock.image(locked.base)
    wheels: tuple[Artefact, ...] = ()
    if locked.python:
        target = environment_target(manifest, locked, {locked.base: base}, platform)
        wheels = wheels_of(lock, locked, target, platform)
    files = [File(name=wheel.name, sha256=wheel.digest) for wheel in wheels]
    key = input_key(base.platforms[platform].digest, files, rule=ASSEMBLER)
    if locked.keys.get(platform) != key:
        raise KeyNotLocked(platform=platform)
    return ImageSpec(
        server=name,
        reference=locked.base,
        platform=platform,
        key=key,
        base=replace(base.platforms[platform], packages=()),
        wheels=wheels,
        python=locked.python,
    )


def image_as_it_is(lock: Lock, reference: str, machine: Machine, *, name: str) -> ImageSpec:
    """Return an image of the lock that nothing is added to.

    Args:
        lock: Where it is.
        reference: Its name there.
        machine: Whose engine gets it.
        name: Whose image it is.

    Raises:
        HatchlockError: There is no engine.
        PlatformNotLocked: The lock is not for containers of this machine.
    """
    or_raise(machine.engine)
    platform = _container_platform(lock, machine)
    image = lock.image(reference).platforms[platform]
    return ImageSpec(
        server=name,
        reference=reference,
        platform=platform,
        key=image.digest.removeprefix("sha256:"),
        base=replace(image, packages=()),
    )


def images_beside(lock: Lock, machine: Machine) -> Iterator[tuple[Address, Callable[[], ImageSpec]]]:
    """Yield the images that environments depend on, each under the environment's and its own name.

    What is yielded with an address makes the image, as `image_as_it_is` does.
    """
    images = {package.id: package for package in lock.packages if package.kind is Kind.OCI}
    (container,) = container_platforms([machine.platform])
    for locked in lock.environments if images else ():
        platform = machine.platform if locked.runtime == "process" else container
        own = [images[name] for name in locked.on(platform) if name in images]
        names = [package.name for package in own]
        for package in own:
            name = f"{locked.name}.{_image_word(package.name, names)}"
            address = Address(kind=ResourceKind.IMAGE, name=name)
            yield address, partial(image_as_it_is, lock, package.location, machine, name=name)


def _container_platform(lock: Lock, machine: Machine) -> str:
    (platform,) = container_platforms([machine.platform])
    if platform not in container_platforms(lock.platforms):
        raise PlatformNotLocked(platform=machine.platform, locked=lock.platforms)
    return platform


def _image_word(image: str, images: Sequence[str]) -> str:
    """Return one word for an image of an environment, which none of the others has."""
    words = [re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].lower()).strip("-") for name in images]
    word = words[images.index(image)]
    return word if words.count(word) == 1 else f"{word}-{sha256_bytes(image.encode())[:_WORD_DIGITS]}"
