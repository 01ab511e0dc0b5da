"""Sessions of clients that have none of their own, between two requests: any of them will do, but for a client that comes back.

A request can be answered by a demand for something, with a state (`input_required`). Who brings that state gets the session that
has given it, where the call may still be going on; until then nobody else does.
"""

from __future__ import annotations

from collections.abc import Iterator

from hatchlock.serve.envelope import Message, messages_of
from hatchlock.serve.front.session import Session
from hatchlock.serve.outline import Unreadable, members

__all__ = ["Idle", "state_brought", "state_given"]


class Idle:
    """Those sessions. Used in one event loop."""

    def __init__(self) -> None:
        self._free: list[Session] = []
        self._awaiting: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._free) + len(self._awaiting)

    def __iter__(self) -> Iterator[Session]:
        """Go through them, those first whose end costs least."""
        return iter([*self._free, *self._awaiting.values()])

    def put(self, session: Session, state: str) -> None:
        """Add a session; `state` is what its last answer gave, "" for nothing."""
        if not state:
            self._free.append(session)
            return
        # servers may give all their clients the same one: then nothing of theirs goes on
        if before := self._awaiting.pop(state, None):
            self._free.append(before)
        self._awaiting[state] = session

    def take(self, state: str) -> Session | None:
        """Take out the session that gave a state, or any that waits for nobody; None where there is none."""
        return self._awaiting.pop(state, None) or (self._free.pop() if self._free else None)

    def drop(self, session: Session) -> None:
        """Forget a session, if it is here."""
        self._free = [item for item in self._free if item is not session]
        self._awaiting = {state: item for state, item in self._awaiting.items() if item is not session}


def state_brought(request: Message) -> str:
    """Return the state that a client brings; "" for none."""
    return request.param("requestState") or ""


def state_given(answer: bytes) -> str:
    """Return the state that an answer gives its client to bring; "" for none."""
    if b"requestState" not in answer:  # answers can be long
        return ""
    try:
        message = messages_of(answer)[0]
        result = message.read("result", members({})) if "result" in message.top else ()
    except Unreadable:
        return ""
    found = {item.name: item for item in result} if isinstance(result, tuple) else {}
    kind, state = message.scalar(found.get("resultType")), message.scalar(found.get("requestState"))
    return state if kind == "input_required" and isinstance(state, str) else ""
