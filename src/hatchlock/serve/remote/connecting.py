"""A server that is being restarted is worth a few seconds, as long as nothing was sent to it."""

from __future__ import annotations

from collections.abc import Callable

from hatchlock.net.exchange import Answer, Unreachable
from hatchlock.serve.remote.bridge import Outlet
from hatchlock.serve.remote.failures import AnswerLost

__all__ = ["patiently"]

_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)


def patiently(ask: Callable[[], Answer], outlet: Outlet, url: str) -> Answer:
    """Return the answer to a request, made again while no connection comes about to a server that was heard before.

    Raises:
        Unreachable: No connection came about.
        AnswerLost: It may have got the request.
        Elsewhere: It sends its clients to another address.
    """
    for pause in _PAUSES:
        try:
            return _asked(ask, url)
        except Unreachable:
            if not outlet.heard or outlet.stopped.wait(pause):
                raise
    return _asked(ask, url)


def _asked(ask: Callable[[], Answer], url: str) -> Answer:
    try:
        return ask()
    except Unreachable as error:
        if error.answered:
            raise AnswerLost(url=url, why=error.why) from error
        raise
