"""`oci:` sources: an image's reference to what the lock says of it, and its blobs into the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hatchlock.address import ImageReference
from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.images.base import BaseFacts, base_facts
from hatchlock.lock.model import Image, ImagePlatform, Layer
from hatchlock.net.registry import INDEX_TYPES, Manifest, MissingPlatform, Registry
from hatchlock.store.blobs import Blobs

__all__ = ["BadImage", "ImageDescription", "container_platform", "describe_image", "fetch_image", "lock_image"]

_WORKERS = 4
_CONFIG_AT_MOST = 4 << 20
_DIGEST = r"^sha256:[0-9a-f]{64}$"


@dataclass(kw_only=True, eq=False)
class BadImage(HatchlockError):
    """An image whose manifest or config is not what the OCI image specification says."""

    code: ClassVar[str] = "bad-image"

    image: str
    why: str

    def __str__(self) -> str:
        return f"image {self.image} cannot be used: {self.why}"

    def _hint(self) -> str:
        return "choose another tag of this image"


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


_T = TypeVar("_T", bound=_Document)


class _Platform(_Document):
    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def serves(self, wanted: _Platform) -> bool:
        """Whether what is built for this platform is what `wanted` asks for; the usual variant may stay unsaid."""
        usual = {"arm64": "v8", "arm": "v7"}.get(self.architecture, "")
        return (self.os, self.architecture, self.variant or usual) == (
            wanted.os,
            wanted.architecture,
            wanted.variant or usual,
        )


class _Descriptor(_Document):
    digest: str = Field(pattern=_DIGEST)
    size: int = Field(ge=0)
    platform: _Platform | None = None


class _Index(_Document):
    manifests: tuple[_Descriptor, ...]


class _Manifest(_Document):
    config: _Descriptor
    layers: tuple[_Descriptor, ...]


class _Run(_Document):
    entrypoint: tuple[str, ...] | None = Field(default=None, alias="Entrypoint")
    command: tuple[str, ...] | None = Field(default=None, alias="Cmd")
    user: str = Field(default="", alias="User")
    working_directory: str = Field(default="", alias="WorkingDir")
    env: tuple[str, ...] | None = Field(default=None, alias="Env")
    labels: dict[str, str] | None = Field(default=None, alias="Labels")


class _Roots(_Document):
    diff_ids: tuple[Annotated[str, Field(pattern=_DIGEST)], ...]


class _Config(_Platform):
    config: _Run | None = None
    created: str | None = None
    rootfs: _Roots


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
    labels: Mapping[str, str]
    layers: int
    size: int


def describe_image(reference_text: str, platform: str, *, registry: Registry) -> ImageDescription:
    """Ask what an image is, without fetching its layers and without keeping anything.

    Args:
        reference_text: Without `oci:`.
        platform: The one to prefer; if there is none for it, the first that there is.
        registry: Is asked.

    Raises:
        BadSource: It is no reference.
        UnknownImage, ImageUnreachable: As the registry answers.
        WrongHash: Bytes are not those that their digest names.
        BadImage: The image is not well-formed.
    """
    reference = ImageReference.parse(reference_text)
    top = registry.manifest(reference)
    listed: tuple[str, ...] = ()
    if top.media_type in INDEX_TYPES:
        # what has no platform, or an unknown one, are attestations
        images = (item for item in _parse(_Index, top.data, reference).manifests if item.platform)
        listed = tuple(sorted(str(item.platform) for item in images if item.platform and item.platform.os != "unknown"))
        if not listed:
            raise BadImage(image=str(reference), why="its index lists no image")
    served = [item for item in listed if _platform(item).serves(_platform(platform))]
    manifest = _choose(reference, top, (served or listed or (platform,))[0], registry)
    parsed = _parse(_Manifest, manifest.data, reference)
    config = _parse(_Config, _small_blob(reference, parsed.config, registry), reference)
    own = str(_Platform(os=config.os, architecture=config.architecture, variant=config.variant))
    run = config.config or _Run()
    return ImageDescription(
        reference=reference_text,
        digest=top.digest,
        platforms=listed or (own,),
        platform=own,
        created=config.created or "",
        entrypoint=run.entrypoint or (),
        command=run.command or (),
        user=run.user,
        working_directory=run.working_directory,
        labels=run.labels or {},
        layers=len(parsed.layers),
        size=sum(layer.size for layer in parsed.layers),
    )


def _small_blob(reference: ImageReference, descriptor: _Descriptor, registry: Registry) -> bytes:
    if descriptor.size > _CONFIG_AT_MOST:
        raise BadImage(image=str(reference), why=f"its config has {descriptor.size} bytes")
    pieces: list[bytes] = []
    registry.blob(reference, descriptor.digest, pieces.append)
    return b"".join(pieces)


def container_platform(platform: str) -> str:
    """Return the platform that containers have on a declared platform: on macOS they are Linux of the same processor."""
    os, _, rest = platform.partition("/")
    return f"linux/{rest}" if os == "darwin" else platform


def lock_image(
    reference_text: str,
    platforms: Sequence[str],
    *,
    registry: Registry,
    blobs: Blobs,
    facts: bool,
    emit: Sink = discard,
) -> Image:
    """Resolve an image's reference.

    Args:
        reference_text: As in the manifest, without `oci:`.
        platforms: The declared platforms.
        registry: Where manifests and blobs come from.
        blobs: Where configs, and with `facts` layers, are kept.
        facts: Read a base's facts from its layers, which means to download them. Nothing of the image is run.
        emit: Told about each download.

    Raises:
        BadSource: It is no reference.
        UnknownImage, ImageUnreachable, MissingPlatform: As the registry answers.
        WrongHash: Bytes are not those that their digest names.
        BadImage, BadLayer: The image is not well-formed, or not in a form that is known.
    """
    reference = ImageReference.parse(reference_text)
    top = registry.manifest(reference)
    chosen = {platform: _choose(reference, top, platform, registry) for platform in platforms}
    read: dict[str, ImagePlatform] = {}
    for manifest in chosen.values():
        if manifest.digest not in read:
            read[manifest.digest] = _read(reference, manifest, registry=registry, blobs=blobs, facts=facts, emit=emit)
    for platform, manifest in chosen.items():
        _check_platform(reference, read[manifest.digest], platform, blobs)
    return Image(
        reference=reference_text,
        digest=top.digest,
        platforms={platform: read[chosen[platform].digest] for platform in sorted(platforms)},
    )


def fetch_image(image: Image, platform: str, *, registry: Registry, blobs: Blobs, emit: Sink = discard) -> None:
    """Bring an image's config and layers for one platform into the store, those that are not there yet.

    Args:
        image: From the lock.
        platform: One of its platforms.
        registry: Where they come from.
        blobs: Where they go.
        emit: Told about each download.

    Raises:
        UnknownImage, ImageUnreachable: As the registry answers.
        WrongHash: Bytes are not those that the lock names.
    """
    reference = ImageReference.parse(image.reference)
    found = image.platforms[platform]
    wanted = {found.config: found.config_size, **{layer.digest: layer.size for layer in found.layers}}
    _fetch(reference, wanted, registry=registry, blobs=blobs, emit=emit)


def _choose(reference: ImageReference, top: Manifest, platform: str, registry: Registry) -> Manifest:
    if top.media_type not in INDEX_TYPES:
        return top
    wanted = _platform(platform)
    listed = [item for item in _parse(_Index, top.data, reference).manifests if item.platform]
    for item in listed:
        if item.platform and item.platform.serves(wanted):
            return registry.manifest(replace(reference, digest=item.digest))
    known = sorted({str(item.platform) for item in listed} - {"unknown/unknown"})
    raise MissingPlatform(image=str(reference), platform=container_platform(platform), available=tuple(known))


def _platform(text: str) -> _Platform:
    os, architecture, variant = [*container_platform(text).split("/"), "", ""][:3]
    return _Platform(os=os, architecture=architecture, variant=variant)


def _check_platform(reference: ImageReference, found: ImagePlatform, platform: str, blobs: Blobs) -> None:
    config = _parse(_Config, blobs.path(_hex(found.config)).read_bytes(), reference)
    if not config.serves(_platform(platform)):
        available = (_Platform(os=config.os, architecture=config.architecture, variant=config.variant),)
        raise MissingPlatform(
            image=str(reference),
            platform=container_platform(platform),
            available=tuple(str(item) for item in available),
        )


def _read(
    reference: ImageReference, manifest: Manifest, *, registry: Registry, blobs: Blobs, facts: bool, emit: Sink
) -> ImagePlatform:
    parsed = _parse(_Manifest, manifest.data, reference)
    _fetch(reference, {parsed.config.digest: parsed.config.size}, registry=registry, blobs=blobs, emit=emit)
    config = _parse(_Config, blobs.path(_hex(parsed.config.digest)).read_bytes(), reference)
    if len(config.rootfs.diff_ids) != len(parsed.layers):
        raise BadImage(image=str(reference), why="its config and its manifest do not list the same layers")
    found = BaseFacts()
    if facts:
        layers = {layer.digest: layer.size for layer in parsed.layers}
        _fetch(reference, layers, registry=registry, blobs=blobs, emit=emit)
        found = base_facts([blobs.path(_hex(layer.digest)) for layer in parsed.layers])
    run = config.config or _Run()
    return ImagePlatform(
        digest=manifest.digest,
        config=parsed.config.digest,
        config_size=parsed.config.size,
        layers=tuple(
            Layer(digest=layer.digest, size=layer.size, diff_id=diff_id)
            for layer, diff_id in zip(parsed.layers, config.rootfs.diff_ids, strict=True)
        ),
        entrypoint=run.entrypoint or (),
        command=run.command or (),
        user=run.user,
        working_directory=run.working_directory,
        env=run.env or (),
        python=found.python,
        python_path=found.python_path,
        libc=found.libc,
        symlinks=found.symlinks,
        packages=found.packages,
    )


def _fetch(
    reference: ImageReference, wanted: Mapping[str, int], *, registry: Registry, blobs: Blobs, emit: Sink
) -> None:
    missing = [(digest, size) for digest, size in wanted.items() if not blobs.has(_hex(digest))]

    def fetch(item: tuple[str, int]) -> None:
        digest, size = item
        emit(Event(name="fetch.start", address=f"oci:{reference}", data={"digest": digest, "size": size}))
        with blobs.add(_hex(digest), size, what=f"a part of {reference}") as blob:
            registry.blob(reference, digest, blob.write)
        emit(Event(name="fetch.done", address=f"oci:{reference}", data={"digest": digest, "size": size}))

    if not missing:
        return
    with ThreadPoolExecutor(min(_WORKERS, len(missing))) as pool:
        list(pool.map(fetch, missing))


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _parse(model: type[_T], data: bytes, reference: ImageReference) -> _T:
    document = model.__name__.strip("_").lower()
    try:
        return model.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "content"
        why = f"its {document} has no valid {where} ({first['msg']})"
        raise BadImage(image=str(reference), why=why) from error
    except ValueError as error:
        raise BadImage(image=str(reference), why=f"its {document} is no JSON") from error
