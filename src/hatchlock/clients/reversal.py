"""What our edits of an application's file put aside, and putting it back. Pure.

No copy of a file is kept, only the ranges in which it differed before and after an edit, and those hold nothing of other
entries. To put something back, the ranges are looked for in the file as it is by now, the old text is put there, and then the
edit is made once more: only if that gives exactly the present bytes is it what stood there. Where the file has changed too
much for that, the entry's value is put back, in the form in which we write one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from hatchlock.clients.dialect import Dialect
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.kept_text import KeptText, is_suspect
from hatchlock.clients.put_aside import First, Hunk, Place, Taken
from hatchlock.clients.ranges import apart, around, between, differences, trimmed
from hatchlock.clients.spelling import spelled
from hatchlock.digest import sha256_bytes

__all__ = ["How", "PutBack", "kept", "made_place", "put_back", "without_place"]

How = Literal["exact", "value", "later", "taken", "no-entry", "no-secret"]
"""Put back byte for byte; only its value, in our form; not yet, since another entry of ours has its name; or not at all, since
there is an entry of that name again, since it was none that can be written anew, or since a secret of it is not kept any more."""

_EMPTY = re.compile(r"[{\[](\s*)[}\]]")
_TRIAL = "hatchlock"
_NEAR = 16
_MOST_PLACES = 64
"""At which the ranges are looked for: each costs a look at the whole file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PutBack:
    """A file into which something was put back.

    Attributes:
        data: Its bytes.
        how: How the entry was put back.
    """

    data: bytes
    how: How


def kept(
    before: bytes,
    after: bytes,
    name: str,
    *,
    by: str,
    is_replaced: bool,
    dialect: Dialect,
    secrets: Mapping[str, str],
) -> Taken | None:
    """Return what is to be kept of an entry that an edit takes out of a file; None if a secret would have to be kept with it.

    Args:
        before: The file with the entry.
        after: The file after the edit.
        name: The entry's name.
        by: The name of our entry that stands for it.
        is_replaced: Whether that one is where it stood.
        dialect: The form of the file.
        secrets: Name in the store of secrets -> value, of what was a secret in it.
    """
    entries = dialect.read(before)
    value = entries[name].value
    text = KeptText.of_json(value, secrets)
    shown = json.loads(text.shown)
    if is_suspect(text.shown, shown):
        return None
    old, new = before.decode(), after.decode()
    spans = {other: _characters(before, entry.span) for other, entry in entries.items() if other != name}
    hidden = [(begin, end) for value in secrets.values() if value for begin, end, _ in spelled(value, old)]
    ranges = [apart(found, old, list(spans.values())) for found in differences(old, new)]
    if None in ranges:  # a line has entries of others between what has changed in it
        ranges = list(between(old, new, _common(spans, after, dialect)))
    ranges = [around(found, old, hidden) for found in ranges]
    hunks = tuple(
        Hunk(at=found.at, new=found.new, old=KeptText.of(old[found.begin : found.end], secrets))
        for found in ranges
        if found is not None
    )
    taken = Taken(name=name, by=by, is_replaced=is_replaced, value=text)
    if any(hunk.old.holds_part_of(secrets) for hunk in hunks):
        return taken
    if any(is_suspect(hunk.old.shown, shown) for hunk in hunks):
        return None
    first = ranges[0] if ranges else None
    if first is None or len(hunks) != len(ranges):
        return taken
    gaps = {other: first.begin - stop for other, (_, stop) in spans.items() if stop <= first.begin}
    nearest = min(gaps, key=lambda other: gaps[other], default=None)
    neighbour = None if nearest is None else (nearest, gaps[nearest])
    return replace(taken, hunks=hunks, neighbour=neighbour, size=len(new), beside=_beside(new, hunks[0]))


