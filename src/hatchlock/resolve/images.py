"""The images of a lock: those that servers are, that environments have as a base, and that packages name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from hatchlock.address import Kind
from hatchlock.errors import about
from hatchlock.lock.images import Image
from hatchlock.lock.model import Package
from hatchlock.net.registry_errors import UnknownImage
from hatchlock.resolve.basis import Basis
from hatchlock.resolve.freshness import image_reasons
from hatchlock.resolve.wanted import WantedEnvironment, wanted_images

__all__ = ["image_of", "images_of_packages", "named_images"]


def named_images(basis: Basis, wanted: Iterable[WantedEnvironment]) -> dict[str, Image]:
    """Return the images that servers are, and the bases of environments, with their facts.

    Raises:
        ImageProblem, BadImage, MissingPlatform: As `Answers.look_up_image`.
    """
    bases = {item.base: f"env:{item.name}" for item in wanted if item.base}
    users = {**wanted_images(basis.manifest), **bases}
    return {
        reference: image_of(basis, reference, user, facts=reference in bases)
        for reference, user in sorted(users.items())
    }


def images_of_packages(basis: Basis, packages: Iterable[Package], known: Mapping[str, Image]) -> dict[str, Image]:
    """Return the images that packages are, without those that are known."""
    wanted = {package.location: package.id for package in packages if package.kind is Kind.OCI}
    return {
        reference: image_of(basis, reference, user, facts=False)
        for reference, user in sorted(wanted.items())
        if reference not in known
    }


def image_of(basis: Basis, reference: str, user: str, *, facts: bool) -> Image:
    """Return an image as the previous lock has it, if it may stay; else as it is now.

    Args:
        basis: Says what may move.
        reference: Without `oci:`.
        user: Who needs it, for messages.
        facts: Whether the facts of its layers are needed.

    Raises:
        ImageProblem, BadImage, MissingPlatform: As `Answers.look_up_image`.
    """
    with about(user):
        return _kept_image(basis, reference) or _find_image(basis, reference, facts=facts)


def _kept_image(basis: Basis, reference: str) -> Image | None:
    if basis.kept is None or basis.upgrade is None or reference in basis.upgrade:
        return None
    return None if list(image_reasons(reference, "", basis.kept)) else basis.kept.image(reference)


def _find_image(basis: Basis, reference: str, *, facts: bool) -> Image:
    """Look an image up: what the previous lock pins, as long as the registry has it and nothing was to move."""
    pinned = {image.reference: image.digest for lock in basis.known for image in lock.images}
    look_up = basis.answers.look_up_image
    may_move = basis.upgrade is None or reference in basis.upgrade
    if reference in pinned and not may_move and "@" not in reference:
        with contextlib.suppress(UnknownImage):
            found = look_up(f"{reference}@{pinned[reference]}", basis.containers, facts=facts)
            return replace(found, reference=reference)
    return look_up(reference, basis.containers, facts=facts)
