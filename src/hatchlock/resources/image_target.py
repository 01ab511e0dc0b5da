"""Which images should be in this machine's engine, from lock and machine: one that is added to, or one as it is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hatchlock.address import Address, Kind, ResourceKind
from hatchlock.digest import hex_of, sha256_bytes
from hatchlock.images.key import input_key
from hatchlock.lock.images import ImageOutput
from hatchlock.lock.model import ASSEMBLER, Build, Environment, Lock
from hatchlock.manifest.model import Manifest
from hatchlock.paths import Home
from hatchlock.realise.tree import ROOT
from hatchlock.resolve.dockerfiles import build_key
from hatchlock.resolve.targets import environment_target
from hatchlock.resolve.wanted import container_platforms
from hatchlock.resources.base import Artefact
from hatchlock.resources.dockerfile_spec import DockerfileSpec, NamedImage, context_artefacts
from hatchlock.resources.env_parts import NodeSpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.env_target import InterpreterFacts, environment_spec, for_platform
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.resources.machine import Machine, or_raise
from hatchlock.resources.unplaced import FileNotLocked, KeyNotLocked, PlatformNotLocked, ProgramNotOffered

__all__ = [
    "assembled_image",
    "built_image",
    "dockerfile_image",
    "image_as_it_is",
    "image_of",
    "images_beside",
    "locked_image",
    "lost_outputs",
    "unchanged_image",
    "with_image_keys",
]

_WORD_DIGITS = 8


def assembled_image(manifest: Manifest, lock: Lock, locked: Environment, machine: Machine, *, name: str) -> ImageSpec:
    """Return the image of an environment for this machine: its base, and everything that is added to it.

    Args:
        manifest: Where an environment's bounds are.
        lock: Where its packages are.
        locked: The environment; of the container runtime.
        machine: For whose containers it is.
        name: Whose image it is: a server, or the environment itself.

    Raises:
        PlatformNotLocked: The lock is not for containers of this machine.
        KeyNotLocked: The lock has another key for it than follows from what is in it.
        FileNotLocked, ProgramNotOffered: No file of a package runs there.
    """
    return locked_image(manifest, lock, locked, _container_platform(lock, machine), name=name)


def locked_image(manifest: Manifest, lock: Lock, locked: Environment, platform: str, *, name: str) -> ImageSpec:
    """Return the image of an environment for one platform of the lock; see `assembled_image`."""
    spec = image_of(manifest, lock, locked, platform, name=name)
    if locked.keys.get(platform) != spec.key:
        raise KeyNotLocked(platform=platform)
    return spec


def with_image_keys(manifest: Manifest, lock: Lock, previous: Sequence[Lock] = ()) -> Lock:
    """Return a lock with the input keys of all images that are made of its environments.

    A platform that a package has no file for gets no key: what is wrong there is said by whoever places the environment.

    Args:
        manifest: Where an environment's bounds are.
        lock: The lock.
        previous: Locks whose recorded outputs stay, as far as they are of the same keys; the first one counts most.
    """
    known = {
        key: item.outputs[platform]
        for before in reversed(previous)
        for item in before.environments
        for platform, key in item.keys.items()
        if platform in item.outputs
    }
    return replace(lock, environments=tuple(_with_keys(manifest, lock, item, known) for item in lock.environments))


def lost_outputs(before: Lock, after: Lock) -> tuple[str, ...]:
    """Return the environments of which a newer lock no longer says what their images are, sorted."""
    has = {(item.name, item.runtime): item.outputs.keys() for item in after.environments}
    names = (item.name for item in before.environments if item.outputs.keys() - has.get((item.name, item.runtime), ()))
    return tuple(sorted(names))


def _with_keys(manifest: Manifest, lock: Lock, locked: Environment, known: Mapping[str, ImageOutput]) -> Environment:
    if locked.runtime != "container":
        return locked
    keys = {}
    for platform in sorted(lock.image(locked.base).platforms):
        with contextlib.suppress(FileNotLocked, ProgramNotOffered):
            keys[platform] = image_of(manifest, lock, locked, platform, name=locked.name).key
    outputs = {platform: known[key] for platform, key in keys.items() if key in known}
    return replace(locked, keys=keys, outputs=outputs)


def image_of(manifest: Manifest, lock: Lock, locked: Environment, platform: str, *, name: str) -> ImageSpec:
    """Return what follows from the packages of an environment, whatever the lock says of its image; see `locked_image`."""
    base = lock.image(locked.base).platforms[platform]
    images = {locked.base: lock.image(locked.base)}
    found, _ = environment_spec(
        lock,
        locked,
        platform,
        home=Home(root=Path(ROOT), is_default=False),
        python=lambda _: InterpreterFacts(path=base.python_path, version=base.python, prefixes=()),
        # whoever starts it finds the base's on PATH
        node=lambda version: InterpreterFacts(path="", version=base.node or version, prefixes=()),
        target=environment_target(manifest, locked, images, platform) if locked.python else None,
    )
    environment = replace(found, node=_node_of_conda(found) or found.node, trust=locked.trust)
    debs = tuple(
        for_platform(package, platform) for package in lock.packages_of(locked, platform) if package.kind is Kind.DEB
    )
    key = input_key(
        base.digest,
        [f"{wheel.name}:{wheel.digest}" for wheel in environment.wheels],
        rule=ASSEMBLER,
        others=_beside_wheels(debs, environment),
    )
    output = locked.outputs.get(platform)
    return ImageSpec(
        server=name,
        reference=locked.base,
        platform=platform,
        key=key,
        base=replace(base, packages=()),
        debs=debs,
        environment=environment,
        outputs=(output.config, *output.layers) if output else (),
    )


def _beside_wheels(debs: Iterable[Artefact], environment: EnvSpec) -> Iterator[str]:
    for deb in debs:
        yield f"deb {deb.name} {deb.digest}"
    if environment.conda:
        yield f"conda {environment.conda.root}"
    if environment.node and environment.node.path:
        yield f"node {environment.node.path}"
    yield from environment.laid_out()


def _node_of_conda(found: EnvSpec) -> NodeSpec | None:
    """Return conda's Node, which is on nobody's PATH."""
    if not found.node or not found.conda:
        return None
    if not any(item.package.startswith("conda:nodejs@") for item in found.conda.artefacts):
        return None
    return NodeSpec(path=f"{found.conda.root}/bin/node", version=found.node.version)


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
    return unchanged_image(lock, reference, _container_platform(lock, machine), name=name)


def unchanged_image(lock: Lock, reference: str, platform: str, *, name: str) -> ImageSpec:
    """Return an image of the lock for one of its platforms, to which nothing is added."""
    image = lock.image(reference).platforms[platform]
    return ImageSpec(
        server=name,
        reference=reference,
        platform=platform,
        key=hex_of(image.digest),
        base=replace(image, packages=()),
    )


def built_image(lock: Lock, build: Build, machine: Machine) -> DockerfileSpec | ImageSpec:
    """Return the image that is built from a Dockerfile, or was and is taken instead, for this machine.

    Raises:
        HatchlockError: There is no engine.
        PlatformNotLocked: The lock is not for containers of this machine.
        KeyNotLocked: The lock has another key for it than follows from what is in it.
    """
    if build.image:
        return image_as_it_is(lock, build.image, machine, name=build.server)
    or_raise(machine.engine)
    return dockerfile_image(lock, build, _container_platform(lock, machine))


def dockerfile_image(lock: Lock, build: Build, platform: str) -> DockerfileSpec:
    """Return the image that is built from a Dockerfile, for one platform of the lock.

    Raises:
        KeyNotLocked: The lock has another key for it than follows from what is in it.
    """
    images = {image.reference: image for image in lock.images}
    key = build_key(build, images, platform)
    if build.keys.get(platform) != key:
        raise KeyNotLocked(platform=platform)
    (snapshot,) = context_artefacts(build)
    return DockerfileSpec(
        server=build.server,
        platform=platform,
        key=key,
        context=build.context,
        snapshot=snapshot,
        dockerfile=build.dockerfile,
        target=build.target,
        args=dict(build.args),
        images=tuple(
            NamedImage(reference=name, image=replace(images[name].platforms[platform], packages=()))
            for name in build.images
        ),
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
