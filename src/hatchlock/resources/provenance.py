"""The statement about an image of the lock: what it is made from, for others to check."""

from __future__ import annotations

from hatchlock import __version__
from hatchlock.digest import hex_of
from hatchlock.images.assemble import Composed
from hatchlock.images.provenance import Material, image_statement
from hatchlock.images.purl import image_url, package_url
from hatchlock.lock.model import ASSEMBLER
from hatchlock.resources.image_spec import ImageSpec

__all__ = ["provenance"]


def provenance(spec: ImageSpec, *, project: str, lock_digest: str, image: Composed) -> bytes:
    """Return an in-toto statement with SLSA's provenance of an image that was put together.

    Args:
        spec: The image; one that something is added to.
        project: Whose it is.
        lock_digest: SHA-256 of the lock that it follows from (64 hex digits).
        image: The image; whether its layers were written does not matter.
    """
    assert spec.environment is not None  # noqa: S101  others made what is taken as it is, and can say how
    files = (*spec.debs, *spec.environment.artefacts)
    return image_statement(
        name=spec.environment.name,
        config=hex_of(image.config_digest),
        external={
            "project": project,
            "environment": spec.environment.name,
            "platform": spec.platform,
            "lock": {"sha256": lock_digest},
        },
        internal={"assembler": ASSEMBLER, "key": spec.key},
        base=Material(
            uri=image_url(spec.reference, digest=spec.base.digest, platform=spec.platform),
            name=spec.reference,
            digest=hex_of(spec.base.digest),
        ),
        materials=(
            Material(uri=package_url(item.package, file=item.name), name=item.name, digest=item.digest)
            for item in files
        ),
        version=__version__,
    )
