"""What goes on while a command works: one line at the foot of a terminal, or now and then a plain one where there is none."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from hatchlock.cli.layout import printable, size
from hatchlock.events import Event

__all__ = ["Progress", "shortened"]

_INTERVAL = 0.1
_NOTICED = 0.5
_LONG = 5.0
_CLEAR = "\r\x1b[K"
_WORDS = {
    "fetch.start": "fetching",
    "push.start": "pushing",
    "resolve.start": "resolving",
    "verify.start": "checking",
    "image.start": "assembling the image of",
    "build.start": "building",
    "gc.start": "cleaning",
    "audit.start": "looking at",
    "pin.start": "looking at",
    "probe.start": "asking",
}
"""What an event says to people that something begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Item:
    """Something that goes on.

    Attributes:
        words: What, for people.
        began: When, by the monotonic clock.
        part: How much of it is done, for people; "" when that is not known.
        has_end: Whether an event will say that it has ended; else the next words that are shown end it.
        is_told: Whether a plain line has told of it.
    """

    words: str
    began: float
    part: str = ""
    has_end: bool = False
    is_told: bool = False


class Progress:
    """Hears of events, from any thread, and shows what has been going on for more than half a second.

    Used as a context: nothing is shown after its end. Who prints something else does that in `aside`.

    Args:
        shown: Whether anything is shown at all; it is not where a program reads what we say.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._lock = threading.RLock()
        self._items: dict[tuple[str, str], _Item] = {}
        self._steps = 0
        self._ended = 0
        self._drawn = ""
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:
            self._items.clear()
            self._clear()

    def heard(self, event: Event) -> None:
        """Note what an event says of what goes on."""
        if not self._shown or self._over.is_set():
            return
        with self._lock:
            self._note(event)
            if self._items and self._ticker is None:
                self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
                self._ticker.start()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let something else be printed inside the block: our line is not there meanwhile."""
        with self._lock:
            self._items = {key: item for key, item in self._items.items() if item.has_end}
            self._clear()
            yield

    def _note(self, event: Event) -> None:
        subject, _, verb = event.name.rpartition(".")
        key = (subject, f"{event.address} {event.data.get('digest', '')}")
        if event.name == "plan.start":
            self._steps = sum(int(event.data.get(name, 0)) for name in ("create", "update", "replace", "delete"))
            self._ended = 0
        elif event.name == "step.start":
            self._items[key] = _Item(words=printable(event.address), began=time.monotonic(), has_end=True)
        elif verb in {"done", "failed"}:
            self._items.pop(key, None)
            self._ended += subject == "step"
        elif verb == "progress" and key in self._items:
            self._items[key] = replace(self._items[key], part=_part(event))
        elif event.name in _WORDS:
            self._begin(key, event)

    def _begin(self, key: tuple[str, str], event: Event) -> None:
        has_end = not event.data.keys().isdisjoint({"digest", "files"})
        if not has_end:  # one after another: the next one ends the one before
            key = (key[0], "")
        words = printable(" ".join(filter(None, (_WORDS[event.name], event.address, event.message))))
        self._items[key] = _Item(words=words, began=time.monotonic(), has_end=has_end)

    def _tick(self) -> None:
        while not self._over.wait(_INTERVAL):
            with self._lock:
                if self._over.is_set():
                    return
                try:
                    if _is_terminal():
                        self._draw()
                    else:
                        self._tell()
                except (OSError, ValueError):  # whoever looked on has gone
                    return

    def _draw(self) -> None:
        now = time.monotonic()
        line = shortened(self._line(now), _columns() - 1)
        if line != self._drawn:
            sys.stderr.write(f"{_CLEAR}{line}")
            sys.stderr.flush()
            self._drawn = line

    def _line(self, now: float) -> str:
        slow = [item for item in self._items.values() if now - item.began >= _NOTICED]
        if not slow:
            return ""
        count = f"{self._ended} of {self._steps} done; " if self._steps else ""
        return f"  {count}{', '.join(_so_far(item, now) for item in slow)}"

    def _tell(self) -> None:
        now = time.monotonic()
        for key, item in self._items.items():
            if item.has_end and not item.is_told and now - item.began >= _LONG:
                self._items[key] = replace(item, is_told=True)
                print(f"  {_so_far(item, now)}, and goes on", file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._drawn:
            self._drawn = ""
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(_CLEAR)
                sys.stderr.flush()


def shortened(line: str, width: int) -> str:
    """Return as much of a line as fits into so many columns; what was cut off is an ellipsis. Some characters take two."""
    columns = 0
    for at, character in enumerate(line):
        columns += _width(character)
        if columns > width:
            return _cut(line[:at], width)
    return line


def _cut(line: str, width: int) -> str:
    while line and sum(map(_width, line)) > width - 1:
        line = line[:-1]
    return f"{line}…" if width > 0 else ""


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _so_far(item: _Item, now: float) -> str:
    return " ".join(filter(None, (item.words, item.part, f"{now - item.began:.0f} s")))


def _part(event: Event) -> str:
    done, whole = int(event.data.get("bytes", 0)), int(event.data.get("of_bytes", 0))
    return f"({size(done)} of {size(whole)})" if whole else f"({size(done)})"


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
