"""What was built from a Dockerfile, among the store's blobs: whether it is there, and the image that it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.digest import hex_of
from hatchlock.paths import Home
from hatchlock.realise.builds.image_record import ImageRecord, ImageRecords
from hatchlock.resources.base import Artefact
from hatchlock.resources.build_facts import records_of
from hatchlock.resources.dockerfile_spec import DockerfileSpec
from hatchlock.store.blobs import Blobs

if TYPE_CHECKING:
    from hatchlock.images.assemble import Composed
    from hatchlock.lock.images import Layer

__all__ = ["kept_result", "known_result", "result_image", "shared_artefacts"]


def known_result(spec: DockerfileSpec, home: Home) -> ImageRecord | None:
    """Return what is known of an earlier build of the same input; the image itself may be gone."""
    found = ImageRecords(records_of(home)).find(spec.key)
    return found if found and found.context == spec.snapshot.digest else None


def kept_result(spec: DockerfileSpec, home: Home) -> ImageRecord | None:
    """Return what an earlier build of the same input gave, if the store has what it added."""
    found = known_result(spec, home)
    return found if found and found.is_kept(Blobs(home.blobs).has) else None


def shared_artefacts(spec: DockerfileSpec, record: ImageRecord) -> tuple[Artefact, ...]:
    """Return the layers that a result has from the images that its Dockerfile names, as their registries store them."""
    wanted = set(record.layers)
    return tuple(
        Artefact(
            package=f"oci:{item.reference}",
            name=layer.digest,
            digest=hex_of(layer.digest),
            size=layer.size,
        )
        for item in spec.images
        for layer in item.image.layers
        if layer.diff_id in wanted
    )


def result_image(spec: DockerfileSpec, record: ImageRecord, blobs: Blobs) -> Composed:
    """Return a result as an image whose files are the store's.

    Args:
        spec: What was built.
        record: What that gave; its blobs and `shared_artefacts` are in the store.
        blobs: The store's; what the build added is checked again.

    Raises:
        WrongHash: A blob is damaged; it is removed.
        OSError: A file is not in the store.
    """
    from hatchlock.images.archive import ArchiveLayer  # noqa: PLC0415  `plan` only asks what there is
    from hatchlock.images.assemble import Composed  # noqa: PLC0415

    for digest in record.blobs:
        blobs.verify(digest)
    shared = dict(_layers(spec))
    return Composed(
        config=blobs.path(record.config).read_bytes(),
        below=tuple(ArchiveLayer(diff_id=item, path=_file(item, shared, blobs)) for item in record.layers),
    )


def _file(diff_id: str, shared: Mapping[str, Layer], blobs: Blobs) -> Path:
    digest = shared[diff_id].digest if diff_id in shared else diff_id
    return blobs.path(hex_of(digest))


def _layers(spec: DockerfileSpec) -> Iterator[tuple[str, Layer]]:
    return ((layer.diff_id, layer) for item in spec.images for layer in item.image.layers)
