"""`oci:` sources: an image's reference to what the lock says of it, and its blobs into the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

from hatchlock.address import ImageReference
from hatchlock.digest import hex_of
from hatchlock.events import Event, Sink, discard
from hatchlock.images.base import BaseFacts, base_facts
from hatchlock.lock.images import Image, ImagePlatform, Layer
from hatchlock.net.cache import Cache
from hatchlock.net.registry import Manifest, MissingPlatform
from hatchlock.sources.oci_checked import CheckedImages
from hatchlock.sources.oci_documents import (
    BadImage,
    ImagePlace,
    container_platform,
    read_config,
    read_manifest,
)
from hatchlock.sources.oci_index import CONFIG_AT_MOST, ListedImage, listed_images, top_document
from hatchlock.sources.oci_places import ImageSource
from hatchlock.store.blobs import Blobs

__all__ = ["fetch_image", "lock_image"]

_WORKERS = 4
# Raised when what is read of layers, or how, changes.
_FACTS_FORM = "base-facts-1"


def lock_image(
    reference_text: str,
    platforms: Sequence[str],
    *,
    registry: ImageSource,
    blobs: Blobs,
    facts: bool,
    known: Cache | None = None,
    emit: Sink = discard,
) -> Image:
    """Resolve an image's reference.

    Args:
        reference_text: As in the manifest, without `oci:`.
        platforms: The declared platforms.
        registry: Where manifests and blobs come from.
        blobs: Where configs, and with `facts` layers, are kept.
        facts: Read a base's facts from its layers, which means to download them. Nothing of the image is run.
        known: Where the facts of bases are kept, by the digests of their manifests: layers are read once.
        emit: Told about each download.

    Raises:
        BadSource: It is no reference.
        ImageProblem: As the registry answers: UnknownImage, LoginNeeded, ImageUnreachable, …
        MissingPlatform: It does not exist for one of them.
        WrongHash: Bytes are not those that their digest names.
        BadImage, BadLayer: The image is not well-formed, or not in a form that is known.
    """
    reference = ImageReference.parse(reference_text)
    top = top_document(reference, registry)
    listing = listed_images(reference, top, registry)
    chosen = {platform: _choose(reference, top, listing, platform, registry) for platform in platforms}
    manifests = {manifest.digest: manifest for manifest in chosen.values()}

    def read_one(manifest: Manifest) -> ImagePlatform:
        return _read(reference, manifest, registry=registry, blobs=blobs, facts=facts, known=known, emit=emit)

    with ThreadPoolExecutor(_WORKERS) as pool:
        read = dict(zip(manifests, pool.map(read_one, manifests.values()), strict=True))
    for platform, manifest in chosen.items():
        _check_platform(reference, read[manifest.digest], platform, blobs)
    image = Image(
        reference=reference_text,
        digest=top.digest,
        platforms={platform: read[chosen[platform].digest] for platform in sorted(platforms)},
    )
    if known:
        for platform in image.platforms:
            CheckedImages(known).note(image, platform)
    return image


def fetch_image(image: Image, platform: str, *, registry: ImageSource, blobs: Blobs, emit: Sink = discard) -> None:
    """Bring an image's config and layers for one platform into the store, those that are not there yet.

    Args:
        image: From the lock.
        platform: One of its platforms.
        registry: Where they come from.
        blobs: Where they go.
        emit: Told about each download.

    Raises:
        ImageProblem: As the registry answers: UnknownImage, LoginNeeded, ImageUnreachable, …
        WrongHash: Bytes are not those that the lock names.
    """
    reference = ImageReference.parse(image.reference)
    found = image.platforms[platform]
    wanted = {found.config: found.config_size, **{layer.digest: layer.size for layer in found.layers}}
    _fetch(reference, wanted, registry=registry, blobs=blobs, emit=emit)


def _choose(
    reference: ImageReference, top: Manifest, listing: Sequence[ListedImage], platform: str, registry: ImageSource
) -> Manifest:
    if not listing:
        return top
    wanted = ImagePlace.of(platform)
    for item in listing:
        if item.place.serves(wanted):
            return registry.manifest(replace(reference, digest=item.digest))
    known = sorted({str(item.place) for item in listing})
    raise MissingPlatform(image=str(reference), platform=container_platform(platform), available=tuple(known))


def _check_platform(reference: ImageReference, found: ImagePlatform, platform: str, blobs: Blobs) -> None:
    place = read_config(blobs.path(hex_of(found.config)).read_bytes(), reference).place
    if not place.serves(ImagePlace.of(platform)):
        raise MissingPlatform(image=str(reference), platform=container_platform(platform), available=(str(place),))


def _read(
    reference: ImageReference,
    manifest: Manifest,
    *,
    registry: ImageSource,
    blobs: Blobs,
    facts: bool,
    known: Cache | None,
    emit: Sink,
) -> ImagePlatform:
    parsed = read_manifest(manifest, reference)
    if parsed.config.size > CONFIG_AT_MOST:
        raise BadImage(image=str(reference), why=f"its config has more than {CONFIG_AT_MOST} bytes")
    _fetch(reference, {parsed.config.digest: parsed.config.size}, registry=registry, blobs=blobs, emit=emit)
    config = read_config(blobs.path(hex_of(parsed.config.digest)).read_bytes(), reference)
    if len(config.rootfs.diff_ids) != len(parsed.layers):
        raise BadImage(image=str(reference), why="its config and its manifest do not list the same layers")
    found = (_kept_facts(manifest, known) if facts and known else None) or BaseFacts()
    if facts and found == BaseFacts():
        layers = {layer.digest: layer.size for layer in parsed.layers}
        _fetch(reference, layers, registry=registry, blobs=blobs, emit=emit)
        found = base_facts([blobs.path(hex_of(layer.digest)) for layer in parsed.layers])
        if known:
            known.save(f"{_FACTS_FORM} {manifest.digest}", json.dumps(asdict(found)).encode())
    return ImagePlatform(
        digest=manifest.digest,
        config=parsed.config.digest,
        config_size=parsed.config.size,
        layers=tuple(
            Layer(digest=layer.digest, size=layer.size, diff_id=diff_id)
            for layer, diff_id in zip(parsed.layers, config.rootfs.diff_ids, strict=True)
        ),
        **config.said(),
        python=found.python,
        python_path=found.python_path,
        node=found.node,
        libc=found.libc,
        symlinks=found.symlinks,
        packages=found.packages,
    )


def _kept_facts(manifest: Manifest, known: Cache) -> BaseFacts | None:
    kept = known.load(f"{_FACTS_FORM} {manifest.digest}")
    if kept is None:
        return None
    facts = json.loads(kept.body)
    return BaseFacts(**{**facts, "packages": tuple(facts["packages"])})


def _fetch(
    reference: ImageReference, wanted: Mapping[str, int], *, registry: ImageSource, blobs: Blobs, emit: Sink
) -> None:
    missing = [(digest, size) for digest, size in wanted.items() if not blobs.has(hex_of(digest))]

    def fetch(item: tuple[str, int]) -> None:
        digest, size = item
        emit(Event(name="fetch.start", address=f"oci:{reference}", data={"digest": digest, "size": size}))
        with blobs.add(hex_of(digest), size, what=f"a part of {reference}") as blob:
            registry.blob(reference, digest, blob.write)
        emit(Event(name="fetch.done", address=f"oci:{reference}", data={"digest": digest, "size": size}))

    if not missing:
        return
    with ThreadPoolExecutor(min(_WORKERS, len(missing))) as pool:
        list(pool.map(fetch, missing))
