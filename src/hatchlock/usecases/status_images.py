"""`status images`: the images that the engine has of a project, what they are made of, and who uses them. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.errors import HatchlockError
from hatchlock.usecases.uses import active_uses, generation_uses

if TYPE_CHECKING:
    from hatchlock.engines.docker import ImageFacts
    from hatchlock.lock.model import Environment, Lock, Server
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.project import Project

__all__ = ["ImageStatus", "ImagesStatus", "OtherImage", "images_status"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageStatus:
    """An image of a project.

    Attributes:
        name: The server that it is for; of an environment without a server, the environment.
        key: What names its content.
        tags: Its names in the engine: the pinned one, and that with bytecode on top.
        source: What it is made from, as the lock has it: of a server its source, of an environment what it asks for. Like
            all that the lock says of it, "" when neither the lock nor that of a generation knows the image any more.
        revision: The version of its main package, or a commit; "" if it has none.
        base: `REFERENCE@sha256:…` of the image that it adds to, or is.
        size: Bytes, with the layers that others have as well.
        generations: How many use it.
        active: Whether a server is started from it.
    """

    name: str
    key: str
    tags: tuple[str, ...]
    source: str
    revision: str
    base: str
    size: int
    generations: int
    active: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherImage:
    """An image with a name of ours that belongs to another project, of this store or another."""

    tag: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesStatus:
    """What the engine has.

    Attributes:
        project: The project's name.
        engine: The engine's address.
        images: Of the project, by name, those that are used first.
        others: Of other projects, by tag.
    """

    project: str
    engine: str
    images: tuple[ImageStatus, ...]
    others: tuple[OtherImage, ...]


def images_status(project: Project) -> ImagesStatus:
    """Return the images that the engine has of a project. One request, however many there are.

    Raises:
        EngineNotFound: There is no engine.
        EngineFailed: It does not list its images.
        BadState: The project's state cannot be read.
    """
    from hatchlock.engines.docker import Engine, find_engine
    from hatchlock.images.key import IMAGE_PREFIX
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.run import project_name

    name, address = project_name(project.manifest), find_engine(project.environ)
    state = ProjectState(project.home.project(name))
    with Engine(address) as engine:
        found = engine.images()
    own = f"{IMAGE_PREFIX}/{name}/"
    uses = {number: generation_uses(state, number, project.home).images for number in state.generations.numbers()}
    active = active_uses(state, project.home).images
    by_content = _by_content({tag: facts for tag, facts in found.items() if tag.startswith(own)})
    said = _all_said(by_content, _locks(project, state))
    images = [
        _image(about, facts, said.get(about, ("", "", "")), active=active, generations=uses.values())
        for about, facts in by_content.items()
    ]
    return ImagesStatus(
        project=name,
        engine=address,
        images=tuple(sorted(images, key=lambda item: (item.name, not item.active, -item.generations, item.key))),
        others=tuple(OtherImage(tag=tag, size=facts.size) for tag, facts in found.items() if not tag.startswith(own)),
    )


def _by_content(found: Mapping[str, ImageFacts]) -> dict[tuple[str, str], dict[str, ImageFacts]]:
    """Return (name, key) -> the tags of that image; the one with bytecode on top belongs to the pinned one."""
    from hatchlock.images.key import local_tag

    images: dict[tuple[str, str], dict[str, ImageFacts]] = {}
    for tag, facts in found.items():
        repository, _, key = tag.removesuffix(local_tag("")).rpartition(":")
        images.setdefault((repository.rpartition("/")[2], key), {})[tag] = facts
    return images


def _image(
    about: tuple[str, str],
    tags: Mapping[str, ImageFacts],
    said: tuple[str, str, str],
    *,
    active: frozenset[str],
    generations: Iterable[frozenset[str]],
) -> ImageStatus:
    name, key = about
    source, revision, base = said
    return ImageStatus(
        name=name,
        key=key,
        tags=tuple(sorted(tags)),
        source=source,
        revision=revision,
        base=base,
        size=max(facts.size for facts in tags.values()),
        generations=sum(1 for uses in generations if not uses.isdisjoint(tags)),
        active=not active.isdisjoint(tags),
    )


def _locks(project: Project, state: ProjectState) -> Iterator[Lock]:
    """Yield the lock as it is and those of the generations, the newest first; one that cannot be read says nothing."""
    from hatchlock.lock.store import loads

    numbers = reversed(state.generations.numbers())
    for data in dict.fromkeys([project.lock_bytes, *(state.generations.lock(number) for number in numbers)]):
        if data is None:
            continue
        try:
            yield loads(data)
        except HatchlockError:
            continue


def _all_said(images: Iterable[tuple[str, str]], locks: Iterator[Lock]) -> dict[tuple[str, str], tuple[str, str, str]]:
    """Return what the newest lock that knows an image says of it; no more locks are read than are needed."""
    found: dict[tuple[str, str], tuple[str, str, str]] = {}
    missing = set(images)
    while missing and (lock := next(locks, None)):
        found.update({about: said for about in missing if (said := _said(lock, *about))})
        missing -= found.keys()
    return found


def _said(lock: Lock, name: str, key: str) -> tuple[str, str, str] | None:
    """Return source, revision and base of the image with this key, if the lock has it."""
    server = next((item for item in lock.servers if item.name == name), None)
    own = server.environment if server else name
    having = [item for item in lock.environments if key in item.keys.values()]
    # environments with the same content have the same key
    environment = next((item for item in having if item.name == own), next(iter(having), None))
    if environment is None:
        return _said_of_build(lock, name, key) or _said_as_it_is(lock, server, key)
    platform = next(platform for platform, value in environment.keys.items() if value == key)
    base = _reference(lock, environment.base, platform)
    if server is None or not server.source:
        return ", ".join(environment.requirements), "", base
    return server.source, _revision(lock, server, environment), base


def _said_of_build(lock: Lock, name: str, key: str) -> tuple[str, str, str] | None:
    build = lock.build(name)
    if build is None or key not in build.keys.values():
        return None
    return f"{build.context}/{build.dockerfile}", "", ", ".join(build.images)


def _said_as_it_is(lock: Lock, server: Server | None, key: str) -> tuple[str, str, str] | None:
    for image in lock.images:
        for found in image.platforms.values():
            if found.digest.removeprefix("sha256:") == key:
                source = server.source if server else ""
                return source or f"oci:{image.reference}", "", f"{image.reference}@{found.digest}"
    return None


def _revision(lock: Lock, server: Server, environment: Environment) -> str:
    from hatchlock.address import Source
    from hatchlock.resolve.command import main_package
    from hatchlock.resolve.entries import entries_of

    entry = entries_of(lock).get(server.source)
    source = Source.parse(entry.dependencies[0] if entry and entry.dependencies else server.source)
    package = main_package(source, environment, lock)
    return (package.commit or package.version) if package else ""


def _reference(lock: Lock, reference: str, platform: str) -> str:
    """Return the base with the digest of the manifest that its layers are from."""
    found = (
        item.platforms[platform] for item in lock.images if item.reference == reference and platform in item.platforms
    )
    return next((f"{reference}@{image.digest}" for image in found), reference)
