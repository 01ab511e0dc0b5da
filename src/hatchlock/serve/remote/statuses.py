"""What some HTTP statuses mean for a conversation: a session that is forgotten, a server that is busy."""

from __future__ import annotations

from hatchlock.net.exchange import Answer, Unreachable
from hatchlock.serve.remote.bridge import Outlet

__all__ = ["BUSY", "has_forgotten", "waited"]

BUSY = frozenset({429, 503})
"""Statuses of servers that may say when to ask again."""

_BAD_REQUEST = 400
_GONE = 404
_BUSY_SECONDS = 30.0
_SHORT_ANSWER = 1 << 20
_NO_SUCH_METHOD = b"-32601"


def has_forgotten(answer: Answer) -> bool:
    """Whether the session is not known any more: 404, and 400 with those words from servers that are older than the rule."""
    if answer.status not in {_GONE, _BAD_REQUEST}:
        return False
    try:
        words = answer.read(_SHORT_ANSWER).lower()
    except Unreachable:
        return False
    return b"session" in words or (answer.status == _GONE and _NO_SUCH_METHOD not in words)


def waited(answer: Answer, outlet: Outlet) -> bool:
    """Wait as long as the server asks for, if it does and it is not long; return whether to ask again."""
    seconds = answer.headers.get("retry-after", "")
    if not seconds.isdigit() or int(seconds) > _BUSY_SECONDS:
        return False
    return not outlet.stopped.wait(max(int(seconds), 1))
