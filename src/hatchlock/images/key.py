"""Names of images: functions of what goes in, known before an image exists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hatchlock.digest import key_of

if TYPE_CHECKING:
    from hatchlock.lock.model import File

__all__ = ["IMAGE_PREFIX", "image_tag", "input_key"]

IMAGE_PREFIX = "hatchlock"


def input_key(base_digest: str, files: Iterable[File], *, rule: int) -> str:
    """Return an image's input key (64 hex digits).

    Args:
        base_digest: `sha256:…` of the base's manifest for the platform.
        files: Those that go in, in any order.
        rule: The version of the assembler's rules.
    """
    return key_of(f"image:{rule}", [base_digest, *sorted(f"{file.name}:{file.sha256}" for file in files)])


def image_tag(project: str, server: str, key: str) -> str:
    """Return the tag that marks an image in an engine as ours: `hatchlock/PROJECT/SERVER:KEY`."""
    return f"{IMAGE_PREFIX}/{project}/{server}:{key}"
