"""Where images are: registries, the container engine, OCI layouts. Whoever locks or fetches an image asks them alike."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Protocol

from hatchlock.address import ImageReference, Transport
from hatchlock.digest import hex_of
from hatchlock.net.registry import Manifest
from hatchlock.store.blobs import WrongHash

__all__ = ["ImagePlaces", "ImageSource", "hand_on"]

_CHUNK = 1 << 20


class ImageSource(Protocol):
    """Something that has images; `net.registry.Registry` says what each method guarantees and raises."""

    def normal(self, reference: ImageReference) -> ImageReference:
        """Return the one spelling of an image's name."""
        ...

    def manifest(self, reference: ImageReference) -> Manifest:
        """Return a manifest or an index."""
        ...

    def blob(self, reference: ImageReference, digest: str, write: Callable[[bytes], object]) -> None:
        """Hand on a blob in pieces, which are worth nothing if this raises."""
        ...

    def tags(self, reference: ImageReference) -> Sequence[str]:
        """Return the tags beside the reference's own, sorted as text."""
        ...


class ImagePlaces:
    """All of them, as one `ImageSource`: a reference says which is meant. May be used from several threads.

    Args:
        places: How each is opened, when the first reference to it is met.
    """

    def __init__(self, places: Mapping[Transport, Callable[[], ImageSource]]) -> None:
        self._places = places
        self._opened: dict[Transport, ImageSource] = {}
        self._opening = threading.RLock()

    def normal(self, reference: ImageReference) -> ImageReference:
        """See `ImageSource`."""
        return self._of(reference).normal(reference)

    def manifest(self, reference: ImageReference) -> Manifest:
        """See `ImageSource`."""
        return self._of(reference).manifest(reference)

    def blob(self, reference: ImageReference, digest: str, write: Callable[[bytes], object]) -> None:
        """See `ImageSource`."""
        self._of(reference).blob(reference, digest, write)

    def tags(self, reference: ImageReference) -> Sequence[str]:
        """See `ImageSource`."""
        return self._of(reference).tags(reference)

    def _of(self, reference: ImageReference) -> ImageSource:
        with self._opening:
            if reference.transport not in self._opened:
                self._opened[reference.transport] = self._places[reference.transport]()
            return self._opened[reference.transport]


def hand_on(
    stream: BinaryIO, write: Callable[[bytes], object], *, digest: str, image: ImageReference, where: str
) -> None:
    """Hand on a blob's bytes.

    Args:
        stream: Has them.
        write: Takes the pieces in order.
        digest: `sha256:…`, what they must have.
        image: What they belong to.
        where: Where they come from, for messages.

    Raises:
        WrongHash: They are others.
        OSError: They cannot be read.
    """
    seen = hashlib.sha256()
    while piece := stream.read(_CHUNK):
        seen.update(piece)
        write(piece)
    if f"sha256:{seen.hexdigest()}" != digest:
        raise WrongHash(
            what=f"a layer or config of {image}",
            expected=hex_of(digest),
            actual=seen.hexdigest(),
            where=where,
        )
