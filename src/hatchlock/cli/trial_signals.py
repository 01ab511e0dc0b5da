"""What signals do to a trial, in both of its halves: it goes away, and leaves nothing."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

__all__ = ["SIGNALS", "Signalled", "heeding"]

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signalled(KeyboardInterrupt):
    """A signal has come, and what was begun is to be removed.

    Attributes:
        status: The exit status of whoever has ended by it.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def heeding() -> None:
    """Let each of `SIGNALS` raise `Signalled` from now on, also those that have come meanwhile."""
    for number in SIGNALS:
        signal.signal(number, _raise)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _raise(number: int, _: FrameType | None) -> NoReturn:
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # it goes away now, once
    raise Signalled(number)
