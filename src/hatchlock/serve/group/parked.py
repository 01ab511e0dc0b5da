"""Calls of a client that speaks 2026-07-28 at servers with sessions, which ask for something in the middle of them.

The client's call is answered with the demand, the server's stays open; when the client calls again, with what was demanded and
the state that it was given, the server gets that, and its answer is the one to the second call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hatchlock.serve.envelope import Message, dumps
from hatchlock.serve.lines import LONGEST_MESSAGE

__all__ = ["Demand", "Parked", "Parking"]

_MOST = 32
_MOST_HELD = LONGEST_MESSAGE
"""Characters of what all of them have been asked for and have answered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """Something that a server asked of the client.

    Attributes:
        raw: The id of its request, as JSON.
        text: Method and parameters, as an object.
    """

    raw: str
    text: str


@dataclass(slots=True, eq=False)
class Parked:
    """A call that waits for its client to come back.

    Attributes:
        inner: The id under which it goes on, behind us.
        subject: Its method, and what it is called with: whoever comes back has to mean the same.
        demanded: Name -> what the client has been asked for, and not brought.
        answer: The answer to the call, if the server has given it meanwhile.
    """

    inner: int
    subject: tuple[str, str]
    demanded: dict[str, Demand] = field(default_factory=dict)
    answer: Message | None = None

    @property
    def size(self) -> int:
        """How many characters are kept for it."""
        demanded = sum(len(demand.text) for demand in self.demanded.values())
        return demanded + (len(self.answer.text) if self.answer else 0)


class Parking:
    """The calls that wait.

    Args:
        key: Returns a text that nobody can guess, and no other group gives.
    """

    def __init__(self, key: Callable[[], str]) -> None:
        self._key = key
        self._count = 0
        self._parked: dict[str, Parked] = {}

    def park(self, inner: int, subject: tuple[str, str], demands: Mapping[str, Demand]) -> str:
        """Let a call wait; return the result for its client."""
        state = self._key()
        self._parked[state] = Parked(inner, subject, dict(demands))
        wanted = ",".join(f"{dumps(name)}:{demand.text}" for name, demand in demands.items())
        return f'{{"resultType":"input_required","inputRequests":{{{wanted}}},"requestState":{dumps(state)}}}'

    def has_room(self, demand: Demand) -> bool:
        """Whether something more may be demanded for a call that waits already."""
        return self._held + len(demand.text) <= _MOST_HELD

    def crowded_out(self) -> Sequence[Parked]:
        """Take out the oldest calls until there are not too many, nor too much is kept for them; the newest stays."""
        found = []
        while len(self._parked) > _MOST or (len(self._parked) > 1 and self._held > _MOST_HELD):
            found.append(self._parked.pop(next(iter(self._parked))))
        return found

    def name(self) -> str:
        """Return a name for a demand."""
        self._count += 1
        return f"input-{self._count}"

    def find(self, state: str | None, subject: tuple[str, str]) -> Parked | None:
        """Take out the call that a client comes back to; None if it is none of these."""
        found = self._parked.get(state or "")
        return self._parked.pop(state or "") if found and found.subject == subject else None

    def of(self, inners: Sequence[int]) -> Parked | None:
        """Return the newest of some calls that waits."""
        waiting = [parked for parked in self._parked.values() if parked.inner in inners]
        return waiting[-1] if waiting else None

    @property
    def _held(self) -> int:
        return sum(parked.size for parked in self._parked.values())

    def take_back(self, raw: str) -> None:
        """A server does not want any more what it has asked for."""
        for parked in self._parked.values():
            parked.demanded = {name: item for name, item in parked.demanded.items() if item.raw != raw}
