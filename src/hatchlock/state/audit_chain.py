"""The audit log as a chain: each entry has the hash of what stands before it, so that an edit or a removal is seen.

Hashed are the bytes of the entry before, and of what stands between: lines that are no entries, since a disk was full. Empty
lines do not count. Whoever may write the log can write the whole chain anew: what `Chain.last` said before, and was kept
elsewhere, tells that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hatchlock.digest import sha256_bytes

__all__ = [
    "CROSSED",
    "DROPPED",
    "PREVIOUS",
    "Break",
    "Chain",
    "Place",
    "check_chain",
    "end_of",
    "link_of",
    "linked",
    "parse_entry",
]

PREVIOUS = "previous"
"""The member of an entry that has the hash; "" where the chain begins, none in entries of before there were chains."""
DROPPED = "audit.dropped"
CROSSED = "audit.crossed"
"""What tells of `entries` (their hashes) that others came before them while they were written, which did not wait."""
_FIRST = 1 << 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A line of the log.

    Attributes:
        file: The file's name.
        line: Its number in there, from 1.
        time: When the entry was written, as it says; "" for a line that is none.
    """

    file: str
    line: int
    time: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}{f' ({self.time})' if self.time else ''}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Break:
    """An entry before which something else stands than when it was written.

    Attributes:
        place: The entry.
        kind: "changed": what stands before it was edited, or something was removed from there; "inserted": something was put
            before it; "missing": the files before it are gone, and no entry tells that they were dropped.
        missing: Names of files that are not there.
    """

    place: Place
    kind: Literal["changed", "inserted", "missing"]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """What the chain says of the log.

    Attributes:
        entries: How many there are.
        older: How many of them, the first ones, are of before there were chains: nothing tells whether these were changed,
            but for the last.
        unlinked: Entries without a hash behind others that have one: of an earlier version that still ran, or put there.
        anew: Entries behind which the chain begins anew: another process did not let go of the log.
        torn: Lines that are no entries, and were none when the next one was written: a disk was full, or the machine went off.
        dropped: How many entries went with full files, as those tell that are there.
        breaks: Where it is broken, the first place first.
        last: The hash of the end: what the next entry will have. "" for an empty log.
        links: All hashes that entries have, and the last.
    """

    entries: int
    older: int
    unlinked: tuple[Place, ...]
    anew: tuple[Place, ...]
    torn: tuple[Place, ...]
    dropped: int
    breaks: tuple[Break, ...]
    last: str
    links: frozenset[str]


def parse_entry(line: bytes) -> dict[str, Any] | None:
    """Return the entry that a line is; None if it is none."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("event"), str) else None


def link_of(lines: Sequence[bytes]) -> str:
    """Return the hash of the lines from the last entry on; "" for none."""
    return sha256_bytes(b"\n".join(lines)) if lines else ""


def linked(body: bytes, previous: str) -> bytes:
    """Return the line of an entry, from its JSON object and the hash of what stands before it."""
    return b'%s,"%s":"%s"}\n' % (body[:-1], PREVIOUS.encode(), previous.encode())


def end_of(files: Iterable[int]) -> tuple[bytes, ...]:
    """Return the lines from the last entry on.

    Args:
        files: Descriptors of the log's files, the newest first; no more of them are asked for than are needed.
    """
    found: list[bytes] = []
    for file in files:
        lines = _end(lambda size, at, file=file: os.pread(file, size, at), os.fstat(file).st_size)  # type: ignore[misc]
        found = [*lines, *found]
        if lines and parse_entry(lines[0]):
            break
    return tuple(found)


def _end(read: Callable[[int, int], bytes], size: int) -> list[bytes]:
    """Return a file's lines from its last entry on; all of them if there is none."""
    data, start, step = b"", size, _FIRST
    while True:
        step, begin = step * 2, max(start - step, 0)
        data, start = read(start - begin, begin) + data, begin
        lines = [*filter(None, (data if not start else data.partition(b"\n")[2]).split(b"\n"))]
        for number in range(len(lines) - 1, -1, -1):
            if parse_entry(lines[number]):
                return lines[number:]
        if not start:
            return lines


