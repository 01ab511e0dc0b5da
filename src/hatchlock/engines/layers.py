"""Layers that an engine's images consist of, and what is freed when some of them go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hatchlock.engines.api import Engine

__all__ = ["Stack", "freed_by", "layer_sizes", "stacks_of_all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """An image as an engine stores it.

    Attributes:
        id: The engine's id of it.
        tags: How many names it has.
        layers: Diff ids, lowest first.
    """

    id: str
    tags: int
    layers: tuple[str, ...]


def stacks_of_all(engine: Engine) -> tuple[Stack, ...]:
    """Return all images of an engine, whoever made them. One request, and one for each.

    Raises:
        EngineError: The engine refuses.
        EngineUnreachable: It does not answer.
    """
    found = []
    for item in engine.ask("GET", "/images/json"):
        about = engine.ask("GET", f"/images/{item['Id']}/json")
        layers = tuple((about.get("RootFS") or {}).get("Layers") or ())
        found.append(Stack(id=item["Id"], tags=len(item.get("RepoTags") or ()), layers=layers))
    return tuple(found)


def layer_sizes(engine: Engine, image: str, number: int) -> tuple[int, ...]:
    """Return the bytes of an image's layers, lowest first, as far as its history tells them.

    Args:
        engine: The engine.
        image: Its id.
        number: How many layers it has.

    Raises:
        EngineError, EngineUnreachable: As `stacks_of_all`.
    """
    sizes = [int(item.get("Size") or 0) for item in reversed(engine.ask("GET", f"/images/{image}/history") or ())]
    if len(sizes) > number:  # what only changed the config is among them, and has no bytes
        sizes = [size for size in sizes if size]
    # a layer without bytes may have been left out with those, and has none in whichever place it stands
    return tuple([*sizes, *[0] * number][:number])


def freed_by(going: Sequence[tuple[Sequence[str], Sequence[int]]], staying: Iterable[Sequence[str]]) -> list[int]:
    """Return what each image frees that goes, one after the other: the bytes of layers that no other one has by then. Pure.

    A layer is another one above other layers, so what images share is the lower part of their stacks.

    Args:
        going: Layers and their bytes, of each, lowest first.
        staying: The layers of every image that stays.
    """
    held = {tuple(stack[: end + 1]) for stack in staying for end in range(len(stack))}
    left = [{tuple(stack[: end + 1]) for end in range(len(stack))} for stack, _ in going]
    freed = []
    for number, (stack, sizes) in enumerate(going):
        needed = held.union(*left[number + 1 :])
        freed.append(sum(size for end, size in enumerate(sizes) if tuple(stack[: end + 1]) not in needed))
    return freed
