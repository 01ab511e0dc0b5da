"""What builds of users' Dockerfiles gave, by what went into them: `builds/KEY.json` in the store, the image in an engine.

Once somebody needs it elsewhere, what the build added lies among the store's blobs, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hatchlock.digest import hex_of
from hatchlock.realise.builds.kept import KEY, Rebuilt, after_another, keep, kept, kept_keys

__all__ = ["ImageRecord", "ImageRecords"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """What the build of a Dockerfile gave.

    Attributes:
        context: Digest of the snapshot that it was built from: whoever needs that needs the result.
        layers: Diff ids of all its layers, `sha256:…`, lowest first.
        config: Digest of its config (64 hex digits), once it was taken out of an engine; "" before.
        blobs: Digest -> bytes of its config, and of the layers that none of its bases has; empty before.
        rebuilt: What further builds said of it.
        elsewhere: Whether another machine built it.
    """

    context: str
    layers: tuple[str, ...]
    config: str = ""
    blobs: Mapping[str, int] = field(default_factory=dict)
    rebuilt: Rebuilt = ""
    elsewhere: bool = False

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

    @property
    def is_reproducible(self) -> bool:
        """Whether no further build gave something else."""
        return self.rebuilt != "differs"

    def is_kept(self, has: Callable[[str], bool]) -> bool:
        """Whether all that the build added is among a store's blobs."""
        return bool(self.config) and all(map(has, self.blobs))


class ImageRecords:
    """The records of a store, each replaced as a whole. Whoever builds holds the project's lease."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, key: str) -> ImageRecord | None:
        """Return what a build gave; None if it was never made, or its record is none."""
        return ImageRecord.read(kept(self._root, key))

    def each(self) -> Iterator[ImageRecord]:
        """Yield every record."""
        return (found for key in kept_keys(self._root) if (found := self.find(key)))

    def write(self, key: str, record: ImageRecord) -> None:
        """Keep a record.

        Raises:
            OSError: The disk is full, or the like.
        """
        keep(self._root, key, asdict(record))

    def note(self, key: str, record: ImageRecord) -> ImageRecord:
        """Keep what a build gave, compare it with what the same gave before, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        if before is not None:
            record = replace(record, rebuilt=after_another(before.rebuilt, is_same=before.layers == record.layers))
        self.write(key, record)
        return record

    def complete(self, key: str, found: ImageRecord) -> ImageRecord:
        """Keep what was found of a result when it was taken out of an engine, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        if before is None or before.layers != found.layers:
            return self.note(key, found)
        record = replace(before, config=found.config, blobs=found.blobs)
        self.write(key, record)
        return record

    def compare(self, key: str, layers: Sequence[str]) -> ImageRecord:
        """Compare what a further build gave with what is known, which stays, and return what is known now.

        Raises:
            OSError: The disk is full, or the like.
        """
        before = self.find(key)
        assert before is not None  # noqa: S101  the caller looked
        record = replace(before, rebuilt=after_another(before.rebuilt, is_same=before.layers == tuple(layers)))
        self.write(key, record)
        return record

    def take(self, key: str, theirs: ImageRecord, has: Callable[[str], bool]) -> None:
        """Take over what another machine built, unless the store has a result already: then that stays, and is compared.

        Args:
            key: Of everything that went in.
            theirs: What that machine says of it.
            has: Whether the store has a blob.

        Raises:
            OSError: The disk is full, or the like.
        """
        ours = self.find(key)
        differs = not theirs.is_reproducible or (ours is not None and ours.layers != theirs.layers)
        record = ours if ours and ours.is_kept(has) else replace(theirs, elsewhere=True)
        record = replace(record, rebuilt="differs" if differs else record.rebuilt)
        if record != ours:
            self.write(key, record)
