"""What builds of users' Dockerfiles gave, by what went into them: `builds/KEY.json` in the store, the image in an engine.

Once somebody needs it elsewhere, what the build added lies among the store's blobs, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hatchlock.digest import hex_of
from hatchlock.realise.builds.kept import KEY, Record, Records

__all__ = ["ImageRecord", "ImageRecords"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord(Record):
    """What the build of a Dockerfile gave.

    Attributes:
        context: Digest of the snapshot that it was built from: whoever needs that needs the result.
        layers: Diff ids of all its layers, `sha256:…`, lowest first.
        config: Digest of its config (64 hex digits), once it was taken out of an engine; "" before.
        blobs: Digest -> bytes of its config, and of the layers that none of its bases has; empty before.
    """

    context: str
    layers: tuple[str, ...]
    config: str = ""
    blobs: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, values: Mapping[str, Any] | None) -> ImageRecord | None:
        """Return the record that JSON values are; None if they are none."""
        try:
            found = cls(**{**(values or {}), "layers": tuple((values or {}).get("layers", ()))})
            sizes = dict(found.blobs)
            digests = [found.context, *(hex_of(layer) for layer in found.layers), *sizes]
            right = all(KEY.fullmatch(digest) for digest in digests) and all(isinstance(n, int) for n in sizes.values())
        except (TypeError, ValueError, AttributeError):
            return None
        return found if right and (found.config in sizes or not (found.config or sizes)) else None

    def is_same(self, other: ImageRecord) -> bool:
        """Whether another build gave the same."""
        return self.layers == other.layers

    def is_kept(self, has: Callable[[str], bool]) -> bool:
        """Whether all that the build added is among a store's blobs."""
        return bool(self.config) and all(map(has, self.blobs))


class ImageRecords(Records[ImageRecord]):
    """The records of a store. Whoever builds holds the project's lease."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, ImageRecord.read)

    def complete(self, key: str, found: ImageRecord) -> ImageRecord:
        """Keep what was found of a result when it was taken out of an engine, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        if before is None or not before.is_same(found):
            return self.note(key, found)
        record = replace(before, config=found.config, blobs=found.blobs)
        self.write(key, record)
        return record
