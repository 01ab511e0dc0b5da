"""How much of an image an engine has taken is told, and nothing of the image is changed by that."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hatchlock.address import Address
from hatchlock.events import Event, is_progress
from hatchlock.resources import image_loading
from hatchlock.resources.image_loading import TellingLoader


class Taker:
    def __init__(self) -> None:
        self.taken = b""

    def takes_thin_archives(self) -> bool:
        return True

    def load(self, archive: Iterable[bytes], *, tag: str) -> None:
        self.taken += tag.encode() + b"".join(archive)

    def image_layers(self, tag: str) -> tuple[str, ...]:
        return (tag,)

    def untag(self, tag: str) -> None:
        self.taken = tag.encode()


def test_bytes_are_told_as_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_loading, "_INTERVAL", 0.0)
    events: list[Event] = []
    engine = Taker()
    loader = TellingLoader(engine=engine, address=Address.parse("image:a"), emit=events.append)
    loader.load([b"12", b"345"], tag="t:")
    assert engine.taken == b"t:12345"
    assert [(event.address, event.data["bytes"]) for event in events] == [("image:a", 2), ("image:a", 5)]
    assert all(map(is_progress, events))
    assert (loader.takes_thin_archives(), loader.image_layers("x")) == (True, ("x",))
    loader.untag("gone")
    assert engine.taken == b"gone"


def test_four_times_a_second_is_enough() -> None:
    events: list[Event] = []
    TellingLoader(engine=Taker(), address=Address.parse("image:a"), emit=events.append).load([b"x"] * 1000, tag="t")
    assert len(events) <= 4
