"""What a group's servers are asked for, under ids of ours, and who takes their answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hatchlock.serve.envelope import Message, error_line
from hatchlock.serve.group.shapes import Freshness

__all__ = ["Answered", "Asking", "Gathering", "Out", "Take"]

_GONE = -32000
_PATIENCE = 30.0


@dataclass(slots=True)
class Out:
    """What is to be done, in order.

    Attributes:
        lines: To whom ("" for the client), and the message, without a newline.
        left_out: Servers that are to be ended, and why.
        notes: Sentences for people.
    """

    lines: list[tuple[str, bytes]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def put(self, to: str, text: str | bytes) -> None:
        """Add a message."""
        self.lines.append((to, text if isinstance(text, bytes) else text.encode(errors="surrogateescape")))


@dataclass(slots=True, eq=False)
class Gathering:
    """A request of the client's that several servers are asked for.

    Attributes:
        raw: Its id, as JSON.
        waiting: Servers that are not ready.
        since: When it began.
        pieces: What they have said, as far as it is for the client.
        size: Characters of that.
        fresh: How long each page of it may be kept; None for one that does not say so.
    """

    raw: str
    waiting: set[str]
    since: float
    done: Callable[[Gathering, Out], None]
    pieces: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0
    fresh: list[Freshness | None] = field(default_factory=list)


Answered = Callable[[Message | None, Out], None]
"""Takes an answer; None when there will be none."""
Take = Callable[[Gathering, Message | None, Out], bool]
"""Takes an answer for a gathering, None when there will be none, and says whether that was all of that server."""


@dataclass(slots=True, eq=False)
class _Asked:
    server: str
    raw: str
    client: Any
    answered: Answered | None
    gathering: Gathering | None


class Asking:
    """The requests that servers have from us.

    Args:
        patience: Seconds that a server may take to answer what has to be put together with others' answers.
    """

    def __init__(self, patience: Mapping[str, float]) -> None:
        self.now = 0.0
        self._patience = patience
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._gatherings: list[Gathering] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing has to be put together."""
        return not self._gatherings

    def working(self, server: str) -> Sequence[Any]:
        """Return the ids of the client's requests that one server alone works on, the oldest first."""
        return [asked.client for asked in self._asked.values() if asked.server == server and asked.gathering is None]

    def number(self) -> int:
        """Return an id that nobody has."""
        return next(self._numbers)

    def ask(
        self, server: str, message: Message, out: Out, *changes: tuple[Any, str], answered: Answered | None = None
    ) -> None:
        """Pass a request of the client's on, with changes; its answer goes to `answered`, or to the client."""
        number = self.number()
        self._asked[number] = _Asked(server, message.raw_id, message.id, answered, None)
        out.put(server, message.with_id(str(number), *changes))

    def gather(
        self,
        message: Message,
        servers: Sequence[str],
        text: Callable[[int], str],
        take: Callable[[str], Take],
        *,
        out: Out,
        done: Callable[[Gathering, Out], None],
    ) -> None:
        """Ask several servers, and answer the client when all are ready.

        Args:
            message: The client's request.
            servers: Whom.
            text: Returns what they are asked, given an id.
            take: Returns who takes what one of them answers.
            out: Where it goes.
            done: Answers the client.
        """
        gathering = Gathering(raw=message.raw_id, waiting=set(servers), since=self.now, done=done)
        self._gatherings.append(gathering)
        for server in list(servers):
            self.ask_for(gathering, server, text, take(server), out)
        if not servers:
            self._ready(gathering, "", out)

    def ask_for(self, gathering: Gathering, server: str, text: Callable[[int], str], take: Take, out: Out) -> None:
        """Ask a server for something, or something more, of a gathering, unless it has been called off."""
        if gathering not in self._gatherings:
            return

        def answered(answer: Message | None, out: Out) -> None:
            if take(gathering, answer, out):
                self._ready(gathering, server, out)

        number = self.number()
        self._asked[number] = _Asked(server, gathering.raw, None, answered, gathering)
        out.put(server, text(number))

    def answer(self, server: str, message: Message, out: Out) -> None:
        """Take a server's answer; of what it was not asked nothing counts."""
        number = message.id
        asked = self._asked.get(number) if isinstance(number, int) else None
        if asked is None or asked.server != server:
            return
        del self._asked[number]
        if asked.answered:
            asked.answered(message, out)
        else:
            out.put("", message.with_id(asked.raw))

    def cancel(self, message: Message, out: Out) -> None:
        """Tell whoever works on a request that the client takes it back."""
        place = message.params.get("requestId")
        identity = message.scalar(place)
        if place is None or identity is None:
            return
        written = message.written(place)
        for number, asked in list(self._asked.items()):
            if asked.client == identity or (asked.gathering and asked.raw == written):
                del self._asked[number]
                out.put(asked.server, message.with_words([(place, str(number))]))
        self._gatherings = [item for item in self._gatherings if item.raw != written]

    def give_up(self, server: str, out: Out) -> None:
        """A server will answer nothing any more."""
        self._give_up([number for number, asked in self._asked.items() if asked.server == server], out)

    def give_up_late(self, out: Out) -> None:
        """Go on without those who have not answered in time what has to be put together."""
        late = [
            number
            for number, asked in self._asked.items()
            if asked.gathering and self.now - asked.gathering.since > self._patience.get(asked.server, _PATIENCE)
        ]
        self._give_up(late, out)

    def _give_up(self, numbers: Sequence[int], out: Out) -> None:
        for number in numbers:
            asked = self._asked.pop(number, None)
            if asked and asked.answered:
                asked.answered(None, out)
            elif asked:
                out.put("", error_line(asked.raw, _GONE, f"the server {asked.server} has ended"))

    def _ready(self, gathering: Gathering, server: str, out: Out) -> None:
        gathering.waiting.discard(server)
        if not gathering.waiting and gathering in self._gatherings:
            self._gatherings.remove(gathering)
            gathering.done(gathering, out)
