"""Names that a server asks for in vain, where it has no network at all: what programs say themselves often lacks the name."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from hatchlock.security.denials import Denial, Report
from hatchlock.serve.network.inside import NetworkFailed, enter
from hatchlock.serve.network.names import answer

__all__ = ["reporting_names"]

_PACKET = 4096
_PAUSE = 0.001
"""Seconds between two answers: a server that asks without end costs itself more than us."""


def reporting_names(report: Report) -> Callable[[int], None]:
    """Return what answers, in the network of a process, that there is no such name.

    It ends with the network. Where it cannot be made nobody answers, and the server is none the worse for it.

    Args:
        report: Told of each name, in a thread.
    """

    def offer(pid: int) -> None:
        with contextlib.suppress(NetworkFailed, OSError):
            questions = enter(pid, ()).questions
            threading.Thread(target=_answer, args=(questions, report), daemon=True).start()

    return offer


def _answer(questions: socket.socket, report: Report) -> None:
    with questions:
        while True:
            try:
                query, asker = questions.recvfrom(_PACKET)
            except OSError:
                return
            packet, name = answer(query, {})
            if name and not name.endswith(".arpa"):
                report(Denial(kind="network", what=name.lower()))
            with contextlib.suppress(OSError):  # it did not wait
                if packet:
                    questions.sendto(packet, asker)
            time.sleep(_PAUSE)
