"""An image of the container runtime as a value, named by what goes into it."""

from __future__ import annotations

from dataclasses import dataclass

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import hex_of
from hatchlock.images.key import image_tag, local_tag
from hatchlock.lock.images import ImagePlatform
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_spec import EnvSpec

__all__ = ["ImageSpec", "image_artefacts"]


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
        debs: Packages of Debian that are added, sorted by package.
        environment: What is added at `realise.tree.ROOT`; None for an image that is taken as it is.
        outputs: Config digest and diff ids of the added layers, as the lock records them; () if it does not.
    """

    server: str
    reference: str
    platform: str
    key: str
    base: ImagePlatform
    debs: tuple[Artefact, ...] = ()
    environment: EnvSpec | None = None
    outputs: tuple[str, ...] = ()

    @property
    def address(self) -> Address:
        """`image:SERVER`."""
        return Address(kind=ResourceKind.IMAGE, name=self.server)

    @property
    def is_assembled(self) -> bool:
        """Whether something is added to the base."""
        return self.environment is not None

    @property
    def is_compiled(self) -> bool:
        """Whether it has Python files, which get bytecode on this machine."""
        found = self.environment
        return bool(found and found.python and (found.wheels or found.builds or found.projects or found.conda))

    def tag(self, project: str) -> str:
        """Return its name in the engine: what every machine that loads it gets."""
        return image_tag(project, self.server, self.key)

    def started_as(self, project: str) -> str:
        """Return the name of what containers are made of: of an image with Python files, its sibling with bytecode."""
        return local_tag(self.tag(project)) if self.is_compiled else self.tag(project)

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """Every file that it is made from."""
        added = self.environment.artefacts if self.environment else ()
        return (*image_artefacts(self.reference, self.base), *self.debs, *added)


def image_artefacts(reference: str, image: ImagePlatform) -> tuple[Artefact, ...]:
    """Return the config and layers of a locked image, as its registry stores them."""
    blobs = [(image.config, image.config_size), *((layer.digest, layer.size) for layer in image.layers)]
    return tuple(
        Artefact(package=f"oci:{reference}", name=digest, digest=hex_of(digest), size=size) for digest, size in blobs
    )
