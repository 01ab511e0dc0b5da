"""Images in the engine: assembled from the store's blobs, or loaded as they are, under a tag that says what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.address import Address, ResourceKind
from hatchlock.images.key import image_tag
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Step

if TYPE_CHECKING:
    from hatchlock.engines.docker import Engine
    from hatchlock.lock.model import ImagePlatform

__all__ = ["ImageResource", "ImageSpec", "image_artefacts"]

_SHOWN_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSpec:
    """An image as it should be in the engine.

    Attributes:
        server: The server that runs it; of an environment that no server uses, the environment; of an image that an
            environment depends on, both names: `mixed.cache`.
        reference: The image of the lock that it is, or is based on.
        platform: Its platform.
        key: Its input key (64 hex digits); for an image as it is, the platform manifest's digest.
        base: The locked image, without its package list.
        wheels: What is added; sorted by file name.
        python: Version of the interpreter ("3.11"); "" for an image that is taken as it is.
    """

    server: str
    reference: str
    platform: str
    key: str
    base: ImagePlatform
    wheels: tuple[Artefact, ...] = ()
    python: str = ""

    @property
    def address(self) -> Address:
        """`image:SERVER`."""
        return Address(kind=ResourceKind.IMAGE, name=self.server)

    @property
    def is_assembled(self) -> bool:
        """Whether something is added to the base."""
        return bool(self.python)


def image_artefacts(reference: str, image: ImagePlatform) -> tuple[Artefact, ...]:
    """Return the config and layers of a locked image, as its registry stores them."""
    blobs = [(image.config, image.config_size), *((layer.digest, layer.size) for layer in image.layers)]
    return tuple(
        Artefact(package=f"oci:{reference}", name=digest, digest=digest.removeprefix("sha256:"), size=size)
        for digest, size in blobs
    )


class ImageResource:
    """The images of one project; see `resources.base.Resource`.

    Args:
        specs: What should be.
        project: The project's name.
        home: The store.
        connect: Gives the engine; called only when there is something to ask it.
    """

    def __init__(self, specs: Iterable[ImageSpec], *, project: str, home: Home, connect: Callable[[], Engine]) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._project = project
        self._home = home
        self._connect = connect

    def desired(self) -> Iterable[Desired]:
        """Return every image, named by its input key."""
        return [
            Desired(address=address, key=spec.key, facts=_facts(spec), privilege="engine")
            for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return those that the engine has. One request, however many there are."""
        if not self._specs:
            return []
        tags = self._connect().images()
        return [self._seen(spec) for spec in self._specs.values() if self._tag(spec) in tags]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the image if the engine has it."""
        spec = self._specs[address]
        return self._seen(spec) if self._tag(spec) in self._connect().images() else None

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return its wheels, and the config and layers of the locked image."""
        spec = self._specs[address]
        own = image_artefacts(spec.reference, spec.base)
        return [*own, *spec.wheels]

    def apply(self, step: Step) -> None:
        """Assemble the image, or take it as it is, and load it under its tag.

        Raises:
            NotLoaded: The engine refuses it.
            BadWheel: A wheel cannot be laid out.
            WrongHash: A blob of the store is damaged; it is removed.
        """
        from hatchlock.files import private_directory  # noqa: PLC0415
        from hatchlock.images.assemble import assemble, load_as_is  # noqa: PLC0415  `plan` does not get here
        from hatchlock.realise.wheels import wheel_tree  # noqa: PLC0415
        from hatchlock.store.blobs import Blobs  # noqa: PLC0415

        spec = self._specs[step.address]
        blobs = Blobs(self._home.blobs)
        for artefact in self.artefacts(step.address):
            blobs.verify(artefact.digest)
        engine = self._connect()
        if not spec.is_assembled:
            load_as_is(spec.base, engine=engine, blobs=blobs, tag=self._tag(spec))
            return
        entries = wheel_tree(
            [(wheel.name, blobs.path(wheel.digest)) for wheel in spec.wheels],
            python=spec.python,
            python_path=spec.base.python_path,
            symlinks=spec.base.symlinks,
        )
        assemble(
            entries,
            engine=engine,
            base=spec.base,
            blobs=blobs,
            key=spec.key,
            tag=self._tag(spec),
            scratch=private_directory(self._home.cache),
        )

    def _tag(self, spec: ImageSpec) -> str:
        return image_tag(self._project, spec.server, spec.key)

    def _seen(self, spec: ImageSpec) -> Observed:
        return Observed(address=spec.address, key=spec.key)


def _facts(spec: ImageSpec) -> Mapping[str, str]:
    if not spec.is_assembled:
        return {"image": spec.reference, "digest": spec.base.digest}
    return {
        "base": f"{spec.reference}@{spec.base.digest[: len('sha256:') + _SHOWN_DIGITS]}",
        "python": spec.base.python,
        "packages": str(len(spec.wheels)),
        "key": spec.key[:_SHOWN_DIGITS],
    }
