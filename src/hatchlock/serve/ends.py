"""What ends a session, and how a server is ended: for servers of one application, and for those that stay."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
from collections.abc import Iterator
from enum import Enum, auto

from hatchlock.serve.server import Server
from hatchlock.serve.talk import Talk

__all__ = ["End", "Reason", "Reasons", "report_end", "reported_signals", "stop", "told", "watch"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_KILL_SECONDS = 10.0
_PARENT_POLL_MS = 500


class End(Enum):
    """Why a session ends, besides signals."""

    STDIN = auto()
    STDOUT = auto()
    PARENT = auto()
    WATCHDOG = auto()
    NETWORK = auto()
    REFUSED = auto()
    SERVER = auto()


Reason = End | signal.Signals
Reasons = queue.SimpleQueue[Reason]


@contextlib.contextmanager
def reported_signals(reasons: Reasons) -> Iterator[None]:
    """Have SIGTERM, SIGINT and SIGHUP reported inside the block, instead of what they do otherwise."""
    before = {number: signal.signal(number, lambda got, _: reasons.put(signal.Signals(got))) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch(parent: int, watchdog: int | None, reasons: Reasons) -> None:
    """Report the death of our parent, the application, or of the watchdog, if there is one. Blocks until then."""
    if os.getppid() != parent:  # it was gone before we came to this
        reasons.put(End.PARENT)
        return
    poll = select.poll()
    if watchdog is not None:
        poll.register(watchdog, select.POLLIN)
    timeout: int | None = _PARENT_POLL_MS
    with contextlib.suppress(AttributeError, OSError):  # macOS, old kernels: ask now and then
        poll.register(os.pidfd_open(parent), select.POLLIN)
        timeout = None
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(timeout)}
        if watchdog in ready:
            reasons.put(End.WATCHDOG)
            return
        if ready or os.getppid() != parent:
            reasons.put(End.PARENT)
            return


def report_end(server: Server, ended: list[int], reasons: Reasons) -> None:
    """Wait for a server's end, note its status down, and report it."""
    ended.append(server.wait())
    reasons.put(End.SERVER)


def stop(server: Server, reason: Reason, reasons: Reasons, grace: float) -> bool:
    """End a server, each step only if the one before did not; return whether it took more than the end of its stdin."""
    if reason is End.STDIN and _ends_within(grace, reasons):
        return False
    server.stop()
    server.end_input()
    if not _ends_within(grace, reasons):
        server.kill()
        _ends_within(_KILL_SECONDS, reasons, patient=True)
    return True


def told(reason: Reason, name: str, talk: Talk) -> int:
    """Return the status of a session that neither the server nor a stream has ended, and say what did, if nobody knows."""
    if isinstance(reason, signal.Signals):
        return 128 + reason
    if reason is End.WATCHDOG:
        talk.say(f"the watchdog of {name} was killed, so {name} was stopped")
        return 1
    if reason is End.NETWORK:
        talk.say(f"the relay of {name}'s network was killed, so {name} was stopped")
        return 1
    return 128 + signal.SIGHUP


def _ends_within(seconds: float, reasons: Reasons, *, patient: bool = False) -> bool:
    """Wait for the server's end; a further reason to end it is one not to wait any longer, unless `patient`."""
    try:
        while (reason := reasons.get(timeout=seconds)) is not End.SERVER:
            if not patient and reason is not End.STDIN:
                return False
    except queue.Empty:
        return False
    return True
