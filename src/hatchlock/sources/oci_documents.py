"""An image's documents: index, manifest and config, as the OCI image specification and Docker's of before have them.

What is read is what we need; the rest is left alone. A document that could be read in two ways is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hatchlock.address import ImageReference
from hatchlock.errors import HatchlockError
from hatchlock.images.config import KEY_LABEL
from hatchlock.net.registry import INDEX_TYPES, Manifest

__all__ = [
    "BadImage",
    "Descriptor",
    "ImageConfig",
    "ImageIndex",
    "ImageManifest",
    "ImagePlace",
    "container_platform",
    "read_config",
    "read_index",
    "read_manifest",
]

_DIGEST = r"^sha256:[0-9a-f]{64}$"
_CONFIG_TYPES = frozenset(
    {
        "",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",  # of images that Docker pushed before it had the type above
    }
)
_LAYER = re.compile(
    r"application/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar|docker\.image\.rootfs(?:\.foreign)?\.diff\.tar)"
    r"(?:[+.](?:gzip|zstd))?|application/octet-stream|"
)
_USUAL_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
_KEY = re.compile(r"[0-9a-f]{64}")
_PORT = re.compile(r"[0-9]+(?:-[0-9]+)?")
_ATTESTATION = "vnd.docker.reference.type"


@dataclass(kw_only=True, eq=False)
class BadImage(HatchlockError):
    """An image whose documents are not what the OCI image specification says, or that is no container image."""

    code: ClassVar[str] = "bad-image"

    image: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"image {self.image} cannot be used: {self.why}"

    def _hint(self) -> str:
        return self.advice or "choose another tag of this image"


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


_T = TypeVar("_T", bound=_Document)


class ImagePlace(_Document):
    """What an image is built for: operating system and processor, as Go names them."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    @classmethod
    def of(cls, platform: str) -> ImagePlace:
        """Return what containers need on a declared platform, `linux/arm64` or `linux/arm/v7`."""
        os, architecture, variant = [*container_platform(platform).split("/"), "", ""][:3]
        return cls(os=os, architecture=architecture, variant=variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def serves(self, wanted: ImagePlace) -> bool:
        """Whether what is built for this platform is what `wanted` asks for; the usual variant may stay unsaid."""
        usual = _USUAL_VARIANTS.get(self.architecture, "")
        return (self.os, self.architecture, self.variant or usual) == (
            wanted.os,
            wanted.architecture,
            wanted.variant or usual,
        )


class Descriptor(_Document):
    """A reference to something else in the registry."""

    media_type: str = Field(default="", alias="mediaType")
    digest: str = Field(pattern=_DIGEST)
    size: int = Field(gt=0)
    platform: ImagePlace | None = None
    artifact_type: str | None = Field(default=None, alias="artifactType")
    annotations: dict[str, str] | None = None

    @property
    def is_index(self) -> bool:
        """Whether it leads to another index."""
        return self.media_type in INDEX_TYPES

    @property
    def is_image(self) -> bool:
        """Whether it may lead to an image, and not to an attestation, a signature or another artefact."""
        unknown = self.platform is not None and self.platform.os == "unknown"
        return not (self.is_index or unknown or self.artifact_type or _ATTESTATION in (self.annotations or {}))


class ImageIndex(_Document):
    """What lists one manifest per platform, or further indexes."""

    manifests: tuple[Descriptor, ...]


class ImageManifest(_Document):
    """What names an image's config and layers."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class _Run(_Document):
    entrypoint: tuple[str, ...] | None = Field(default=None, alias="Entrypoint")
    command: tuple[str, ...] | None = Field(default=None, alias="Cmd")
    user: str | None = Field(default=None, alias="User")
    working_directory: str | None = Field(default=None, alias="WorkingDir")
    env: tuple[str, ...] | None = Field(default=None, alias="Env")
    ports: dict[str, Any] | None = Field(default=None, alias="ExposedPorts")
    volumes: dict[str, Any] | None = Field(default=None, alias="Volumes")
    stop_signal: str | None = Field(default=None, alias="StopSignal")
    labels: dict[str, str] | None = Field(default=None, alias="Labels")


class _Roots(_Document):
    diff_ids: tuple[Annotated[str, Field(pattern=_DIGEST)], ...]


class ImageConfig(ImagePlace):
    """How an image is run, and what it is."""

    run: _Run | None = Field(default=None, alias="config")
    created: str | None = None
    rootfs: _Roots

    @property
    def place(self) -> ImagePlace:
        """What it is built for."""
        return ImagePlace(os=self.os, architecture=self.architecture, variant=self.variant)

    @property
    def labels(self) -> Mapping[str, str]:
        """What its makers say of it."""
        return (self.run or _Run()).labels or {}

    def said(self) -> dict[str, Any]:
        """Return what it says of a container's start and surroundings: name, as in `lock.model.ImagePlatform`, -> value."""
        run = self.run or _Run()
        return {
            "entrypoint": run.entrypoint or (),
            "command": run.command or (),
            "user": run.user or "",
            "working_directory": run.working_directory or "",
            "env": run.env or (),
            "ports": tuple(sorted({f"{port}/tcp" if _PORT.fullmatch(port) else port for port in run.ports or {}})),
            "volumes": tuple(sorted(run.volumes or {})),
            "stop_signal": run.stop_signal or "",
            "version": self.labels.get("org.opencontainers.image.version", ""),
            "licence": self.labels.get("org.opencontainers.image.licenses", ""),
            "repository": self.labels.get("org.opencontainers.image.source", ""),
            "mcp_name": self.labels.get("io.modelcontextprotocol.server.name", ""),
            "key": key if _KEY.fullmatch(key := self.labels.get(KEY_LABEL, "")) else "",
        }


def container_platform(platform: str) -> str:
    """Return the platform that containers have on a declared platform: on macOS they are Linux of the same processor."""
    os, _, rest = platform.partition("/")
    return f"linux/{rest}" if os == "darwin" else platform


def read_index(found: Manifest, reference: ImageReference) -> ImageIndex:
    """Read an index.

    Raises:
        BadImage: It is not well-formed, or could be taken for something else.
    """
    return _parse(ImageIndex, _unambiguous(found, reference, not_with="layers"), reference, "index")


def read_manifest(found: Manifest, reference: ImageReference) -> ImageManifest:
    """Read an image's manifest.

    Raises:
        BadImage: It is not well-formed, could be taken for something else, or is that of another thing than an image.
    """
    document = _unambiguous(found, reference, not_with="manifests")
    manifest = _parse(ImageManifest, document, reference, "manifest")
    kind = str(document.get("artifactType") or "") or manifest.config.media_type
    if kind not in _CONFIG_TYPES:
        raise BadImage(image=str(reference), why=f"it is no container image, but {kind}", advice="choose an image")
    for layer in manifest.layers:
        if not _LAYER.fullmatch(layer.media_type):
            raise BadImage(image=str(reference), why=f"one of its layers is {layer.media_type}, which is not known")
    return manifest


def read_config(data: bytes, reference: ImageReference) -> ImageConfig:
    """Read an image's config.

    Raises:
        BadImage: It is not well-formed.
    """
    return _parse(ImageConfig, _json(data, reference, "config"), reference, "config")


def _unambiguous(found: Manifest, reference: ImageReference, *, not_with: str) -> Mapping[str, Any]:
    """Return a document that is what the registry says, whoever reads it."""
    document = _json(found.data, reference, "manifest")
    said = document.get("mediaType") or found.media_type
    if said != found.media_type or not_with in document:
        why = f"the registry calls its manifest {found.media_type}, and it says something else itself"
        raise BadImage(image=str(reference), why=why)
    return document


def _json(data: bytes, reference: ImageReference, document: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadImage(image=str(reference), why=f"its {document} is no JSON") from error
    if not isinstance(value, dict):
        raise BadImage(image=str(reference), why=f"its {document} is no JSON object")
    return value


def _parse(model: type[_T], value: Mapping[str, Any], reference: ImageReference, document: str) -> _T:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "content"
        why = f"its {document} has no valid {where} ({first['msg']})"
        raise BadImage(image=str(reference), why=why) from error
