"""What `gc` and `destroy` find and take away, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Collected", "Garbage", "Item", "Kept", "Kind"]

Kind = Literal[
    "container",
    "session",
    "network",
    "generation",
    "image",
    "environment",
    "conda packages",
    "interpreter",
    "unfinished",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """Something that nobody uses.

    Attributes:
        kind: What it is.
        name: A container's or network's name, what a session has left, a generation's number, an image's tag, a tree or file below the store.
        size: Bytes that are free when it is gone; of an image those of the layers that nothing else has by then, if what
            stands before it in a list goes first. 0 for what is not worth measuring.
    """

    kind: Kind
    name: str
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Something that would go, and stays.

    Attributes:
        name: As an item's.
        why: The reason, one clause.
    """

    name: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbage:
    """What could go, in the order in which it goes, and what stays although no project needs it."""

    items: tuple[Item, ...]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What `collect_garbage` did: what is gone, and what stayed after all."""

    items: tuple[Item, ...]
    kept: tuple[Kept, ...]
