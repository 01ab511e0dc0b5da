"""Between the router and a client of 2026-07-28: behind it is a session, of which the client knows nothing.

What the client says in each request becomes one `initialize`, of the first one. What servers ask for in the middle of a call is
the answer to that call (`parked`), what they tell by themselves goes to whoever listens (`subscriptions`), and results get the
members that they have in this version.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hatchlock.serve.envelope import Message, dumps, inside, messages_of
from hatchlock.serve.group.eras import (
    ABLE,
    CACHED,
    CLIENT,
    DISCOVER,
    INTERACTIVE,
    LEVEL,
    LEVELS,
    LISTEN,
    NEEDS,
    SERVER,
    SESSIONS,
    STATELESS,
    VERSION,
    Move,
    answer_text,
    completed,
    error_text,
    members_of,
    notification,
    objects_in,
)
from hatchlock.serve.group.parked import Demand, Parked, Parking
from hatchlock.serve.group.router import NAMED
from hatchlock.serve.group.shapes import KINDS
from hatchlock.serve.group.subscriptions import CHANGES, UPDATED, Subscriptions
from hatchlock.serve.outline import Unreadable

__all__ = ["Behind", "ClientSide", "refusal"]

_INVALID, _NO_METHOD, _PARAMS, _INTERNAL, _UNSUPPORTED = -32600, -32601, -32602, -32603, -32022
_RETIRED: Mapping[int, int] = {-32002: _PARAMS, -32042: _INTERNAL}
"""Codes that this version has given up, and what it has instead."""
_PASSED = frozenset({*KINDS, *INTERACTIVE, "completion/complete"})
_UNHEARD = frozenset({"notifications/elicitation/complete", "notifications/subscriptions/acknowledged"})
"""What servers may tell that is none of this version, or ours to tell."""
_HELLO = 0
_MOST_DEMANDS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Behind:
    """What has to be known of the router.

    Attributes:
        working: Server -> the ids of what it works on, oldest first.
        unlisted: Whether only a listing says whose a name is, given the method that it is used with.
        version: Of what speaks for the group.
    """

    working: Callable[[str], Sequence[Any]]
    unlisted: Callable[[str, str], bool]
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A request that is not answered: `id` as a value and `raw` as JSON, and what it says of its client."""

    id: Any
    raw: str
    method: str
    subject: tuple[str, str]
    able: frozenset[str]
    level: int
    token: str


