"""Ctrl-C and SIGTERM while steps are done: the first one finishes those that run, the second one stops at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from hatchlock.errors import INTERRUPTED
from hatchlock.process import end_children, sparing_children

__all__ = ["heeding_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LAST_WORDS = b"\r\x1b[Kstopped at once; the same command goes on from what is there\n"


@contextlib.contextmanager
def heeding_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Inside the block the first SIGINT or SIGTERM asks, and the next one ends the process at once.

    Programs that are started inside are spared our terminal's ctrl-C; a stop at once ends them. That is no worse than a
    kill, after which the next apply goes on too; but nobody gets our leases while our threads still work.
    In another thread than the main one, which gets the signals, nothing is changed.

    Args:
        ask: Called from the signal's handler: it may take no lock.
    """
    asked = False

    def handle(_: int, __: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _stop()
        asked = True
        ask()

    with sparing_children(), contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is signal.SIG_IGN:
                    continue  # as `nohup` and shells' background jobs want it
                stack.callback(signal.signal, number, signal.signal(number, handle))
        yield


def _stop() -> NoReturn:
    end_children()
    # not through sys.stderr, whose lock we may hold just now
    with contextlib.suppress(OSError):
        words = _LAST_WORDS if os.isatty(2) else _LAST_WORDS.removeprefix(b"\r\x1b[K")
        os.write(2, words)
    os._exit(INTERRUPTED)
