"""An image's index: which images are behind one reference, and for what they are built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hatchlock.address import ImageReference
from hatchlock.net.registry import INDEX_TYPES, Manifest, UnknownImage
from hatchlock.sources.oci_documents import (
    BadImage,
    Descriptor,
    ImageConfig,
    ImagePlace,
    read_config,
    read_index,
    read_manifest,
)
from hatchlock.sources.oci_places import ImageSource
from hatchlock.sources.oci_tags import tags_near

__all__ = ["CONFIG_AT_MOST", "ListedImage", "listed_images", "small_config", "top_document"]

CONFIG_AT_MOST = 4 << 20
"""Bytes of a config: it is read into memory."""
_DEEPEST_INDEX = 3
_LOOKED_INTO_AT_MOST = 32


def top_document(reference: ImageReference, registry: ImageSource) -> Manifest:
    """Return what a reference means: an index, or a manifest where there is none.

    Raises:
        ImageProblem: As the registry answers; of a tag that there is not, with tags that come close.
    """
    try:
        return registry.manifest(reference)
    except UnknownImage as error:
        raise tags_near(reference, error, registry) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedImage:
    """An image of an index.

    Attributes:
        place: What it is built for.
        digest: Of its manifest.
    """

    place: ImagePlace
    digest: str


def listed_images(reference: ImageReference, top: Manifest, registry: ImageSource) -> tuple[ListedImage, ...]:
    """Return the images that an index lists, those of indexes in it too; nothing for a manifest.

    Args:
        reference: Where the rest is asked for.
        top: What it means.
        registry: Is asked.

    Raises:
        BadImage: The index lists no image, or too much.
        ImageProblem: As the registry answers.
    """
    if top.media_type not in INDEX_TYPES:
        return ()
    found = tuple(_Walk(reference, registry).images(top))
    if not found:
        raise BadImage(image=str(reference), why="its index lists no image")
    return found


class _Walk:
    """A way through an index, and what had to be looked into on it."""

    def __init__(self, reference: ImageReference, registry: ImageSource) -> None:
        self._reference = reference
        self._registry = registry
        self._looked_into = 0

    def images(self, index: Manifest, depth: int = 1) -> Iterator[ListedImage]:
        """Yield the images with their platforms: what the index says, or else their config."""
        for item in read_index(index, self._reference).manifests:
            if item.is_index:
                if depth == _DEEPEST_INDEX:
                    raise BadImage(image=str(self._reference), why="its indexes list one another too deeply")
                yield from self.images(self._manifest(item), depth + 1)
            elif item.is_image and item.platform:
                yield ListedImage(place=item.platform, digest=item.digest)
            elif item.is_image:
                config = read_manifest(self._manifest(item), self._reference).config
                place = small_config(self._reference, config, self._registry).place
                yield ListedImage(place=place, digest=item.digest)

    def _manifest(self, item: Descriptor) -> Manifest:
        self._looked_into += 1
        if self._looked_into > _LOOKED_INTO_AT_MOST:
            raise BadImage(image=str(self._reference), why="its index lists too much without saying for what platform")
        return self._registry.manifest(replace(self._reference, digest=item.digest))


def small_config(reference: ImageReference, descriptor: Descriptor, registry: ImageSource) -> ImageConfig:
    """Return an image's config, read without keeping it.

    Raises:
        BadImage: It has more bytes than a config needs, or is none.
        ImageProblem: As the registry answers.
    """
    data = bytearray()

    def take(piece: bytes) -> None:
        data.extend(piece)
        if len(data) > CONFIG_AT_MOST:
            raise BadImage(image=str(reference), why=f"its config has more than {CONFIG_AT_MOST} bytes")

    registry.blob(reference, descriptor.digest, take)
    return read_config(bytes(data), reference)
