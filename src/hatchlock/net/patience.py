"""How long we wait for others, and how often we ask again."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from hatchlock.net.failures import Unreachable

__all__ = ["Pace", "Patience", "Retries", "retry_after"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        connect: Seconds for a connection.
        read: Seconds without any byte.
        window: Seconds over which `slowest` is measured.
        slowest: Bytes in a second that a body has to bring.
        repeats: How often a request is repeated.
        back_off: Seconds before the first repetition; each further wait is twice as long. A half of it is chance, so that
            many who were turned away at once do not come back at once.
        longest: Seconds that all those waits, and what `Retry-After` asks for, may take.
    """

    connect: float = 10.0
    read: float = 30.0
    window: float = 30.0
    slowest: float = 256.0
    repeats: int = 3
    back_off: float = 0.25
    longest: float = 30.0


class Retries:
    """The repetitions of one request."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failed = 0
        self._waited = 0.0

    def wait(self, error: Unreachable) -> None:
        """Wait until the request may be repeated.

        Raises:
            Unreachable: `error`, when there is no use in asking again, or it was asked often enough; if the server wants to
                be left alone for longer than we wait, with the time of day when it may be asked.
        """
        self._failed += 1
        if not error.transient or self._failed > self._patience.repeats:
            raise error
        own = self._patience.back_off * 2 ** (self._failed - 1) * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        pause = max(own, error.retry_after)
        if self._waited + pause > self._patience.longest:
            raise _come_back(error) if error.retry_after else error
        self._waited += pause
        time.sleep(pause)


def _come_back(error: Unreachable) -> Unreachable:
    when = datetime.now(UTC) + timedelta(seconds=error.retry_after)
    clock = (
        f"{when:%H:%M:%S} UTC"
        if error.retry_after < timedelta(hours=12).total_seconds()
        else f"{when:%Y-%m-%d %H:%M} UTC"
    )
    return replace(
        error,
        why=f"{error.why} and wants to be left alone until {clock}",
        advice=f"run it again after {clock}; what was fetched so far is kept",
    )


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that the header `Retry-After` (RFC 9110, a number or a date) asks for; 0 if it does not."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    now = datetime.now(UTC)
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


class Pace:
    """Watches that a body comes fast enough: a server that sends a byte now and then never times out."""

    def __init__(self, url: str, patience: Patience) -> None:
        self._url = url
        self._patience = patience
        self._began = time.monotonic()
        self._size = 0

    def came(self, size: int) -> None:
        """Count a piece.

        Raises:
            Unreachable: Too little came within a window.
        """
        self._size += size
        took = time.monotonic() - self._began
        if took < self._patience.window:
            return
        if self._size < self._patience.slowest * took:
            raise Unreachable(
                url=self._url, why=f"it sends too slowly ({self._size} bytes in {took:.0f} s)", answered=True
            )
        self._began, self._size = time.monotonic(), 0