def check_chain(files: Sequence[tuple[str, bytes]]) -> Chain:
    """Compare each entry's hash with what stands before it.

    Args:
        files: The names and bytes of the log's files, the oldest first, of one moment.
    """
    walk = _Walk()
    for place, line in _lines(files):
        walk.take(place, line)
    return walk.end([name for name, _ in files])


def _lines(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[Place, bytes]]:
    for name, data in files:
        for number, line in enumerate(data.split(b"\n"), 1):
            if line:
                yield Place(file=name, line=number), line


class _Walk:
    """From the first line to the last one."""

    def __init__(self) -> None:
        self._behind: list[bytes] = []  # from the last entry on
        self._entries = self._older = self._dropped = 0
        self._is_linked = False
        self._first: Break | None = None
        self._beginning = ""
        self._told: set[str] = set()
        self._links: set[str] = set()
        self._unlinked: list[Place] = []
        self._anew: list[Place] = []
        self._torn: list[Place] = []
        self._breaks: list[tuple[Break, str]] = []  # with the hash of the entry
        self._crossed: set[str] = set()

    def take(self, place: Place, line: bytes) -> None:
        """Take the next line."""
        entry = parse_entry(line)
        if entry is None:
            if len(self._behind) == 1:
                self._links.add(link_of(self._behind))  # what comes next may follow this, and the line have been put in
            self._torn.append(place)
            self._behind.append(line)
            return
        place = Place(file=place.file, line=place.line, time=str(entry.get("time", "")))
        here = link_of(self._behind)
        self._links.add(here)
        self._follow(place, entry.get(PREVIOUS), here, link_of([line]))
        if entry["event"] == CROSSED and entry.get(PREVIOUS) == here:
            told = entry.get("entries")
            self._crossed.update(filter(lambda it: isinstance(it, str), told if isinstance(told, list) else ()))
        if entry["event"] == DROPPED:
            self._dropped += entry["entries"] if isinstance(entry.get("entries"), int) else 0
            self._told.add(str(entry.get("last", "")))
        self._behind = [line]
        self._entries += 1

    def _follow(self, place: Place, said: object, here: str, own: str) -> None:
        if not isinstance(said, str):
            if self._is_linked:
                self._unlinked.append(place)
            else:
                self._older += 1
            return
        self._is_linked = True
        if said == here:
            return
        if not self._entries:
            self._beginning, self._first = said, Break(place=place, kind="missing")
            self._links.add(said)
        elif not said:
            self._anew.append(place)
        else:
            self._breaks.append((Break(place=place, kind="inserted" if said in self._links else "changed"), own))

    def end(self, names: Sequence[str]) -> Chain:
        """Return what was found."""
        last = link_of(self._behind)
        self._links.add(last)
        # told to be dropped, also where a kill came before they were deleted
        told = self._told - {""}
        missing = [self._first] if self._first and self._beginning not in told and not told & self._links else []
        gaps = _gaps(names)
        # only what follows an entry that its writer has seen, and that is held by what follows that one, takes a break away
        broken = [item for item, own in self._breaks if item.kind != "inserted" or own not in self._crossed]
        breaks = [_with_gap(item, gaps) for item in (*missing, *broken)]
        return Chain(
            entries=self._entries,
            older=self._older,
            unlinked=tuple(self._unlinked),
            anew=tuple(self._anew),
            torn=tuple(self._torn),
            dropped=self._dropped,
            breaks=tuple(breaks),
            last=last,
            links=frozenset(self._links - {""}),
        )


def _gaps(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, by a file's name, the names of those that should stand right before it and are not there."""
    found, before = {}, 0
    for name in names:
        number = name.split(".")[1]
        if not number.isdigit():
            continue  # the one that is written has no number
        if before and int(number) > before + 1:
            found[name] = tuple(f"audit.{item}.ndjson" for item in range(before + 1, int(number)))
        before = int(number)
    return found


def _with_gap(item: Break, gaps: dict[str, tuple[str, ...]]) -> Break:
    if item.place.line != 1 or item.place.file not in gaps:
        return item
    return Break(place=item.place, kind="missing", missing=gaps[item.place.file])