def put_back(
    data: bytes, taken: Taken, ours: str | None, first: First, *, dialect: Dialect, secrets: Mapping[str, str]
) -> PutBack:
    """Return the file with an entry put back.

    Args:
        data: The file.
        taken: The entry.
        ours: The name of our entry where it stands in the entry's place, and goes; None if it is not there.
        first: Our entry as it was when it took that place.
        dialect: The form of the file.
        secrets: Name in the store of secrets -> value.

    Raises:
        KeyError: A secret that it takes is not among these.
        Unparsable: The file is not understood.
    """
    value = json.loads(taken.value.whole(secrets))
    entries = dialect.read(data)
    if taken.name != ours and taken.name in entries:
        is_same = entries[taken.name].value == value
        rest = data if ours is None else dialect.remove(data, ours)
        return PutBack(data=rest, how="exact" if is_same else "taken")
    as_first = data if ours is None else _as_first(data, ours, first, dialect)

    def again(candidate: bytes) -> bytes:
        if not taken.is_replaced:
            return dialect.remove(candidate, taken.name)
        if first.name == taken.name:
            return dialect.set(candidate, first.name, first.value)
        return dialect.rename(candidate, taken.name, first.name, first.value)

    if taken.is_replaced == (ours is not None) and as_first is not None:
        wanted = {name: entry.value for name, entry in dialect.read(as_first).items() if name != first.name or not ours}
        for candidate in _candidates(as_first, taken.hunks, _shifts(as_first, taken, dialect), secrets):
            if _means(candidate, {**wanted, taken.name: value}, dialect) and _tried(again, candidate) == as_first:
                return PutBack(data=candidate, how="exact")
    if not isinstance(value, Mapping):  # it was no entry that anything could start
        return PutBack(data=data if ours is None else dialect.remove(data, ours), how="no-entry")
    if ours is None or ours == taken.name:
        return PutBack(data=dialect.set(data, taken.name, value), how="value")
    return PutBack(data=dialect.rename(data, ours, taken.name, value), how="value")


def made_place(
    before: bytes | None, after: bytes, name: str, *, dialect: Dialect, directories: tuple[str, ...] = ()
) -> Place | None:
    """Return what the first entry made of a file besides itself; None if nothing, or it cannot be told.

    Args:
        before: The file without it; None for no file.
        after: The file with it.
        name: Its name.
        dialect: The form of the file.
        directories: Those that are made for the file.
    """
    emptied = dialect.remove(after, name)
    if before is None:
        return Place(hunk=Hunk(at=0, new=emptied.decode()), is_new=True, directories=directories)
    if emptied == before:
        return _blank_place(before, after)
    old, ranges = before.decode(), differences(before.decode(), emptied.decode())
    if len(ranges) != 1 or is_suspect(stood := old[ranges[0].begin : ranges[0].end]):
        return None
    return Place(hunk=Hunk(at=ranges[0].at, new=ranges[0].new, old=KeptText.of(stood, {})))


def without_place(data: bytes, place: Place, *, dialect: Dialect) -> bytes | None:
    """Return a file that has no entries without what our first entry made of it; None if there is to be no file any more.

    What somebody has changed since then stays as it is.

    Args:
        data: The file.
        place: What was made of it.
        dialect: The form of the file.

    Raises:
        Unparsable: The file is not understood.
    """
    text, left = data.decode(), _as_left(place.hunk.new)
    if place.is_new:
        return None if left.fullmatch(text) else data
    if dialect.read(data):
        return data
    if place.is_blank:
        return _as_blank(data, place.hunk.old.shown, dialect)

    def again(candidate: bytes) -> bytes:
        return dialect.remove(dialect.set(candidate, _TRIAL, {"command": _TRIAL}), _TRIAL)

    def is_it(candidate: bytes) -> bool:
        made = _tried(again, candidate)
        return made is not None and (made == data or (made != candidate and _tried(again, data) == data))

    hunk = place.hunk
    hunks = [hunk, *(replace(hunk, at=found.start(), new=found[0]) for found in left.finditer(text) if found[0])]
    candidates = (item for moved in hunks[:_MOST_PLACES] for item in _candidates(data, (moved,), [(0,)], {}))
    return next((item for item in candidates if _means(item, {}, dialect) and is_it(item)), data)


def _blank_place(before: bytes, after: bytes) -> Place | None:
    old, (start, _, _) = before.decode(), trimmed(before.decode(), after.decode())
    for found in _EMPTY.finditer(old):
        if found.start(1) <= start <= found.end(1) and found[1]:
            return Place(hunk=Hunk(at=found.start(1), new="", old=KeptText((found[1],))), is_blank=True)
    return None


def _as_blank(data: bytes, blank: str, dialect: Dialect) -> bytes:
    """Return the file with the blanks in the place for entries that were there."""
    text = data.decode()
    for found in islice(_EMPTY.finditer(text), _MOST_PLACES):
        candidate = text[: found.start(1)] + blank + text[found.end(1) :]
        filled = _tried(lambda old: dialect.set(old, _TRIAL, {"command": _TRIAL}), candidate.encode())
        if filled is not None:
            at = trimmed(candidate, filled.decode())[0]
            if found.start(1) <= at <= found.start(1) + len(blank) and _means(candidate.encode(), {}, dialect):
                return candidate.encode()
    return data


