"""When each line of a server's log was written: `2026-11-28T04:00:00.000Z | ` stands before it.

Lines of earlier versions have none, nor has what a program writes there by itself: these are as old as the line before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

__all__ = ["in_utc", "moment", "since", "split_stamp", "stamp"]

_MARK = " | "
_FORM = "0000-00-00T00:00:00.000Z"
_LENGTH = len(_FORM)
_DIGITS = str.maketrans("0123456789", "0" * 10)


def moment() -> str:
    """Return now, as entries and lines of logs have it: RFC 3339 with milliseconds, UTC. Later ones sort behind earlier ones."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03}Z"


def in_utc(moment: str) -> str:
    """Return a moment of UTC in ISO 8601 as people read it, with `Z` instead of `+00:00`."""
    return moment.replace("+00:00", "Z")


def stamp() -> bytes:
    """Return what stands before a line that is written now."""
    return f"{moment()}{_MARK}".encode()


def split_stamp(line: str) -> tuple[str, str]:
    """Return when a line of a log was written ("" where it does not say), and the line as the server wrote it."""
    when, mark, text = line.partition(_MARK)
    is_stamp = mark and len(when) == _LENGTH and when.isascii() and when.translate(_DIGITS) == _FORM
    return (when, text) if is_stamp else ("", line)


def since(lines: Iterable[str], start: str) -> Iterator[str]:
    """Yield the lines that were written from a moment on, the oldest first, without their stamps.

    Args:
        lines: As they stand in the log.
        start: As `moment` gives it; "" for all of them.
    """
    last = ""
    for line in lines:
        when, text = split_stamp(line)
        last = when or last
        if last >= start:
            yield text