class ClientSide:
    """What stands before a client.

    Args:
        behind: The router.
        key: Returns a text that nobody can guess.
    """

    def __init__(self, behind: Behind, key: Callable[[], str] = secrets.token_hex) -> None:
        self._behind = behind
        self._numbers = itertools.count(_HELLO + 1)
        self._waiting: list[Message] | None = None
        self._discovered = ""
        self._server = ""
        self._can: Mapping[str, Any] | None = None
        self._failed: Message | None = None
        self._asked: dict[Any, _Asked] = {}
        self._before: dict[Any, tuple[str, list[Message]]] = {}
        self._tokens: dict[Any, str] = {}
        self._parking = Parking(key)
        self._subscriptions = Subscriptions()

    def sent(self, message: Message) -> Sequence[Move]:
        """Take a message of the client's."""
        if not message.is_request:
            return self._cancel(message) if message.method == "notifications/cancelled" else []
        if wrong := refusal(message, (STATELESS,)):
            return [_to_client(wrong)]
        try:
            return self._said(message)
        except Unreadable:
            return [_to_client(error_text(message.raw_id, _INVALID, "it is nested too deep"))]

    def back(self, server: str, line: bytes) -> Sequence[Move]:
        """Take what the router has for the client; `server` is who said it, "" for nobody."""
        try:
            message = messages_of(line)[0]
            if message.is_answer:
                return self._answered(message)
            return self._demanded(server, message) if message.is_request else self._told(server, message)
        except Unreadable:
            return []  # nested so deep that it could only just be parsed

    def ending(self) -> Sequence[Move]:
        """The group ends: tell whoever listens."""
        return [_to_client(text) for text in self._subscriptions.ended()]

    # What the client says

    def _said(self, message: Message) -> Sequence[Move]:
        if self._failed is not None:
            return [_to_client(self._failed.with_id(message.raw_id))]
        if self._can is not None:
            return self._handle(message)
        if self._waiting is not None:
            self._waiting.append(message)
            return []
        self._waiting = [message]
        return self._begin(message)

    def _begin(self, message: Message) -> Sequence[Move]:
        us = dumps({"name": "hatchlock", "version": self._behind.version})
        client = message.written(message.meta[CLIENT]) if CLIENT in message.meta else us
        able = message.written(message.meta[ABLE])
        params = f'{{"protocolVersion":"{SESSIONS}","capabilities":{able},"clientInfo":{client}}}'
        hello = f'{{"jsonrpc":"2.0","id":{_HELLO},"method":"initialize","params":{params}}}'
        return [_to_router(hello), _to_router('{"jsonrpc":"2.0","method":"notifications/initialized"}')]

    def _handle(self, message: Message) -> Sequence[Move]:
        if message.method == DISCOVER:
            return [_to_client(answer_text(message.raw_id, self._discovered))]
        if message.method == LISTEN:
            return self._listen(message)
        if message.method not in _PASSED:
            return [_to_client(error_text(message.raw_id, _NO_METHOD, "a group of servers has no such method"))]
        if parked := self._parking.find(message.param("requestState"), _subject(message)):
            return self._resume(parked, message)
        if message.method in NAMED and self._behind.unlisted(message.method, message.param("name") or ""):
            return self._list_before(message)
        return self._pass(message)

    def _list_before(self, message: Message) -> Sequence[Move]:
        """Keep a call until there is a listing, one for all that wait for it."""
        listing = f"{NAMED[message.method]}/list"
        for asked, held in self._before.values():
            if asked == listing:
                held.append(message)
                return []
        inner = next(self._numbers)
        self._before[inner] = (listing, [message])
        return [_to_router(_request(inner, listing))]

    def _pass(self, message: Message) -> Sequence[Move]:
        inner = next(self._numbers)
        self._asked[inner] = asked = _asked(message)
        if asked.token:
            self._tokens[inner] = asked.token
        return [_to_router(message.with_id(str(inner)))]

    def _resume(self, parked: Parked, message: Message) -> Sequence[Move]:
        """Give a server what it has asked for; what the client did not bring is demanded once more."""
        self._asked[parked.inner] = _asked(message)
        brought = objects_in(message, "params", "inputResponses")
        given = [name for name in parked.demanded if name in brought]
        moves = [_to_router(answer_text(parked.demanded.pop(name).raw, brought[name])) for name in given]
        if parked.answer is not None:
            return [*moves, *_unanswered(parked), *self._answered(parked.answer)]
        return [*moves, *self._park(parked.inner, parked.demanded)] if parked.demanded else moves

    def _park(self, inner: Any, demands: Mapping[str, Demand]) -> Sequence[Move]:
        asked = self._asked.pop(inner)
        result = self._parking.park(inner, asked.subject, demands)
        return [_to_client(answer_text(asked.raw, result)), *self._give_up()]

    def _give_up(self) -> Sequence[Move]:
        """Take back the oldest of the calls that wait, where these are too many or too long."""
        moves = []
        for oldest in self._parking.crowded_out():
            self._tokens.pop(oldest.inner, None)
            moves.append(_to_router(notification("notifications/cancelled", [("requestId", str(oldest.inner))])))
            moves += _unanswered(oldest)
        return moves

    def _listen(self, message: Message) -> Sequence[Move]:
        before = self._subscriptions.addresses
        granted = self._subscriptions.listen(message, self._can or {})
        added = sorted(self._subscriptions.addresses - before)
        return [_to_client(granted), *(self._about("resources/subscribe", address) for address in added)]

    def _about(self, method: str, address: str) -> Move:
        """Return a request of ours, whose answer says nothing to anybody."""
        return _to_router(_request(next(self._numbers), method, {"uri": address}))

    def _cancel(self, message: Message) -> Sequence[Move]:
        place = message.params.get("requestId")
        identity = message.scalar(place)
        if place is None or identity is None:
            return []
        if self._waiting:
            self._waiting = [item for item in self._waiting if item.id != identity]
        for _, held in self._before.values():
            held[:] = [item for item in held if item.id != identity]
        unheard = self._subscriptions.close(message.written(place))
        moves = [self._about("resources/unsubscribe", address) for address in sorted(unheard)]
        for inner in [inner for inner, asked in self._asked.items() if asked.id == identity]:
            del self._asked[inner]
            self._tokens.pop(inner, None)
            moves.append(_to_router(message.with_words([(place, str(inner))])))
        return moves

    # What comes back

    def _answered(self, message: Message) -> Sequence[Move]:
        inner = message.id
        if inner == _HELLO:
            return self._greeted(message)
        if before := self._before.pop(inner, None):
            return [move for held in before[1] for move in self._pass(held)]
        if asked := self._asked.pop(inner, None):
            self._tokens.pop(inner, None)
            return [_to_client(self._translated(asked, message))]
        if parked := self._parking.of([inner]):
            parked.answer = message
        return self._give_up()

    def _greeted(self, message: Message) -> Sequence[Move]:
        waiting, self._waiting = self._waiting or [], []
        if "result" not in message.top:
            self._can, self._failed = {}, message
            return [_to_client(message.with_id(item.raw_id)) for item in waiting]
        text = message.written(message.top["result"])
        found = members_of(text)
        self._can = found["capabilities"].value
        self._server = f"{{{dumps(SERVER)}:{text[found['serverInfo'].at : found['serverInfo'].end]}}}"
        kept = [text[found[name].start : found[name].end] for name in ("capabilities", "instructions") if name in found]
        said = [f'"supportedVersions":{dumps([STATELESS])}', *kept, *_members(self._expected(DISCOVER))]
        self._discovered = f"{{{','.join(said)}}}"
        return [move for item in waiting for move in self._handle(item)]

    def _translated(self, asked: _Asked, message: Message) -> str:
        if "result" not in message.top:
            code = inside(message.top["error"]).get("code")
            instead = _RETIRED.get(message.error_code or 0)
            return message.with_id(asked.raw, *([(code, str(instead))] if code and instead else []))
        result = message.top["result"]
        kind = members_of(message.written(result)).get("resultType")
        is_whole = kind is None or kind.value == "complete"
        text = completed(message, self._expected(asked.method)) if is_whole else message.written(result)
        return message.with_id(asked.raw, (result, text))

    def _expected(self, method: str) -> Mapping[str, str]:
        """Return what results have in this version, with what is true where a server did not say it."""
        found = {"resultType": '"complete"'}
        if method in CACHED:
            found |= {"ttlMs": "0", "cacheScope": '"private"'}
        return {**found, "_meta": self._server} if method in {DISCOVER, *KINDS} else found

    def _demanded(self, server: str, message: Message) -> Sequence[Move]:
        """Take a server's request; what belongs to no call of a client that can do it is refused."""
        if message.method == "ping":
            return [_to_router(answer_text(message.raw_id, "{}"))]
        working = self._behind.working(server)
        params = f',"params":{message.written(message.top["params"])}' if "params" in message.top else ""
        demand = Demand(raw=message.raw_id, text=f'{{"method":{dumps(message.method)}{params}}}')
        need = NEEDS.get(message.method)
        calls = [inner for inner in working if inner in self._asked and self._asked[inner].method in INTERACTIVE]
        if need and calls and need in self._asked[calls[-1]].able:
            return self._park(calls[-1], {self._parking.name(): demand})
        parked = self._parking.of(working)
        is_room = parked and len(parked.demanded) < _MOST_DEMANDS and self._parking.has_room(demand)
        if need and not calls and parked and is_room:
            parked.demanded[self._parking.name()] = demand
            return []
        return [_to_router(error_text(message.raw_id, _NO_METHOD, "the client can do nothing of that kind now"))]

    def _told(self, server: str, message: Message) -> Sequence[Move]:
        if message.method in CHANGES or message.method == UPDATED:
            return [_to_client(text) for text in self._subscriptions.told(message)]
        if message.method == "notifications/cancelled":
            place = message.params.get("requestId")
            self._parking.take_back(message.written(place) if place else "")
            return []
        if message.method == "notifications/progress":
            return self._progress(server, message)
        if message.method == "notifications/message" and not self._wants(server, message):
            return []
        return [] if message.method in _UNHEARD else [_to_client(message.text)]

    def _progress(self, server: str, message: Message) -> Sequence[Move]:
        """Pass progress on, to the request by which a client came back if it did."""
        place = message.token_place
        token = message.written(place) if place else ""
        for inner in self._behind.working(server):
            now = self._asked[inner].token if inner in self._asked else ""
            if place and self._tokens.get(inner) == token:
                return [_to_client(message.with_words([(place, now)]))] if now else []
        return []

    def _wants(self, server: str, message: Message) -> bool:
        """Whether somebody who has asked a server for something wants what it logs."""
        level = message.param("level")
        number = LEVELS.index(level) if level in LEVELS else len(LEVELS)
        working = self._behind.working(server)
        return any(number >= self._asked[inner].level for inner in working if inner in self._asked)


