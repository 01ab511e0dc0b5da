"""Images in OCI layouts on disk, `oci:./DIRECTORY:TAG`, as the OCI image specification 1.1 has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hatchlock.address import ImageReference
from hatchlock.digest import hex_of, oci_digest
from hatchlock.files import reporting_permission
from hatchlock.images.layout import NAME_ANNOTATION
from hatchlock.net.registry import INDEX_TYPES, MANIFEST_TYPES, Manifest
from hatchlock.net.registry_errors import ImageProblem, UnknownImage
from hatchlock.sources.oci_documents import Descriptor, ImageIndex, read_index
from hatchlock.sources.oci_places import hand_on
from hatchlock.store.blobs import WrongHash

__all__ = ["BadLayout", "LayoutImages", "NotInLayout"]

_DOCUMENT_AT_MOST = 4 << 20


@dataclass(kw_only=True, eq=False)
class BadLayout(ImageProblem):
    """A directory that is no OCI layout, or lacks a part of one.

    Attributes:
        why: As a clause.
    """

    code: ClassVar[str] = "bad-layout"

    why: str

    def _sentence(self) -> str:
        return f"image {self.image} cannot be read from {self.registry}: {self.why}"

    def _hint(self) -> str:
        return "write it again: `skopeo copy … oci:DIRECTORY:TAG`, or `hatchlock export NAME --to oci:DIRECTORY`"


@dataclass(kw_only=True, eq=False)
class NotInLayout(UnknownImage):
    """An OCI layout that has no such image.

    Attributes:
        names: What the images are called that it has.
        several: Whether it has several, and the reference does not say which.
        locked: Whether it was asked for by its digest.
    """

    code: ClassVar[str] = "not-in-layout"

    names: tuple[str, ...] = ()
    several: bool = False
    locked: bool = False

    def _sentence(self) -> str:
        if self.several:
            return f"{self.registry} has several images, and {self.image} does not say which"
        return f"{self.registry} has no image {self.image}"

    def _hint(self) -> str:
        if self.locked:
            return (
                "it was written anew since it was locked: bring back what was locked, or run `hatchlock lock --upgrade`"
            )
        return f"it has {', '.join(self.names)}" if self.names else "`skopeo inspect` shows what is in it"


class LayoutImages:
    """The layouts that references lead to; an `ImageSource`. Nothing is kept: a layout is read each time.

    Args:
        place: Tells where a directory is that a reference names.
    """

    def __init__(self, place: Callable[[str], Path]) -> None:
        self._place = place

    def normal(self, reference: ImageReference) -> ImageReference:
        """Return the reference: it is spelt as it is written."""
        return reference

    def manifest(self, reference: ImageReference) -> Manifest:
        """Return the image of a digest, else of a tag, else the only one; of several without names their index.

        Raises:
            BadLayout: There is no layout, or it lacks the manifest.
            NotInLayout: It has no such image, or several.
            BadImage: Its index is not well-formed.
            WrongHash: The manifest is another one than its name says.
        """
        data = self._index_data(reference)
        if reference.digest:
            if reference.digest == oci_digest(data):
                return _document(data)
            return self._blob_document(reference, reference.digest)
        listed = self._images(reference, data)
        if reference.tag:
            found = [item for item in listed if _name(item) == reference.tag]
        else:
            found = listed
            if len(found) > 1 and not any(map(_name, found)):
                return _document(data)
        if len({item.digest for item in found}) != 1:
            raise NotInLayout(
                image=str(reference), registry=_shown(reference), names=_names(listed), several=bool(found)
            )
        return self._blob_document(reference, found[0].digest)

    def blob(self, reference: ImageReference, digest: str, write: Callable[[bytes], object]) -> None:
        """Hand on a blob in pieces, which are worth nothing if this raises.

        Raises:
            BadLayout: There is no layout, or it lacks the blob.
            WrongHash: The blob is damaged.
        """
        path = self._path(reference, digest)
        with reporting_permission(path):
            if not path.is_file():
                raise self._lacking(reference, digest)
            with path.open("rb") as stream:
                hand_on(stream, write, digest=digest, image=reference, where=str(path))

    def tags(self, reference: ImageReference) -> tuple[str, ...]:
        """Return what the images of a layout are called, sorted.

        Raises:
            BadLayout: There is no layout.
            NotInLayout: None has a name.
        """
        names = _names(self._images(reference, self._index_data(reference)))
        if not names:
            raise NotInLayout(image=str(reference), registry=_shown(reference))
        return names

    def _root(self, reference: ImageReference) -> Path:
        return self._place(reference.repository)

    def _index_data(self, reference: ImageReference) -> bytes:
        root = self._root(reference)
        if not root.is_dir():
            raise BadLayout(image=str(reference), registry=_shown(reference), why="there is no such directory")
        data = _read(root / "index.json")
        if data is None or _read(root / "oci-layout") is None:
            why = "it is no OCI layout: it needs an `oci-layout` and an `index.json`"
            raise BadLayout(image=str(reference), registry=_shown(reference), why=why)
        return data

    def _images(self, reference: ImageReference, data: bytes) -> list[Descriptor]:
        index: ImageIndex = read_index(_document(data), reference)
        return [item for item in index.manifests if item.is_index or item.is_image]

    def _blob_document(self, reference: ImageReference, digest: str) -> Manifest:
        path = self._path(reference, digest)
        data = _read(path)
        if data is None and reference.digest:
            raise NotInLayout(image=str(reference), registry=_shown(reference), locked=True)
        if data is None:
            raise self._lacking(reference, digest)
        if oci_digest(data) != digest:
            expected, actual = (hex_of(text) for text in (digest, oci_digest(data)))
            raise WrongHash(what=f"the manifest of {reference}", expected=expected, actual=actual, where=str(path))
        return _document(data)

    def _path(self, reference: ImageReference, digest: str) -> Path:
        return self._root(reference) / "blobs" / "sha256" / hex_of(digest)

    @staticmethod
    def _lacking(reference: ImageReference, digest: str) -> BadLayout:
        why = f"it is not whole: {digest} is not among its blobs"
        return BadLayout(image=str(reference), registry=_shown(reference), why=why)


def _read(path: Path) -> bytes | None:
    """Return a document; None if there is none, or something that is larger than any, or has no end."""
    with reporting_permission(path):
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            data = stream.read(_DOCUMENT_AT_MOST + 1)
    return data if len(data) <= _DOCUMENT_AT_MOST else None


def _document(data: bytes) -> Manifest:
    """Return a document with what it says that it is; one that does not say it is told by its content."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None  # whoever reads it says so
    document = said if isinstance(said, dict) else {}
    usual = INDEX_TYPES[0] if "manifests" in document else MANIFEST_TYPES[0]
    return Manifest(digest=oci_digest(data), media_type=str(document.get("mediaType") or usual), data=data)


def _name(item: Descriptor) -> str:
    return (item.annotations or {}).get(NAME_ANNOTATION, "")


def _names(listed: list[Descriptor]) -> tuple[str, ...]:
    return tuple(sorted(filter(None, map(_name, listed))))


def _shown(reference: ImageReference) -> str:
    return f"the OCI layout {reference.repository}"
