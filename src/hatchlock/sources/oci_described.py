"""What an image says of itself, asked without fetching its layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hatchlock.address import ImageReference
from hatchlock.sources.oci_documents import ImagePlace, read_manifest
from hatchlock.sources.oci_index import listed_images, small_config, top_document
from hatchlock.sources.oci_places import ImageSource

__all__ = ["ImageDescription", "describe_image"]

_DESCRIBED = ("entrypoint", "command", "user", "working_directory", "ports", "volumes", "stop_signal")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDescription:
    """What an image says of itself; "" or empty where it does not.

    Attributes:
        reference: As asked for.
        digest: `sha256:…` of what the reference means: the index, or the manifest where there is no index.
        platforms: Every platform that there is an image for, sorted.
        platform: The one that the rest is about.
        created: RFC 3339, or what stands in its place.
        entrypoint: From the config.
        command: From the config.
        user: From the config; "" means root.
        working_directory: From the config.
        ports: From the config, sorted: `8080/tcp`.
        volumes: From the config, sorted.
        stop_signal: From the config.
        labels: From the config.
        layers: Their number.
        size: Bytes of all layers, as they are fetched.
    """

    reference: str
    digest: str
    platforms: tuple[str, ...]
    platform: str
    created: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    user: str
    working_directory: str
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    stop_signal: str
    labels: Mapping[str, str]
    layers: int
    size: int


def describe_image(reference_text: str, platform: str, *, registry: ImageSource) -> ImageDescription:
    """Ask what an image is, without fetching its layers and without keeping anything.

    Args:
        reference_text: Without `oci:`.
        platform: The one to prefer; if there is none for it, the first that there is.
        registry: Is asked.

    Raises:
        BadSource: It is no reference.
        ImageProblem: As the registry answers: UnknownImage, LoginNeeded, ImageUnreachable, …
        WrongHash: Bytes are not those that their digest names.
        BadImage: The image is not well-formed.
    """
    reference = ImageReference.parse(reference_text)
    top = top_document(reference, registry)
    listing = listed_images(reference, top, registry)
    manifest = top
    if listing:
        wanted = ImagePlace.of(platform)
        served = [item for item in listing if item.place.serves(wanted)]
        manifest = registry.manifest(replace(reference, digest=(served or listing)[0].digest))
    parsed = read_manifest(manifest, reference)
    config = small_config(reference, parsed.config, registry)
    said = config.said()
    return ImageDescription(
        reference=reference_text,
        digest=top.digest,
        platforms=tuple(sorted({str(item.place) for item in listing})) or (str(config.place),),
        platform=str(config.place),
        created=config.created or "",
        labels=config.labels,
        layers=len(parsed.layers),
        size=sum(layer.size for layer in parsed.layers),
        **{name: said[name] for name in _DESCRIBED},
    )