def refusal(message: Message, supported: Sequence[str]) -> str:
    """Return the error that says why a request is none of 2026-07-28; "" if it is one.

    Args:
        message: The request.
        supported: The versions that the client may use instead.
    """
    data = {"supported": list(supported)}
    if message.method == "initialize":
        requested = message.param("protocolVersion") or ""
        text = f"this connection speaks {STATELESS} by now"
        return error_text(message.raw_id, _UNSUPPORTED, text, {**data, "requested": requested})
    version, able = message.scalar(message.meta.get(VERSION)), message.meta.get(ABLE)
    if not isinstance(version, str) or able is None or not isinstance(able.value, Mapping):
        return error_text(message.raw_id, _PARAMS, f"params._meta has to have {VERSION}, a text, and {ABLE}, an object")
    if version != STATELESS:
        text = f"the version of the protocol is not {STATELESS}"
        return error_text(message.raw_id, _UNSUPPORTED, text, {**data, "requested": version})
    return "" if message.is_clear else error_text(message.raw_id, _INVALID, "a member is there twice")


def _asked(message: Message) -> _Asked:
    level = message.scalar(message.meta.get(LEVEL))
    place = message.token_place
    return _Asked(
        id=message.id,
        raw=message.raw_id,
        method=message.method,
        subject=_subject(message),
        able=frozenset(message.meta[ABLE].value),
        level=LEVELS.index(level) if level in LEVELS else len(LEVELS) + 1,
        token=message.written(place) if place else "",
    )


def _unanswered(parked: Parked) -> Sequence[Move]:
    """Return what servers get for what a client did not bring."""
    texts = [error_text(demand.raw, _INTERNAL, "the client did not bring it") for demand in parked.demanded.values()]
    return [_to_router(text) for text in texts]


def _subject(message: Message) -> tuple[str, str]:
    return message.method, message.param("name") or message.param("uri") or ""


def _request(identity: int, method: str, params: Mapping[str, Any] | None = None) -> str:
    return dumps({"jsonrpc": "2.0", "id": identity, "method": method, "params": params or {}})


def _members(found: Mapping[str, str]) -> Sequence[str]:
    return [f"{dumps(name)}:{text}" for name, text in found.items()]


def _to_client(text: str) -> Move:
    return Move(to="client", text=text)


def _to_router(text: str) -> Move:
    return Move(to="router", text=text)
