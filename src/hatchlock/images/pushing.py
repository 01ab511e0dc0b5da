"""An image into a registry: its layers side by side, then what names them, its tag at the very end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from hatchlock.address import ImageReference
from hatchlock.events import Event, Sink, discard
from hatchlock.images.packed import Content, Packed
from hatchlock.net.registry import Manifest
from hatchlock.net.registry_push import Pusher

__all__ = ["Pushed", "push_image"]

_WORKERS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What a push did.

    Attributes:
        reference: The image by its digest: `HOST/REPOSITORY@sha256:…`.
        blobs: How many layers, configs and statements were sent; the registry had the others.
        size: Their bytes.
        documents: How many manifests, indexes and tags were written.
    """

    reference: str
    blobs: int
    size: int
    documents: int


def push_image(packed: Packed, reference: ImageReference, *, pusher: Pusher, emit: Sink = discard) -> Pushed:
    """Push an image. Whoever pulls sees all of it or nothing: nothing names what is not there yet.

    Args:
        packed: The image.
        reference: The repository, and the tag that it gets; without one it is there by its digest alone.
        pusher: The registries.
        emit: Told about each blob.

    Raises:
        LoginNeeded, WrongLogin, NoAccess, PushRefused: The registry does not take it.
        ImageUnreachable: It does not answer, or breaks off.
        OSError: A layer's file cannot be read.
    """
    untagged = replace(reference, tag="", digest="")

    def send(blob: Content) -> int:
        data: dict[str, str | int] = {"digest": blob.digest, "size": blob.size}
        emit(Event(name="push.start", address=str(reference), data=data))
        sent = pusher.blob(reference, blob.digest, blob.size, blob.source)
        emit(Event(name="push.done", address=str(reference), data={**data, "sent": sent}))
        return blob.size if sent else 0

    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="push") as pool:
        blobs = {blob.digest: blob for blob in (*packed.blobs, *(item.config for item in packed.attached))}
        sizes = [size for size in pool.map(send, blobs.values()) if size]
    documents = [pusher.manifest(untagged, _manifest(item)) for item in packed.manifests]
    documents += [pusher.attach(untagged, _manifest(item.manifest), item.subject) for item in packed.attached]
    if reference.tag:
        documents.append(pusher.manifest(replace(reference, digest=""), _manifest(packed.top)))
    return Pushed(
        reference=str(replace(untagged, digest=packed.top.digest)),
        blobs=len(sizes),
        size=sum(sizes),
        documents=sum(documents),
    )


def _manifest(content: Content) -> Manifest:
    return Manifest(digest=content.digest, media_type=content.media_type, data=content.data)
