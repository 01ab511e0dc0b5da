"""An image as the OCI image specification 1.1 stores it: blobs, a manifest for each platform, an index over several.

All bytes follow from the images. So our own layers stay uncompressed: what a compressor makes of them differs between its
versions, and with it would the manifest. The base's layers stay as its registry has them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hatchlock.digest import canonical_json, digest_file, hex_of, oci_digest
from hatchlock.images.archive import ArchiveLayer
from hatchlock.realise.zstd import ZSTD_HEAD, is_zstd
from hatchlock.store.blobs import WrongHash

__all__ = [
    "INDEX",
    "MANIFEST",
    "PROVENANCE",
    "PROVENANCE_ANNOTATION",
    "Attached",
    "Content",
    "Packed",
    "PlatformImage",
    "pack",
]

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PROVENANCE = "application/vnd.in-toto+json"
PROVENANCE_ANNOTATION = "dev.hatchlock.provenance"
"""Of a manifest: the digest of the statement about it."""

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_EMPTY = "application/vnd.oci.empty.v1+json"
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20

_Descriptor = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformImage:
    """An image for one platform.

    Attributes:
        config: Its config; says for which platform it is.
        layers: All its layers, lowest first, each with its file.
        annotations: Of its manifest.
        provenance: An in-toto statement about it; b"" for none. It cannot name the manifest, which names it: it is about
            the config's digest.
    """

    config: bytes
    layers: Sequence[ArchiveLayer]
    annotations: Mapping[str, str] = field(default_factory=dict)
    provenance: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """Bytes that are named by their digest.

    Attributes:
        media_type: What they are.
        digest: `sha256:…`.
        size: Their number.
        source: They, or the file that has them.
    """

    media_type: str
    digest: str
    size: int
    source: bytes | Path

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Content:
        """Return what stands for some bytes."""
        return cls(media_type=media_type, digest=oci_digest(data), size=len(data), source=data)

    @property
    def descriptor(self) -> _Descriptor:
        """How a manifest or index names them."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    @property
    def data(self) -> bytes:
        """The bytes, of a document."""
        return self.source.read_bytes() if isinstance(self.source, Path) else self.source

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in pieces, which are worth nothing if this raises.

        Raises:
            WrongHash: The file has changed.
            OSError: It cannot be read.
        """
        if isinstance(self.source, bytes):
            yield self.source
            return
        seen = hashlib.sha256()
        with self.source.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                seen.update(piece)
                yield piece
        if f"sha256:{seen.hexdigest()}" != self.digest:
            raise _changed(self.source, self.digest, seen.hexdigest())


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """The manifest of an artefact about another manifest, its `subject`.

    Attributes:
        manifest: It.
        subject: The digest of the other one.
        config: What it names as its config; the statement is among the image's own blobs.
    """

    manifest: Content
    subject: str
    config: Content


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """Everything that is stored of an image.

    Attributes:
        blobs: What manifests name, also in their annotations: configs, layers, statements. Each once.
        manifests: One for each platform, by platform; with several, the index is the last.
        attached: Artefacts about them, for where these are found by their subject.
        platform: The only one, as a descriptor has it; empty with several.
    """

    blobs: tuple[Content, ...]
    manifests: tuple[Content, ...]
    attached: tuple[Attached, ...]
    platform: Mapping[str, str]

    @property
    def top(self) -> Content:
        """What stands for the whole: the index, or the only manifest."""
        return self.manifests[-1]


def pack(images: Sequence[PlatformImage]) -> Packed:
    """Return what is stored of an image.

    Args:
        images: One for each of its platforms, in any order; at least one.

    Raises:
        WrongHash: A file has other bytes than its layer's.
        OSError: It cannot be read.
        ValueError: There are two of one platform.
    """
    parts = sorted(map(_pack_one, images), key=lambda part: canonical_json(part.platform))
    if len({canonical_json(part.platform) for part in parts}) < len(parts):
        raise ValueError(parts[0].platform)
    manifests = [part.manifest for part in parts]
    if len(parts) > 1:
        common = images[0].annotations.items()
        document = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{**part.manifest.descriptor, "platform": part.platform} for part in parts],
            **_annotated({name: value for name, value in common if _all_say(images, name, value)}),
        }
        manifests.append(Content.of(canonical_json(document), INDEX))
    return Packed(
        blobs=tuple({blob.digest: blob for part in parts for blob in part.blobs}.values()),
        manifests=tuple(manifests),
        attached=tuple(part.attached for part in parts if part.attached),
        platform=parts[0].platform if len(parts) == 1 else {},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    platform: Mapping[str, str]
    blobs: tuple[Content, ...]
    manifest: Content
    attached: Attached | None


def _pack_one(image: PlatformImage) -> _Part:
    config = Content.of(image.config, _CONFIG)
    layers = [_layer(layer) for layer in image.layers]
    statement = Content.of(image.provenance, PROVENANCE) if image.provenance else None
    named = {PROVENANCE_ANNOTATION: statement.digest} if statement else {}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor,
        "layers": [layer.descriptor for layer in layers],
        **_annotated({**image.annotations, **named}),
    }
    manifest = Content.of(canonical_json(document), MANIFEST)
    said = json.loads(image.config)
    platform = {name: said[name] for name in ("os", "architecture", "variant", "os.version") if said.get(name)}
    if statement is None:
        return _Part(platform=platform, blobs=(config, *layers), manifest=manifest, attached=None)
    empty = Content.of(b"{}", _EMPTY)
    artefact = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": PROVENANCE,
        "config": empty.descriptor,
        "layers": [statement.descriptor],
        "subject": manifest.descriptor,
    }
    about = Content.of(canonical_json(artefact), MANIFEST)
    attached = Attached(manifest=about, subject=manifest.digest, config=empty)
    return _Part(platform=platform, blobs=(config, *layers, statement), manifest=manifest, attached=attached)


def _layer(layer: ArchiveLayer) -> Content:
    assert layer.path is not None  # noqa: S101  whoever packs an image has all of it
    with layer.path.open("rb") as stream:
        compression = _compression(stream.read(ZSTD_HEAD))
    digest = f"sha256:{digest_file(layer.path)}"
    if not compression and digest != layer.diff_id:
        raise _changed(layer.path, layer.diff_id, hex_of(digest))
    size = layer.path.stat().st_size
    return Content(media_type=f"{_LAYER}{compression}", digest=digest, size=size, source=layer.path)


def _compression(head: bytes) -> str:
    if head.startswith(_GZIP):
        return "+gzip"
    return "+zstd" if is_zstd(head) else ""


def _annotated(annotations: Mapping[str, str]) -> Mapping[str, Any]:
    return {"annotations": dict(annotations)} if annotations else {}


def _all_say(images: Sequence[PlatformImage], name: str, value: str) -> bool:
    return all(image.annotations.get(name) == value for image in images)


def _changed(path: Path, expected: str, actual: str) -> WrongHash:
    return WrongHash(what="a layer", expected=hex_of(expected), actual=actual, where=str(path))
