"""What was fetched, kept for a while in files that may be deleted at any time."""

from __future__ import annotations

import hashlib
import json
import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hatchlock.events import Event
from hatchlock.files import atomic_write, private_directory, read_optional

__all__ = ["Cache", "Entry", "stale_event"]

_FORMAT = 1
_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Something kept.

    Attributes:
        body: Its bytes, in whatever form the user of the cache chose.
        fetched: When it was fetched or confirmed by its server, seconds since the epoch.
        validators: `etag` and `last-modified` as the server gave them, to ask whether it changed.
    """

    body: bytes
    fetched: float
    validators: Mapping[str, str] = field(default_factory=dict)


class Cache:
    """Entries below one directory, by key. For threads and processes at once; the last writer wins.

    A file that is damaged, of another format or cannot be read is the same as none. Nothing is written but by `save`, so
    the age of an entry is that of the last fetch.

    Args:
        root: The directory; it is made when something is saved.
        clock: Seconds since the epoch.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self._clock = clock
        self._made: set[Path] = set()

    def load(self, key: str) -> Entry | None:
        """Return what was saved under `key`, of whatever age, or None."""
        data = read_optional(self._path(key))
        if data is None:
            return None
        head, newline, body = data.partition(b"\n")
        if not newline:
            return None
        try:
            facts = json.loads(head)
            if facts["format"] != _FORMAT or facts["key"] != key or facts["crc"] != zlib.crc32(body):
                return None
            return Entry(body=body, fetched=float(facts["fetched"]), validators=dict(facts["validators"]))
        except (ValueError, KeyError, TypeError):
            return None

    def save(self, key: str, body: bytes, *, validators: Mapping[str, str] | None = None) -> None:
        """Keep `body` under `key`, fetched now.

        Raises:
            PermissionProblem: The directory is not ours to write.
            OSError: The disk is full, or the like.
        """
        path = self._path(key)
        if path.parent not in self._made:
            private_directory(path.parent)
            self._made.add(path.parent)
        facts = {
            "format": _FORMAT,
            "key": key,
            "crc": zlib.crc32(body),
            "fetched": self._clock(),
            "validators": dict(validators or {}),
        }
        data = json.dumps(facts).encode() + b"\n" + body
        try:
            atomic_write(path, data, durable=False)
        except FileNotFoundError:  # the cache was cleared just now
            private_directory(path.parent)
            atomic_write(path, data, durable=False)

    def age(self, entry: Entry) -> float:
        """Return the seconds since `entry` was fetched; infinite if that lies in the future, as after a clock reset."""
        age = self._clock() - entry.fetched
        return age if age >= 0 else float("inf")

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()[:40]
        return self.root / name[:2] / name


def stale_event(source: str, ages: Mapping[str, float], *, is_asked: bool = True) -> Event:
    """Return the event that tells of answers which are older than they should be, and were used all the same.

    Args:
        source: Whose answers: `pypi`.
        ages: What was asked for -> seconds since it was fetched; at least one.
        is_asked: Whether it was tried to get newer ones; false where no network may be asked.
    """
    first, *others = sorted(ages)
    oldest = max(ages.values())
    which = f"what the cache has about {first}" + (f" and {len(others)} more" if others else "")
    why = "it could not be asked" if is_asked else "it was not asked"
    message = f"{why}: {which} is out of date, {_in_words(oldest)} old"
    data = {"answers": len(ages), **({"age": round(oldest)} if math.isfinite(oldest) else {})}
    return Event(name="cache.stale", address=source, message=message, data=data)


def _in_words(seconds: float) -> str:
    for unit, length in _UNITS:
        if math.isfinite(seconds) and seconds >= 2 * length:
            return f"{round(seconds / length)} {unit}s"
    return "nobody knows how" if not math.isfinite(seconds) else "a second"
