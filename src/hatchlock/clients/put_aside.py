"""What is kept of what our edits of an application's file took out of it: values (`reversal` makes and uses them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hatchlock.clients.kept_text import NOTHING, KeptText

__all__ = ["First", "Hunk", "Place", "Taken"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunk:
    """A range in which a file differed before and after an edit.

    Attributes:
        at: Where it begins in the file after the edit, in characters.
        new: What the edit left there.
        old: What stood there.
    """

    at: int
    new: str
    old: KeptText = NOTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """An entry of somebody else's that an edit of ours took out of a file.

    Attributes:
        name: Its name.
        by: The name of our entry that stands for it.
        is_replaced: Whether ours stands where it stood; else it was one of several of the same server, and was removed.
        value: The JSON of its value.
        hunks: Its text, in the file's order; none where it cannot be told from that of others.
        neighbour: The name of the entry that stood before it, and how many characters behind that one's end the first hunk
            begins.
        size: Of the file after the edit, in characters.
        beside: Two hexadecimal digits each for what stood right before and right behind the first hunk: enough to tell likely
            places from others, and to say nothing of what that was.
    """

    name: str
    by: str
    is_replaced: bool
    value: KeptText
    hunks: tuple[Hunk, ...] = ()
    neighbour: tuple[str, int] | None = None
    size: int = 0
    beside: str = ""

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that it takes to put it back."""
        return self.value.secrets.union(*(hunk.old.secrets for hunk in self.hunks))


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """Our entry as it was when it took another one's place.

    Attributes:
        name: Its name then.
        value: Its value then.
    """

    name: str
    value: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What the first entry of ours made of a file that had no place for entries, and leaves when it goes.

    Attributes:
        hunk: What it leaves.
        is_blank: Whether it was there and only blanks were in it, which are `hunk.old`.
        is_new: Whether there was no file.
        directories: Those that were made for it, the outermost first.
    """

    hunk: Hunk
    is_blank: bool = False
    is_new: bool = False
    directories: tuple[str, ...] = ()
