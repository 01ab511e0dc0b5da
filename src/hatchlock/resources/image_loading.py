"""An engine that takes images, and tells how much it has taken."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hatchlock.address import Address
from hatchlock.events import STEP_PROGRESS, Event, Sink
from hatchlock.images.assemble import Loader

__all__ = ["TellingLoader"]

_INTERVAL = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class TellingLoader:
    """A loader that tells of the bytes that it is given; see `images.assemble.Loader`.

    Attributes:
        engine: Where they go.
        address: The image.
        emit: Told at most four times a second.
    """

    engine: Loader
    address: Address
    emit: Sink

    def takes_thin_archives(self) -> bool:
        """Return what the engine does."""
        return self.engine.takes_thin_archives()

    def load(self, archive: Iterable[bytes], *, tag: str) -> None:
        """Load a docker-archive, and tell of it.

        Raises:
            NotLoaded: The engine refuses it.
        """
        self.engine.load(self._told(archive), tag=tag)

    def image_layers(self, tag: str) -> tuple[str, ...]:
        """Return what the engine does."""
        return self.engine.image_layers(tag)

    def untag(self, tag: str) -> None:
        """Take a name away."""
        self.engine.untag(tag)

    def _told(self, archive: Iterable[bytes]) -> Iterator[bytes]:
        done, told = 0, time.monotonic()
        for piece in archive:
            yield piece
            done += len(piece)
            if time.monotonic() - told >= _INTERVAL:
                told = time.monotonic()
                self.emit(Event(name=STEP_PROGRESS, address=str(self.address), data={"bytes": done}))