def _as_left(new: str) -> re.Pattern[str]:
    """Return what finds a place for entries again: several that came and went may have left a blank in it."""
    parts = re.split(r"(\{\}|\[\])", new)
    return re.compile(
        "".join(rf"\{part[0]}\s*\{part[1]}" if part in {"{}", "[]"} else re.escape(part) for part in parts)
    )


def _as_first(data: bytes, ours: str, first: First, dialect: Dialect) -> bytes | None:
    """Return the file in which our entry is what it was first; None if its name is somebody else's by now."""
    if ours == first.name:
        return dialect.set(data, ours, first.value)
    return None if first.name in dialect.read(data) else dialect.rename(data, ours, first.name, first.value)


def _means(candidate: bytes, wanted: Mapping[str, Any], dialect: Dialect) -> bool:
    try:
        return {name: entry.value for name, entry in dialect.read(candidate).items()} == dict(wanted)
    except Unparsable:
        return False


def _tried(edit: Callable[[bytes], bytes], data: bytes) -> bytes | None:
    try:
        return edit(data)
    except Unparsable:  # a layout that the edits do not know
        return None


def _candidates(
    data: bytes, hunks: tuple[Hunk, ...], shifts: Iterable[tuple[int, ...]], secrets: Mapping[str, str]
) -> Iterator[bytes]:
    """Yield the file with the old text of the ranges, for each way in which they may have moved."""
    text = data.decode()
    for moved in islice(dict.fromkeys(shifts), _MOST_PLACES) if hunks else ():
        places = [(hunk.at + shift, hunk) for hunk, shift in zip(hunks, moved, strict=True)]
        if all(0 <= at <= len(text) and text.startswith(hunk.new, at) for at, hunk in places):
            candidate = text
            for at, hunk in reversed(places):
                candidate = candidate[:at] + hunk.old.whole(secrets) + candidate[at + len(hunk.new) :]
            yield candidate.encode()


def _shifts(data: bytes, taken: Taken, dialect: Dialect) -> Iterator[tuple[int, ...]]:
    """Yield by how much each of its ranges may have moved, the likeliest first."""
    text, hunks = data.decode(), taken.hunks
    if not hunks:
        return
    longest = max(hunks, key=lambda hunk: len(hunk.new))
    ways = [0, *(found - longest.at for found in _occurrences(text, longest.new))]
    if taken.neighbour and (entry := dialect.read(data).get(taken.neighbour[0])):
        ways.insert(1, _characters(data, entry.span)[1] + taken.neighbour[1] - hunks[0].at)
    grown = len(text) - taken.size
    ways = [*ways[:2], grown, *ways[2:]]
    ways.sort(key=lambda way: _beside(text, hunks[0], way) != taken.beside)
    for way in dict.fromkeys(ways):
        yield (way,) * len(hunks)
        # somebody may have added something between two of them
        yield from ((way,) * count + (grown,) * (len(hunks) - count) for count in range(1, len(hunks)))


def _common(
    spans: Mapping[str, tuple[int, int]], after: bytes, dialect: Dialect
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return where the entries are that an edit leaves, before and after it; those that changed their order are none."""
    entries = dialect.read(after)
    found = [(span, _characters(after, entries[name].span)) for name, span in spans.items() if name in entries]
    in_order: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for one, other in sorted(found):
        if not in_order or (in_order[-1][0][1] <= one[0] and in_order[-1][1][1] <= other[0]):
            in_order.append((one, other))
    return in_order


def _beside(text: str, hunk: Hunk, shift: int = 0) -> str:
    """Return the digits for what stands beside a hunk, where it has moved by so much."""
    begin, end = hunk.at + shift, hunk.at + shift + len(hunk.new)
    parts = (text[max(0, begin - _NEAR) : max(0, begin)], text[max(0, end) : max(0, end + _NEAR)])
    return "".join(sha256_bytes(part.encode())[:2] for part in parts)


def _occurrences(text: str, part: str) -> Iterator[int]:
    at = text.find(part) if part else -1
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _characters(data: bytes, span: tuple[int, int]) -> tuple[int, int]:
    if data.isascii():
        return span
    start = len(data[: span[0]].decode())
    return start, start + len(data[slice(*span)].decode())
