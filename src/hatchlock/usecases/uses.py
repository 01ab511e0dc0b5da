"""What launch records and generations use of the store's trees and of the engine's images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.files import read_optional
from hatchlock.launch import LaunchRecord
from hatchlock.paths import Home

if TYPE_CHECKING:
    from hatchlock.resources.target import Target
    from hatchlock.state.project import ProjectState

__all__ = ["TREES", "Uses", "active_uses", "generation_uses", "target_uses", "uses_to_dict"]

TREES = ("envs", "conda", "pythons")
"""Directories of the store that hold trees, each named by what is in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Uses:
    """What somebody needs to stay.

    Attributes:
        trees: Below the store: `envs/KEY`, `conda/KEY`, `pythons/KEY`.
        images: Tags.
        more: Nobody can say what else.
    """

    trees: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    more: bool = False

    def __or__(self, other: Uses) -> Uses:
        return Uses(trees=self.trees | other.trees, images=self.images | other.images, more=self.more or other.more)


def active_uses(state: ProjectState, home: Home) -> Uses:
    """Return what a project's active launch records use.

    Raises:
        BadState: One of them is not what we wrote, so nobody knows what it needs.
    """
    return _of_records(state, state.active().values(), home)


def generation_uses(state: ProjectState, number: int, home: Home) -> Uses:
    """Return what a generation uses: its launch records, and what it says of environments without a server.

    One that cannot be read may use whatever its target has, and any launch record; without that, anything at all.

    Raises:
        NewerState: A newer version wrote it.
    """
    from hatchlock.state.documents import BadState

    try:
        generation = state.generations.read(number)
    except BadState:
        return _unreadable_uses(state, number, home)
    if generation is None:
        return Uses()
    said = generation.uses
    own = Uses(trees=frozenset(said.get("trees", ())), images=frozenset(said.get("images", ())))
    # no apply mends an old record, and what is damaged starts nothing; what it needed is told besides
    whole = [digest for digest in generation.servers.values() if state.record(digest) is not None]
    return own | _of_records(state, whole, home)


def _unreadable_uses(state: ProjectState, number: int, home: Home) -> Uses:
    from hatchlock.usecases.kept_target import kept_target

    whole = [digest for digest in state.records() if state.record(digest) is not None]
    records = _of_records(state, whole, home)
    target = kept_target(state.generations, number)
    return records | (target_uses(target, home) if target is not None else Uses(more=True))


def target_uses(target: Target, home: Home) -> Uses:
    """Return what of the store and the engine a project has when nothing is left to apply."""
    directories = [
        place
        for spec in target.environments
        for place in (home.envs / spec.key, *([spec.conda.root] if spec.conda else ()), *spec.prefixes)
    ]
    own = [spec.tag(target.project) for spec in target.images]
    own += [spec.tag(target.project) for spec in target.dockerfiles]
    tags = [name for tag in own for name in _with_pinned(tag)]
    return Uses(trees=frozenset(_trees(directories, home)), images=frozenset(tags))


def uses_to_dict(uses: Uses) -> Mapping[str, Any]:
    """Return JSON values, as a generation keeps them."""
    return {"trees": sorted(uses.trees), "images": sorted(uses.images)}


def _of_records(state: ProjectState, digests: Iterable[str], home: Home) -> Uses:
    records = [record for digest in digests if (record := _record(state.record_path(digest)))]
    paths = [path for record in records for path in record.read_only_paths]
    used = (tag for record in records for tag in (record.image, record.relay.image if record.relay else "") if tag)
    images = frozenset(name for tag in used for name in _with_pinned(tag))
    return Uses(trees=frozenset(_trees(paths, home)), images=images)


def _with_pinned(image: str) -> Iterable[str]:
    """An image and that which it was made of, or the one that was made of it."""
    from hatchlock.images.key import local_tag

    pinned = image.removesuffix(local_tag(""))
    return pinned, local_tag(pinned)


def _record(path: Path) -> LaunchRecord | None:
    """A record that is gone starts nothing, and so needs nothing."""
    from hatchlock.state.project import BadState

    data = read_optional(path)
    try:
        return LaunchRecord.from_json(data) if data is not None else None
    except (ValueError, KeyError, TypeError) as error:
        raise BadState(path=str(path), why=str(error)) from error


def _trees(paths: Iterable[str | Path], home: Home) -> Iterator[str]:
    for path in map(Path, paths):
        if path.is_relative_to(home.root):
            parts = path.relative_to(home.root).parts[:2]
            if len(parts) > 1 and parts[0] in TREES:
                yield "/".join(parts)
