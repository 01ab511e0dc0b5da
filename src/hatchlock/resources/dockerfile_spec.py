"""An image that is built from a user's own Dockerfile as a value, named by what goes into its build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from hatchlock.address import Address, ResourceKind
from hatchlock.digest import hex_of
from hatchlock.images.key import image_tag
from hatchlock.lock.images import ImagePlatform, Layer
from hatchlock.lock.model import Build
from hatchlock.resources.base import CONTEXT, Artefact
from hatchlock.resources.image_spec import image_artefacts

__all__ = ["DockerfileSpec", "NamedImage", "context_artefacts"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedImage:
    """An image that a Dockerfile names.

    Attributes:
        reference: As it stands there, and in the lock.
        image: The locked image, without its package list.
    """

    reference: str
    image: ImagePlatform


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerfileSpec:
    """An image that is built, as it should be in the engine.

    Attributes:
        server: The server that runs it.
        platform: Its platform.
        key: Its input key (64 hex digits): what comes out is known only after it is built.
        context: The directory that it is built from, as declared.
        snapshot: That directory.
        dockerfile: The Dockerfile's path in there.
        target: The stage that is wanted; "" for the last one.
        args: Values for its ARGs.
        images: Those that the Dockerfile names.
    """

    server: str
    platform: str
    key: str
    context: str
    snapshot: Artefact
    dockerfile: str
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    images: tuple[NamedImage, ...] = ()

    @property
    def address(self) -> Address:
        """`image:SERVER`."""
        return Address(kind=ResourceKind.IMAGE, name=self.server)

    def tag(self, project: str) -> str:
        """Return its name in the engine."""
        return image_tag(project, self.server, self.key)

    def started_as(self, project: str) -> str:
        """Return the name of what containers are made of: nothing is added to what was built."""
        return self.tag(project)

    def image_tag(self, project: str, named: NamedImage) -> str:
        """Return the name that an image which the Dockerfile names has in the engine while it is built from."""
        return image_tag(project, self.server, f"from-{hex_of(named.image.config)}")

    @property
    def artefacts(self) -> tuple[Artefact, ...]:
        """Every file that it is made from."""
        named = (artefact for item in self.images for artefact in image_artefacts(item.reference, item.image))
        return (self.snapshot, *named)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        images = tuple(NamedImage(reference=item["reference"], image=_image(item["image"])) for item in data["images"])
        return cls(**{**data, "snapshot": Artefact(**data["snapshot"]), "images": images})


def context_artefacts(build: Build) -> tuple[Artefact, ...]:
    """Return the directory that an image of the lock is built from."""
    return tuple(
        Artefact(package=f"{CONTEXT}{build.server}", name=file.name, digest=file.digest, size=file.size)
        for file in build.files
    )


def _image(data: Mapping[str, Any]) -> ImagePlatform:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    values["layers"] = tuple(Layer(**layer) for layer in data["layers"])
    return ImagePlatform(**values)
