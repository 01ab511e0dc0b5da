"""What clients were shown of a server, against its pins: `projects/NAME/surfaces/SERVER.json`.

`run` writes it when it changes, several of them at once perhaps: one after the other, and each replaces the file as a whole, so
that a listing that matches never hides one that differed. It belongs to one launch record, and begins anew with another, so
pinning anew forgets what differed before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from hatchlock.digest import canonical_json
from hatchlock.files import alone_in, atomic_write, private_directory, read_optional

__all__ = ["Difference", "SurfaceSeen", "forget_surface", "read_surface", "remember_surface", "surface_path"]

_FORMAT = 1
_MOST = 50
_LONGEST = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What of a surface was not as it was pinned.

    Names are a stranger's text (`surface.shown`): `tool NAME`, `prompt NAME`, `instructions`, `message` for an answer that
    clients read in different ways.

    Attributes:
        added: What was not pinned.
        removed: What was pinned and is not there any more.
        changed: Whose definition is another one.
        unhashable: What has no hash, so that it cannot be compared: a member name is repeated, say.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unhashable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed or self.unhashable)

    def __or__(self, other: Difference) -> Difference:
        """Return what is in either, each once, in order."""
        return Difference.joined((self, other))

    @classmethod
    def joined(cls, parts: Iterable[Difference]) -> Difference:
        """Return what is in any of them, each once, in order; in time that grows with what is in them."""
        found = tuple(parts)
        names = (item.name for item in fields(cls))
        return cls(**{name: _once(label for part in found for label in getattr(part, name)) for name in names})

    @property
    def cut(self) -> Difference:
        """As much of it as is worth keeping: of each sort 50 at most, each cut after 200 characters."""
        sorts = {item.name: getattr(self, item.name)[:_MOST] for item in fields(self)}
        return Difference(**{sort: _once(name[:_LONGEST] for name in names) for sort, names in sorts.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceSeen:
    """What is known of a server's surface under one launch record.

    Attributes:
        launch: The launch record's digest.
        at: When it was last seen to change, in UTC: `2026-11-27T21:03:55Z`.
        matches: Whether all of the last whole listing was as pinned.
        differed: The last difference, also where a later listing matched again; None for none.
        differed_at: When that was; "" for never.
    """

    launch: str
    at: str
    matches: bool
    differed: Difference | None = None
    differed_at: str = ""


def surface_path(state: Path, server: str) -> Path:
    """Return the file of a server in a project's state."""
    return state / "surfaces" / f"{server}.json"


def read_surface(path: Path, launch: str) -> SurfaceSeen | None:
    """Return what is known of a launch record's surface; None for nothing, or where the file is not readable as one.

    Args:
        path: `surface_path`.
        launch: The launch record's digest, as it was applied.
    """
    try:
        document = json.loads(read_optional(path) or b"null")
        if document["format_version"] != _FORMAT or document["launch"] != launch:
            return None
        differed = document["differed"]
        return SurfaceSeen(
            launch=launch,
            at=str(document["at"]),
            matches=document["matches"] is True,
            differed=None if differed is None else _difference(differed),
            differed_at=str(document["differed_at"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def remember_surface(path: Path, launch: str, difference: Difference, *, now: str) -> None:
    """Write down what was seen, unless the file says so already.

    Args:
        path: `surface_path`.
        launch: The launch record's digest, as it was applied.
        difference: What differed, of which as much as is worth keeping; an empty one for a listing that matches.
        now: The time, in UTC.

    Raises:
        OSError, PermissionProblem: It cannot be written.
    """
    cut = difference.cut
    if _with(read_surface(path, launch), launch, cut, now) is None:
        return
    with alone_in(private_directory(path.parent)):
        seen = _with(read_surface(path, launch), launch, cut, now)
        if seen is not None:
            atomic_write(path, canonical_json({"format_version": _FORMAT, **asdict(seen)}), durable=False)


def _with(known: SurfaceSeen | None, launch: str, cut: Difference, now: str) -> SurfaceSeen | None:
    """Return what is known with what was seen; None where that says so already."""
    before = known or SurfaceSeen(launch=launch, at="", matches=False)
    seen = replace(before, matches=not cut, differed=cut or before.differed)
    return None if seen == known else replace(seen, at=now, differed_at=now if cut else before.differed_at)


def forget_surface(path: Path) -> None:
    """Forget what was seen: somebody has looked at it.

    Raises:
        OSError: It cannot be deleted.
    """
    path.unlink(missing_ok=True)


def _difference(document: Mapping[str, Any]) -> Difference:
    return Difference(**{name: tuple(map(str, items)) for name, items in document.items()})


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
