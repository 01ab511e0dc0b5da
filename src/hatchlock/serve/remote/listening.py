"""What a server says by itself in a session of streamable HTTP: a stream of its own, which is asked for by a `GET`.

A server may drop what it would say there while nobody listens, and the SDK's does. So the stream is asked for as soon as
`initialize` is answered, and the server is told that its session has begun (`notifications/initialized`) when it has said
whether it has such a stream: before that it should ask for nothing and tell nothing but what it logs. A server that refuses
it until then is asked again afterwards.

What is lost all the same cannot be helped from here: what a server that keeps nothing says before the stream is open, and
while one that broke off is asked for again. A server that sends not even the head of its answer before it has something to
say may have the stream open or not: nobody waits for it longer than `_PATIENCE` seconds.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hatchlock.errors import HatchlockError
from hatchlock.net.exchange import Answer
from hatchlock.serve.remote.bridge import Outlet
from hatchlock.serve.remote.events import Event, EventTooLong, events_of
from hatchlock.serve.remote.messages import in_header, one_line
from hatchlock.serve.remote.statuses import has_forgotten

__all__ = ["LONGEST_PAUSE", "RESUMED", "STREAM", "Listening", "Place", "Session"]

STREAM = "text/event-stream"
RESUMED = 5
"""How often a stream is asked for again that breaks off before anything comes."""
LONGEST_PAUSE = 60.0
_OK = 200
_NO_SUCH = 405
_PAUSE = 1.0
_PATIENCE = 2.0
_LAST = "Last-Event-ID"


@dataclass(slots=True)
class Session:
    """What the server has made of an `initialize`.

    Attributes:
        id: Its own name for it; "" for a server that keeps none.
        version: The protocol that was agreed on.
        begun: Set when the server was told that it has begun, or nobody uses it any more.
        over: Set when nobody uses it any more.
        listening: To what the server says by itself; None before.
    """

    id: str = ""
    version: str = ""
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    listening: Listening | None = None

    def end(self) -> None:
        """Note that nobody uses it any more."""
        self.over.set()
        self.begun.set()


@dataclass(slots=True)
class Place:
    """Where a stream was when it ended.

    Attributes:
        last: The id of its last event that has one; "" if it cannot be taken up.
        pause: Seconds to wait before.
        attempts: How often that was tried since something came.
        why: Why it ended.
        offered: Whether there was one at all.
        denied: Whether the server has said that it has none.
    """

    last: str = ""
    pause: float = _PAUSE
    attempts: int = 0
    why: str = "its stream ended"
    offered: bool = False
    denied: bool = False

    def note(self, event: Event) -> None:
        """Go on to an event."""
        self.last, self.attempts = in_header(event.id) or self.last, 0
        self.pause = self.pause if event.retry is None else event.retry

    def header(self) -> dict[str, str]:
        """Return what asks for the events after it."""
        return {_LAST: self.last} if self.last else {}


class Listening:
    """Delivers what a server says by itself, in a thread, for as long as its session lasts, if the server offers that.

    Args:
        session: Which; it has been answered, and need not have begun.
        outlet: Where to.
        ask: Asks for the stream, with headers besides those of the session.
        renew: Begins another session in the place of this one, which the server has forgotten.
    """

    def __init__(
        self,
        session: Session,
        outlet: Outlet,
        *,
        ask: Callable[[Mapping[str, str]], Answer],
        renew: Callable[[], None],
    ) -> None:
        self._session = session
        self._outlet = outlet
        self._ask = ask
        self._renew = renew
        self._settled = threading.Event()
        self._is_early = False
        threading.Thread(target=self._listen, daemon=True).start()

    def settle(self) -> None:
        """Wait until the server has said whether there is a stream, but not for long."""
        self._settled.wait(_PATIENCE)

    def begin(self) -> None:
        """Note that the server was told that the session has begun, and settle once more if it had refused until then."""
        was_early, self._is_early = self._is_early, False
        if was_early:
            self._settled.clear()
        self._session.begun.set()
        if was_early:
            self.settle()

    def _listen(self) -> None:
        try:
            self._listen_on(Place())
        finally:
            self._settled.set()

    def _listen_on(self, place: Place) -> None:
        session, outlet = self._session, self._outlet
        while not (session.over.is_set() or outlet.stopped.is_set()):
            had_begun, may_go_on = session.begun.is_set(), True
            place.attempts += 1
            with contextlib.suppress(HatchlockError, EventTooLong):
                may_go_on = self._heard_out(place)
            if not may_go_on:
                if had_begun or place.offered or place.denied:
                    return
                self._is_early = True
                self._settled.set()
                session.begun.wait()
                continue
            self._settled.set()
            if outlet.stopped.wait(min(place.pause * 2 ** min(place.attempts, RESUMED), LONGEST_PAUSE)):
                return

    def _heard_out(self, place: Place) -> bool:
        """Deliver one stream to its end, and return whether there may be another one."""
        session = self._session
        with self._ask(place.header()) as answer:
            if answer.status == _OK and answer.content_type == STREAM:
                place.offered = True
                self._settled.set()
                for event in events_of(answer):
                    place.note(event)
                    if event.is_message and not session.over.is_set():
                        self._outlet.deliver(one_line(event.data))
                place.attempts = 0
                return True
            place.denied = answer.status == _NO_SUCH
            forgotten = place.offered and bool(session.id) and has_forgotten(answer)
        if forgotten:
            self._renew()
        return place.offered and not forgotten
