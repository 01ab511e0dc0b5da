"""Images that the container engine has, `oci:docker-daemon:NAME:TAG`.

An engine keeps no manifest that would be the same elsewhere: compressed layers, where it has any, are its own. So we make one,
of the config and the uncompressed layers, and its digest is the same wherever the image is.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, ClassVar, Protocol, cast

from hatchlock.address import ImageReference
from hatchlock.digest import canonical_json, hex_of, oci_digest
from hatchlock.errors import HatchlockError
from hatchlock.images.packed import MANIFEST, Content
from hatchlock.net.registry import Manifest
from hatchlock.net.registry_errors import ImageUnreachable, UnknownImage
from hatchlock.realise.zstd import ZSTD_HEAD, is_zstd, open_zstd
from hatchlock.sources.oci_documents import BadImage, read_config
from hatchlock.sources.oci_places import hand_on
from hatchlock.store.blobs import Blobs

__all__ = ["EngineImages", "ImageStore", "NotInEngine", "engine_manifest"]

_ENGINE = "the container engine"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_GZIP = b"\x1f\x8b"
_DOCUMENT_AT_MOST = 4 << 20
_NO_ARCHIVE = (
    *(tarfile.TarError, EOFError, zlib.error),
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError),
)


@dataclass(kw_only=True, eq=False)
class NotInEngine(UnknownImage):
    """An image that the engine does not have, or no longer.

    Attributes:
        moved: Whether the engine has another one under its name.
    """

    code: ClassVar[str] = "not-in-engine"

    moved: bool = False

    def _sentence(self) -> str:
        if self.moved:
            return f"{self.registry} has another image under this name now than {self.image}"
        return f"{self.registry} has no image {self.image}"

    def _hint(self) -> str:
        if self.moved:
            return "bring back what was locked, or take what there is now: run `hatchlock lock --upgrade`"
        return "build, load or pull it first; `docker images` lists what there is"


class ImageStore(Protocol):
    """The part of an engine that gives images out; `engines.saved.EngineStore` is one."""

    def saved(self, name: str) -> Iterator[bytes]:
        """Yield an image as a docker-archive; nothing if there is no such image."""
        ...

    def tags(self, repository: str) -> Sequence[str]:
        """Return the tags of the images of a name."""
        ...


class EngineImages:
    """The images of the container engine; an `ImageSource`. An image is taken out of the engine once, and as a whole.

    A manifest that was made once is kept in the store, so that it can be asked for again when no engine answers.

    Args:
        connect: Gives the engine; called when it is first needed.
        scratch: Gives a directory for what comes out of it; whoever made it takes it away.
        blobs: The store's.
    """

    def __init__(self, connect: Callable[[], ImageStore], *, scratch: Callable[[], Path], blobs: Blobs) -> None:
        self._connect = connect
        self._scratch = scratch
        self._blobs = blobs
        self._lock = threading.Lock()
        self._taken: dict[str, _Archive] = {}

    def normal(self, reference: ImageReference) -> ImageReference:
        """Return the reference: the engine knows what its names mean."""
        return reference

    def manifest(self, reference: ImageReference) -> Manifest:
        """Return the manifest that is made of an image.

        Raises:
            NotInEngine: The engine has no such image, or another one than the digest means.
            ImageUnreachable: It does not answer, or breaks off.
            BadImage: What it gives out is no image.
        """
        kept = hex_of(reference.digest)
        if kept and self._blobs.has(kept):
            self._blobs.verify(kept)
            return Manifest(digest=reference.digest, media_type=MANIFEST, data=self._blobs.path(kept).read_bytes())
        manifest = self._archive(reference).manifest
        if reference.digest and manifest.digest != reference.digest:
            raise NotInEngine(image=str(reference), registry=_ENGINE, moved=True)
        return manifest

    def blob(self, reference: ImageReference, digest: str, write: Callable[[bytes], object]) -> None:
        """Hand on a config or an uncompressed layer in pieces, which are worth nothing if this raises.

        Raises:
            NotInEngine: The engine has no such image, or another one than the one that it belongs to.
            ImageUnreachable: It does not answer, or breaks off.
            WrongHash: What it gives out are other bytes.
        """
        if self._blobs.has(hex_of(digest)):
            path = self._blobs.path(hex_of(digest))
            with path.open("rb") as kept:
                hand_on(kept, write, digest=digest, image=reference, where=str(path))
            return
        archive = self._archive(reference)
        if digest not in archive.members:
            raise NotInEngine(image=str(reference), registry=_ENGINE, moved=True)
        with archive.opened(digest) as stream:
            hand_on(stream, write, digest=digest, image=reference, where=_ENGINE)

    def tags(self, reference: ImageReference) -> Sequence[str]:
        """Return the tags of an image's name, sorted.

        Raises:
            NotInEngine: The engine has nothing of this name.
            ImageUnreachable: It does not answer.
        """
        with _answering(reference):
            found = self._connect().tags(_name(reference))
        if not found:
            raise NotInEngine(image=str(reference), registry=_ENGINE)
        return found

    def _archive(self, reference: ImageReference) -> _Archive:
        name = f"{_name(reference)}:{reference.tag or 'latest'}"
        with self._lock:
            if name not in self._taken:
                self._taken[name] = self._take_out(name, reference)
            return self._taken[name]

    def _take_out(self, name: str, reference: ImageReference) -> _Archive:
        path = self._scratch() / f"image-{os.urandom(6).hex()}.tar"
        with _answering(reference), path.open("wb") as stream:
            stream.writelines(self._connect().saved(name))
        if not path.stat().st_size:
            raise NotInEngine(image=str(reference), registry=_ENGINE)
        try:
            archive = _read(path, reference)
        except _NO_ARCHIVE as error:
            why = f"what the engine gives out is no docker-archive that is understood ({error})"
            raise BadImage(image=str(reference), why=why, advice="see what `docker save` makes of it") from error
        manifest = archive.manifest
        with self._blobs.add(hex_of(manifest.digest), len(manifest.data)) as blob:
            blob.write(manifest.data)
        return archive


@dataclass(frozen=True, kw_only=True, slots=True)
class _Archive:
    """A docker-archive.

    Attributes:
        path: Where it is.
        manifest: What was made of it.
        members: Digest -> the member that has these bytes, plain or compressed with gzip or zstd.
    """

    path: Path
    manifest: Manifest
    members: Mapping[str, str]

    @contextlib.contextmanager
    def opened(self, digest: str) -> Iterator[BinaryIO]:
        """Open a config or a layer, uncompressed."""
        with tarfile.open(self.path, "r:") as archive, _plain(archive, self.members[digest]) as stream:
            yield stream


def engine_manifest(config: bytes, layers: Sequence[tuple[str, int]]) -> Manifest:
    """Return the manifest of an image whose layers are not compressed.

    Args:
        config: The image's config.
        layers: Diff id and size of each, lowest first.
    """
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Content.of(config, _CONFIG).descriptor,
        "layers": [{"mediaType": _LAYER, "digest": diff_id, "size": size} for diff_id, size in layers],
    }
    data = canonical_json(document)
    return Manifest(digest=oci_digest(data), media_type=MANIFEST, data=data)


def _read(path: Path, reference: ImageReference) -> _Archive:
    with tarfile.open(path, "r:") as archive:
        listed = json.loads(_small(archive, "manifest.json"))[0]
        config = _small(archive, listed["Config"])
        names = listed["Layers"]
        diff_ids = read_config(config, reference).rootfs.diff_ids
        layers = [(diff_id, _size(archive, name)) for diff_id, name in zip(diff_ids, names, strict=True)]
    members = {oci_digest(config): listed["Config"], **dict(zip(diff_ids, names, strict=True))}
    return _Archive(path=path, manifest=engine_manifest(config, layers), members=members)


def _small(archive: tarfile.TarFile, name: str) -> bytes:
    with _member(archive, name) as stream:
        data = stream.read(_DOCUMENT_AT_MOST + 1)
    if len(data) > _DOCUMENT_AT_MOST:
        raise ValueError(f"{name} is too large")
    return data


def _size(archive: tarfile.TarFile, name: str) -> int:
    with _plain(archive, name) as stream:
        return stream.seek(0, os.SEEK_END)


@contextlib.contextmanager
def _plain(archive: tarfile.TarFile, name: str) -> Iterator[BinaryIO]:
    with _member(archive, name) as stream:
        head = stream.read(ZSTD_HEAD)
        stream.seek(0)
        if is_zstd(head):
            yield open_zstd(stream)
            return
        if not head.startswith(_GZIP):
            yield cast("BinaryIO", stream)
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield cast("BinaryIO", unpacked)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file of an archive; a layer that is there twice is a symlink the second time."""
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream


@contextlib.contextmanager
def _answering(reference: ImageReference) -> Iterator[None]:
    """Say of an engine that is not there, or breaks off, which image it was asked for."""
    try:
        yield
    except HatchlockError as error:
        advice = "start Docker or Podman, or set DOCKER_HOST; what is in the store needs no engine"
        raise ImageUnreachable(image=str(reference), registry=_ENGINE, why=str(error), advice=advice) from error


def _name(reference: ImageReference) -> str:
    return f"{reference.registry}/{reference.repository}" if reference.registry else reference.repository
