"""Names of images: functions of what goes in, known before an image exists."""

from __future__ import annotations

from collections.abc import Iterable

from hatchlock.digest import key_of

__all__ = ["IMAGE_PREFIX", "image_tag", "input_key", "key_of_tag", "local_tag"]

IMAGE_PREFIX = "hatchlock"
_LOCAL = "-local"


def input_key(base_digest: str, wheels: Iterable[str], *, rule: int, others: Iterable[str] = ()) -> str:
    """Return an image's input key (64 hex digits).

    Args:
        base_digest: `sha256:…` of the base's manifest for the platform.
        wheels: `NAME:SHA256` of each wheel that goes in, in any order.
        rule: The version of the assembler's rules.
        others: A line for everything else that goes in, in order.
    """
    return key_of(f"image:{rule}", [base_digest, *sorted(wheels), *others])


def image_tag(project: str, server: str, key: str) -> str:
    """Return the tag that marks an image in an engine as ours: `hatchlock/PROJECT/SERVER:KEY`."""
    return f"{IMAGE_PREFIX}/{project}/{server}:{key}"


def key_of_tag(tag: str) -> str:
    """Return the input key that a tag of ours names, of a pinned image or of what was made of it."""
    return tag.rpartition(":")[2].removesuffix(_LOCAL)


def local_tag(tag: str) -> str:
    """Return the tag of what this machine made of a pinned image: the same with bytecode on top."""
    return f"{tag}{_LOCAL}"
