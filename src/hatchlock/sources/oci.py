"""`oci:` sources: an image's reference to what the lock says of it, and its blobs into the store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from hatchlock.address import ImageReference
from hatchlock.digest import hex_of
from hatchlock.events import Event, Sink, discard
from hatchlock.images.base import BaseFacts, base_facts
from hatchlock.lock.images import Image, ImagePlatform, Layer
from hatchlock.net.cache import Cache
from hatchlock.net.registry import INDEX_TYPES, Manifest, MissingPlatform, UnknownImage
from hatchlock.sources.oci_documents import (
    BadImage,
    Descriptor,
    ImageConfig,
    ImagePlace,
    container_platform,
    read_config,
    read_index,
    read_manifest,
)
from hatchlock.sources.oci_places import ImageSource
from hatchlock.sources.oci_tags import tags_near
from hatchlock.store.blobs import Blobs

__all__ = [
    "BadImage",
    "CheckedImages",
    "ImageDescription",
    "check_image",
    "container_platform",
    "describe_image",
    "fetch_image",
    "lock_image",
]

_WORKERS = 4
# Raised when what is read of layers, or how, changes.
_FACTS_FORM = "base-facts-1"
_CHECKED_FORM = "image-checked-1"
_CONFIG_AT_MOST = 4 << 20
_DEEPEST_INDEX = 3
_LOOKED_INTO_AT_MOST = 32


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
    top = _top(reference, registry)
    listing = _listing(reference, top, registry)
    manifest = top
    if listing:
        wanted = ImagePlace.of(platform)
        served = [item for item in listing if item.place.serves(wanted)]
        manifest = registry.manifest(replace(reference, digest=(served or listing)[0].digest))
    parsed = read_manifest(manifest, reference)
    config = _small_config(reference, parsed.config, registry)
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


_DESCRIBED = ("entrypoint", "command", "user", "working_directory", "ports", "volumes", "stop_signal")


def _small_config(reference: ImageReference, descriptor: Descriptor, registry: ImageSource) -> ImageConfig:
    data = bytearray()

    def take(piece: bytes) -> None:
        data.extend(piece)
        if len(data) > _CONFIG_AT_MOST:
            raise BadImage(image=str(reference), why=f"its config has more than {_CONFIG_AT_MOST} bytes")

    registry.blob(reference, descriptor.digest, take)
    return read_config(bytes(data), reference)


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
    top = _top(reference, registry)
    listing = _listing(reference, top, registry)
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
        listing = _listing(pinned, registry.manifest(pinned), registry)
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
    return " ".join([_CHECKED_FORM, image.digest, found.digest, *(f"{digest} {size}" for digest, size in blobs)])


def _otherwise(image: Image, why: str) -> BadImage:
    advice = f"the lock was edited or merged: run `hatchlock lock --upgrade {image.reference}`"
    return BadImage(image=f"{image.reference}@{image.digest}", why=f"{why}, as the lock says", advice=advice)


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


def _top(reference: ImageReference, registry: ImageSource) -> Manifest:
    try:
        return registry.manifest(reference)
    except UnknownImage as error:
        raise tags_near(reference, error, registry) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    place: ImagePlace
    digest: str


def _listing(reference: ImageReference, top: Manifest, registry: ImageSource) -> tuple[_Listed, ...]:
    """Return the images that an index lists, those of indexes in it too; nothing for a manifest.

    Raises:
        BadImage: The index lists no image, or too much.
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

    def images(self, index: Manifest, depth: int = 1) -> Iterator[_Listed]:
        """Yield the images with their platforms: what the index says, or else their config."""
        for item in read_index(index, self._reference).manifests:
            if item.is_index:
                if depth == _DEEPEST_INDEX:
                    raise BadImage(image=str(self._reference), why="its indexes list one another too deeply")
                yield from self.images(self._manifest(item), depth + 1)
            elif item.is_image and item.platform:
                yield _Listed(place=item.platform, digest=item.digest)
            elif item.is_image:
                config = read_manifest(self._manifest(item), self._reference).config
                place = _small_config(self._reference, config, self._registry).place
                yield _Listed(place=place, digest=item.digest)

    def _manifest(self, item: Descriptor) -> Manifest:
        self._looked_into += 1
        if self._looked_into > _LOOKED_INTO_AT_MOST:
            raise BadImage(image=str(self._reference), why="its index lists too much without saying for what platform")
        return self._registry.manifest(replace(self._reference, digest=item.digest))


def _choose(
    reference: ImageReference, top: Manifest, listing: Sequence[_Listed], platform: str, registry: ImageSource
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
    if parsed.config.size > _CONFIG_AT_MOST:
        raise BadImage(image=str(reference), why=f"its config has more than {_CONFIG_AT_MOST} bytes")
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
