"""What our edits of one application's file put aside, kept until the entries that did so go again.

STORE/originals/KEY.json, one for each file, whoever's projects write into it: it is read and written under the file's own
lock (`writer.lock_path`), before the file is written where something is put aside, and behind it where it is put back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from hatchlock.clients.kept_text import KeptText
from hatchlock.clients.put_aside import First, Hunk, Place, Taken
from hatchlock.state.documents import BadState
from hatchlock.state.originals import forget_original, read_original, write_original

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NO_ORIGINALS", "Originals", "read_originals", "write_originals"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Originals:
    """What was put aside.

    Attributes:
        place: What the first entry of ours made of the file besides itself.
        firsts: Our entries that stand where others stood, as they were then, by the names that they have now.
        taken: Entries of others, in the order in which they were taken out.
    """

    place: Place | None = None
    firsts: Mapping[str, First] = field(default_factory=dict)
    taken: tuple[Taken, ...] = ()

    def of(self, name: str) -> tuple[Taken, ...]:
        """Return the entries for which ours of that name stands, the last one that was taken out first."""
        return tuple(taken for taken in reversed(self.taken) if taken.by == name)

    def with_taken(self, taken: Taken, first: First | None) -> Originals:
        """Return it with one more; of those that one of ours replaced, the last one is what stood there."""
        others = tuple(
            item for item in self.taken if not (item.by == taken.by and item.is_replaced and taken.is_replaced)
        )
        firsts = {**self.firsts, taken.by: first} if first else self.firsts
        return replace(self, firsts=firsts, taken=(*others, taken))

    def renamed(self, old: str, new: str) -> Originals:
        """Return it after an entry of ours got another name."""
        firsts = {new if name == old else name: first for name, first in self.firsts.items()}
        taken = tuple(replace(item, by=new) if item.by == old else item for item in self.taken)
        return replace(self, firsts=firsts, taken=taken)

    def without(self, name: str) -> Originals:
        """Return it without what an entry of ours that goes stands for."""
        firsts = {other: first for other, first in self.firsts.items() if other != name}
        return replace(self, firsts=firsts, taken=tuple(item for item in self.taken if item.by != name))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        place = self.place
        return {
            "place": place
            and {
                **_of_hunk(place.hunk),
                "is_blank": place.is_blank,
                "is_new": place.is_new,
                "directories": list(place.directories),
            },
            # as text, since the order of an entry's members is part of what was written
            "firsts": {
                name: {"name": first.name, "value": json.dumps(first.value)} for name, first in self.firsts.items()
            },
            "taken": [_of_taken(item) for item in self.taken],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is something else.
        """
        place = data["place"]
        return cls(
            place=place
            and Place(
                hunk=_hunk(place),
                is_blank=bool(place["is_blank"]),
                is_new=bool(place["is_new"]),
                directories=tuple(place["directories"]),
            ),
            firsts={
                name: First(name=str(item["name"]), value=dict(json.loads(item["value"])))
                for name, item in data["firsts"].items()
            },
            taken=tuple(map(_taken, data["taken"])),
        )


NO_ORIGINALS = Originals()


def read_originals(path: Path) -> Originals:
    """Return what was put aside in a file; nothing where nothing was.

    Args:
        path: `state.originals.original_path` of the file.

    Raises:
        BadState: It is damaged.
        NewerState: A newer version wrote it.
    """
    document = read_original(path)
    if document is None:
        return NO_ORIGINALS
    try:
        return Originals.from_dict(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadState(path=str(path), why="it is not what was written") from error


def write_originals(path: Path, originals: Originals) -> None:
    """Keep what was put aside in a file, in place of what was kept before; nothing is kept of nothing."""
    if originals == NO_ORIGINALS:
        forget_original(path)
    else:
        write_original(path, originals.to_dict())


def _of_hunk(hunk: Hunk) -> dict[str, Any]:
    return {"at": hunk.at, "new": hunk.new, "old": hunk.old.to_list()}


def _hunk(data: Mapping[str, Any]) -> Hunk:
    return Hunk(at=int(data["at"]), new=str(data["new"]), old=KeptText.from_list(data["old"]))


def _of_taken(taken: Taken) -> dict[str, Any]:
    return {
        "name": taken.name,
        "by": taken.by,
        "is_replaced": taken.is_replaced,
        "value": taken.value.to_list(),
        "hunks": [_of_hunk(hunk) for hunk in taken.hunks],
        "neighbour": taken.neighbour and list(taken.neighbour),
        "size": taken.size,
        "beside": taken.beside,
    }


def _taken(data: Mapping[str, Any]) -> Taken:
    neighbour = data["neighbour"]
    return Taken(
        name=str(data["name"]),
        by=str(data["by"]),
        is_replaced=bool(data["is_replaced"]),
        value=KeptText.from_list(data["value"]),
        hunks=tuple(map(_hunk, data["hunks"])),
        neighbour=neighbour and (str(neighbour[0]), int(neighbour[1])),
        size=int(data["size"]),
        beside=str(data["beside"]),
    )
