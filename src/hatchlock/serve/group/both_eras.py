"""A group for clients and servers of either era: the router, which knows sessions only, and what stands on its sides.

    client ◀─▶ client_side ◀─▶ router ◀─▶ server_side ◀─▶ a server

A client's first request says how it speaks, for as long as it is there. What needs no translation goes past the sides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from hatchlock.serve.envelope import Message, error_line, messages_of
from hatchlock.serve.group.asking import Out
from hatchlock.serve.group.client_side import Behind, ClientSide, refusal
from hatchlock.serve.group.eras import STATELESS, WITH_SESSIONS, Move, answer_text, error_text, is_stateless
from hatchlock.serve.group.router import Router
from hatchlock.serve.group.server_side import ServerSide

__all__ = ["Group"]

_PARSE, _INVALID = -32700, -32600


class Group:
    """Like `Router`, and like it a value without input and output; for clients and servers of either era.

    Args:
        group: Its name.
        servers: The names of its servers.
        version: Of what speaks for them.
        patience: Server -> seconds that it may take to say what it is, or to list.
    """

    def __init__(self, group: str, servers: Iterable[str], *, version: str, patience: Mapping[str, float]) -> None:
        names = tuple(servers)
        self._router = Router(group, names, version=version, patience=patience)
        self._sides = {server: ServerSide(server) for server in names}
        behind = Behind(working=self._router.working, unlisted=self._router.is_unlisted, version=version)
        self._stateless = ClientSide(behind)
        self._is_stateless: bool | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing has to be put together any more, and nobody waits for that."""
        return self._router.is_settled

    @property
    def present(self) -> Sequence[str]:
        """The servers that belong to it still."""
        return self._router.present

    def sent(self, line: bytes, now: float) -> Out:
        """Take a line of the client's. `now` is of a clock that only goes on, as for every method."""
        if self._is_stateless is False:
            return self._spread(self._router.sent(line, now), "", now)
        try:
            messages = messages_of(line)
        except ValueError:
            out = Out()
            out.put("", error_line("null", _PARSE, "it is no message of JSON-RPC 2.0"))
            return out
        if self._is_stateless is None and (early := self._decide(messages)) is not None:
            return self._carried([Move(to="client", text=text) for text in early], now)
        if not self._is_stateless:
            return self._spread(self._router.sent(line, now), "", now)
        if len(messages) > 1:
            refused = error_text("null", _INVALID, "this version has no batches")
            return self._carried([Move(to="client", text=refused)], now)
        return self._carried(self._stateless.sent(messages[0]), now)

    def said(self, server: str, line: bytes, now: float) -> Out:
        """Take a line of a server's; of one that was left out nothing counts."""
        if self._sides[server].is_transparent:
            return self._spread(self._router.said(server, line, now), server, now)
        return self._carried(self._sides[server].said(line), now)

    def ended(self, server: str, now: float, *, quietly: bool = False) -> Out:
        """A server has ended: whoever waits for it is told; the client, that there is less now, unless `quietly`."""
        return self._spread(self._router.ended(server, now, quietly=quietly), server, now)

    def passed(self, now: float) -> Out:
        """Time has passed: go on without those who have not answered what has to be put together."""
        return self._spread(self._router.passed(now), "", now)

    def ending(self, now: float) -> Out:
        """The group is about to end."""
        listened = [move for side in self._sides.values() for move in side.ending()]
        return self._carried([*self._stateless.ending(), *listened], now)

    def _decide(self, messages: Sequence[Message]) -> Sequence[str] | None:
        """Let a request say how the client speaks; where none does, return the answers that they get."""
        requests = [message for message in messages if message.is_request]
        early = [_undecided(message) for message in requests]
        first = next((message for message, text in zip(requests, early, strict=True) if not text), None)
        if first is None:
            return early
        self._is_stateless = first.method != "initialize"
        return None

    def _carried(self, moves: Iterable[Move], now: float) -> Out:
        """Carry messages on until all are out, each receiver's in their order."""
        out = Out()
        self._carry(deque(moves), out, now)
        return out

    def _spread(self, found: Out, source: str, now: float) -> Out:
        """Let what the router has to say go through the sides."""
        if self._is_stateless is False and all(self._sides[server].is_transparent for server in self.present):
            return found  # nobody needs to be translated, and messages can be long
        out, moves = Out(), deque[Move]()
        self._take(found, source, out, moves)
        self._carry(moves, out, now)
        return out

    def _carry(self, moves: deque[Move], out: Out, now: float) -> None:
        while moves:
            move = moves.popleft()
            if move.to == "router":
                line = move.text.encode(errors="surrogateescape")
                found = self._router.said(move.server, line, now) if move.server else self._router.sent(line, now)
                self._take(found, move.server, out, moves)
            else:
                out.put(move.server, move.text)

    def _take(self, found: Out, source: str, out: Out, moves: deque[Move]) -> None:
        out.left_out += found.left_out
        out.notes += found.notes
        for to, line in found.lines:
            if to:
                text = line.decode(errors="surrogateescape")
                moves += self._sides[to].sent(text, stateless=bool(self._is_stateless))
            elif self._is_stateless:
                moves += self._stateless.back(source, line)
            else:
                moves.append(Move(to="client", text=line.decode(errors="surrogateescape")))


def _undecided(message: Message) -> str:
    """Return what a request gets that does not say how its client speaks; "" where it does."""
    if message.method == "initialize":
        return ""
    if message.method == "ping":
        return answer_text(message.raw_id, "{}")
    if is_stateless(message):
        return refusal(message, (STATELESS, *WITH_SESSIONS))
    text = "a session begins with initialize; without one, each request has the protocol's version in its params._meta"
    return error_text(message.raw_id, _INVALID, text)
