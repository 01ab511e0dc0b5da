"""Calls of a client with a session at a server without: what the server demands is asked of the client, then it is called again.

client ───── tools/call ─────▶ router ───── tools/call ─────▶ server
client ◀─ elicitation/create ─ router ◀─── input_required ─── server   the server has answered, the client has none
client ─────── result ───────▶ router ─── inputResponses ───▶ server   the same call, once more
client ◀────── result ──────── router ◀────── result ──────── server
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from hatchlock.serve.envelope import Message, dumps, messages_of
from hatchlock.serve.group.eras import (
    NEEDS,
    Move,
    demands,
    error_text,
    extended,
    members_of,
    notification,
    objects_in,
)

__all__ = ["Inputs"]

_INTERNAL = -32603
_MOST_ROUNDS = 32
_MOST_DEMANDS = 32


@dataclass(slots=True, eq=False)
class _Call:
    """A call that a server has.

    Attributes:
        raw: The id under which the router waits for its answer, as JSON.
        text: The request, as the server got it first.
        state: What the server wants back with the next one, as JSON; "" for nothing.
        awaited: Id of a request to the client -> what the server calls it.
        got: What the server calls a request -> the client's result, as JSON.
        rounds: How often it was made.
    """

    raw: str
    text: str
    state: str = ""
    awaited: dict[str, str] = field(default_factory=dict)
    got: dict[str, str] = field(default_factory=dict)
    rounds: int = 1


class Inputs:
    """The calls that one server has, and what it wants to know for them.

    Args:
        server: Its name.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._calls: dict[Any, _Call] = {}
        self._waiting: list[_Call] = []

    def called(self, message: Message, text: str) -> None:
        """A call goes to the server, with `text`."""
        self._calls[message.id] = _Call(raw=message.raw_id, text=text)

    def answered(self, answer: Message, able: Collection[str]) -> Sequence[Move]:
        """Take an answer of the server's; what is none to a call is the router's. `able` is what the client can do."""
        call = self._calls.pop(answer.id, None)
        if call is None:
            return [self._up(answer.text)]
        if not demands(answer):
            return [self._up(answer.with_id(call.raw))]
        if call.rounds >= _MOST_ROUNDS:
            return [self._failed(call, f"the server demands more without end, {call.rounds} times so far")]
        wanted = objects_in(answer, "result", "inputRequests")
        result = members_of(answer.written(answer.top["result"]))
        state = result.get("requestState")
        call.state = answer.written(answer.top["result"])[state.at : state.end] if state else ""
        requests = {key: _request(text, able) for key, text in wanted.items()}
        if len(requests) > _MOST_DEMANDS or not all(requests.values()):
            return [self._failed(call, "the server demands what the client cannot give")]
        if not requests:
            return [self._again(call)]
        moves = []
        for key, request in requests.items():
            identity = f"hatchlock-input-{next(self._numbers)}"
            call.awaited[identity] = key
            moves.append(self._up(f'{{"jsonrpc":"2.0","id":{dumps(identity)},{request}}}'))
        self._waiting.append(call)
        return moves

    def replied(self, answer: Message) -> Sequence[Move]:
        """Take an answer of the client's; when it was the last one, the server is called again."""
        call = next((item for item in self._waiting if answer.id in item.awaited), None)
        if call is None:
            return []
        key = call.awaited.pop(answer.id)
        if "result" not in answer.top:
            self._waiting.remove(call)
            return [*self._taken_back(call), self._up(answer.with_id(call.raw))]
        call.got[key] = answer.written(answer.top["result"])
        if call.awaited:
            return []
        self._waiting.remove(call)
        return [self._again(call)]

    def cancelled(self, message: Message) -> Sequence[Move]:
        """The client takes a request back."""
        place = message.params.get("requestId")
        raw = message.written(place) if place else ""
        for call in self._waiting:
            if call.raw == raw:
                self._waiting.remove(call)
                return self._taken_back(call)
        for key, call in self._calls.items():
            if place and call.raw == raw:
                del self._calls[key]
                return [self._down(message.with_words([(place, dumps(key))]))]
        return [self._down(message.text)]

    def _again(self, call: _Call) -> Move:
        identity = f"hatchlock-again-{next(self._numbers)}"
        request = messages_of(call.text.encode(errors="surrogateescape"))[0]
        answers = ",".join(f"{dumps(key)}:{text}" for key, text in call.got.items())
        added = [f'"inputResponses":{{{answers}}}'] if call.got else []
        added += [f'"requestState":{call.state}'] if call.state else []
        params = request.top["params"]
        text = request.with_id(dumps(identity), (params, extended(request.written(params), ",".join(added))))
        call.rounds, call.got = call.rounds + 1, {}
        self._calls[identity] = call
        return self._down(text)

    def _taken_back(self, call: _Call) -> Sequence[Move]:
        gone = [notification("notifications/cancelled", [("requestId", dumps(item))]) for item in call.awaited]
        call.awaited.clear()
        return [self._up(text) for text in gone]

    def _failed(self, call: _Call, why: str) -> Move:
        return self._up(error_text(call.raw, _INTERNAL, why))

    def _down(self, text: str) -> Move:
        return Move(to="server", server=self._server, text=text)

    def _up(self, text: str) -> Move:
        return Move(to="router", server=self._server, text=text)


def _request(text: str, able: Collection[str]) -> str:
    """Return method and params of a demand, as members of a request; "" where the client does not know it."""
    found = members_of(text)
    method, params = found.get("method"), found.get("params")
    if method is None or not isinstance(method.value, str) or NEEDS.get(method.value) not in able:
        return ""
    return f'"method":{dumps(method.value)}' + (f',"params":{text[params.at : params.end]}' if params else "")
