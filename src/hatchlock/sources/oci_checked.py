"""Whether an image is what a lock says of it: its documents are asked for, once."""

from __future__ import annotations

from dataclasses import replace

from hatchlock.address import ImageReference
from hatchlock.lock.images import Image
from hatchlock.net.cache import Cache
from hatchlock.sources.oci_documents import BadImage, read_manifest
from hatchlock.sources.oci_index import listed_images
from hatchlock.sources.oci_places import ImageSource

__all__ = ["CheckedImages", "check_image"]

# Raised when something else is compared.
_FORM = "image-checked-1"


def check_image(image: Image, platform: str, *, registry: ImageSource) -> None:
    """Make sure that an image consists of what the lock says: its digests name documents, and those name the rest.

    Args:
        image: From the lock.
        platform: One of its platforms.
        registry: Is asked for the documents.

    Raises:
        ImageProblem: As the registry answers: UnknownImage, LoginNeeded, ImageUnreachable, …
        BadImage: The lock has another config or other layers of it, or of another image.
    """
    reference = ImageReference.parse(image.reference)
    found = image.platforms[platform]
    if found.digest != image.digest:
        pinned = replace(reference, digest=image.digest)
        listing = listed_images(pinned, registry.manifest(pinned), registry)
        if found.digest not in {item.digest for item in listing}:
            raise _otherwise(image, f"{found.digest} is not in it")
    parsed = read_manifest(registry.manifest(replace(reference, digest=found.digest)), reference)
    named = [(item.digest, item.size) for item in (parsed.config, *parsed.layers)]
    locked = [(found.config, found.config_size), *((layer.digest, layer.size) for layer in found.layers)]
    if named != locked:
        raise _otherwise(image, f"{found.digest} has another config or other layers")


class CheckedImages:
    """Which images consist of what a lock says of them; kept, so that nobody is asked twice.

    Args:
        kept: Where that is kept.
    """

    def __init__(self, kept: Cache) -> None:
        self._kept = kept

    def check(self, image: Image, platform: str, *, registry: ImageSource) -> None:
        """See `check_image`."""
        if self._kept.load(_content(image, platform)) is None:
            check_image(image, platform, registry=registry)
            self.note(image, platform)

    def note(self, image: Image, platform: str) -> None:
        """Keep that an image is what is said of it.

        Raises:
            OSError: The disk is full, or the like.
        """
        self._kept.save(_content(image, platform), b"")


def _content(image: Image, platform: str) -> str:
    found = image.platforms[platform]
    blobs = [(found.config, found.config_size), *((layer.digest, layer.size) for layer in found.layers)]
    return " ".join([_FORM, image.digest, found.digest, *(f"{digest} {size}" for digest, size in blobs)])


def _otherwise(image: Image, why: str) -> BadImage:
    advice = f"the lock was edited or merged: run `hatchlock lock --upgrade {image.reference}`"
    return BadImage(image=f"{image.reference}@{image.digest}", why=f"{why}, as the lock says", advice=advice)
