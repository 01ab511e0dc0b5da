"""Between the router and one of its servers: a server that speaks only 2026-07-28 is, for the router, one of 2025-11-25.

What a server speaks is found as a probe does it: `initialize` first, and `server/discover` where that is answered with an error
([0054](../../../../docs/decisions/0054-probing-and-quarantine.md)).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hatchlock.serve.envelope import Message, dumps, messages_of
from hatchlock.serve.group.eras import (
    ABLE,
    CLIENT,
    DISCOVER,
    INTERACTIVE,
    LEVEL,
    LEVELS,
    LISTEN,
    SESSIONS,
    STATELESS,
    SUBSCRIPTION,
    VERSION,
    Move,
    answer_text,
    error_text,
    members_of,
    names_of,
    notification,
    with_meta,
)
from hatchlock.serve.group.inputs import Inputs
from hatchlock.serve.outline import Unreadable

__all__ = ["ServerSide"]

_DISCOVER, _LEVEL, _LISTEN = "hatchlock-discover", "hatchlock-level", "hatchlock-listen"
_NO_METHOD, _PARAMS = -32601, -32602
_CHANGES: Mapping[str, str] = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}
_NONE: Mapping[str, str] = dict.fromkeys((VERSION, ABLE, CLIENT, LEVEL), "")


class ServerSide:
    """What stands before one server.

    Args:
        server: Its name.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._era = ""
        self._hello: Message | None = None
        self._is_discovering = False
        self._able = "{}"
        self._client = ""
        self._level = ""
        self._logs = False
        self._inputs = Inputs(server)
        self._numbers = itertools.count(1)
        self._listening: dict[str, tuple[str, str]] = {}
        self._listens_to_all = False
        self._handlers: Mapping[str, Callable[[Message], Sequence[Move]]] = {
            "logging/setLevel": self._set_level,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
        }

    @property
    def is_transparent(self) -> bool:
        """Whether what it says goes to the router as it is."""
        return self._era == SESSIONS

    def sent(self, text: str, *, stateless: bool) -> Sequence[Move]:
        """Take what the router has for the server.

        Args:
            text: The message.
            stateless: Whether the client speaks 2026-07-28, so that it may say so.
        """
        if self._era == SESSIONS and not stateless:
            return [self._down(text)]
        try:
            return self._to_server(text)
        except Unreadable:
            return [self._down(text)]  # nested so deep that it could only just be parsed: let the server say so

    def said(self, line: bytes) -> Sequence[Move]:
        """Take a line of the server's."""
        try:
            messages = messages_of(line)
        except ValueError:
            return []
        moves: list[Move] = []
        for message in messages:
            with contextlib.suppress(Unreadable):  # nested so deep that it can only just be parsed
                moves += self._from_server(message)
        return moves

    def ending(self) -> Sequence[Move]:
        """The group ends: listen no more, as a server may wait for that."""
        listening = [*([_LISTEN] if self._listens_to_all else []), *self._listening]
        self._listens_to_all = False
        self._listening.clear()
        return [self._taken_back(identity) for identity in listening]

    def _to_server(self, text: str) -> Sequence[Move]:
        message = messages_of(text.encode(errors="surrogateescape"))[0]
        if self._era == STATELESS:
            return self._to_stateless(message)
        if message.method == "initialize":
            self._greets(message)
        return self._to_sessions(message) if message.is_request else [self._down(text)]

    # A server with sessions

    def _greets(self, message: Message) -> None:
        self._hello = message
        self._able = message.written(message.params["capabilities"]) if "capabilities" in message.params else "{}"
        self._client = message.written(message.params["clientInfo"]) if "clientInfo" in message.params else ""

    def _to_sessions(self, message: Message) -> Sequence[Move]:
        """Take off what only 2026-07-28 knows: some servers refuse it within a session."""
        if not any(name in message.meta for name in _NONE):
            return [self._down(message.text)]
        level = message.scalar(message.meta.get(LEVEL))
        moves = []
        if self._logs and level in LEVELS and level != self._level:
            self._level = level
            params = dumps({"level": level})
            text = f'{{"jsonrpc":"2.0","id":"{_LEVEL}","method":"logging/setLevel","params":{params}}}'
            moves.append(self._down(text))
        return [*moves, self._down(with_meta(message, _NONE))]

    def _from_server(self, message: Message) -> Sequence[Move]:
        if self._era == STATELESS:
            return self._from_stateless(message)
        hello = self._hello
        if hello is None or not message.is_answer:
            return [self._up(message.text)]
        if self._is_discovering:
            return self._discovered(hello, message) if message.id == _DISCOVER else []
        return self._greeted(message) if message.id == hello.id else []

    def _greeted(self, answer: Message) -> Sequence[Move]:
        if "error" in answer.top:
            self._is_discovering = True
            request = f'{{"jsonrpc":"2.0","id":"{_DISCOVER}","method":"{DISCOVER}","params":{{}}}}'
            return [self._down(with_meta(_message(request), self._envelope()))]
        self._era, self._hello = SESSIONS, None
        result = members_of(answer.written(answer.top["result"]))
        can = result.get("capabilities")
        self._logs = can is not None and isinstance(can.value, dict) and "logging" in can.value
        return [self._up(answer.text)]

    def _discovered(self, hello: Message, answer: Message) -> Sequence[Move]:
        self._hello = None
        text = answer.written(answer.top["result"]) if "result" in answer.top else ""
        found = members_of(text) if text else {}
        versions = found["supportedVersions"].value if "supportedVersions" in found else ()
        if STATELESS not in (versions if isinstance(versions, list) else ()):
            self._era = SESSIONS
            why = f"it speaks no version up to {SESSIONS}, nor {STATELESS}"
            return [self._up(error_text(hello.raw_id, _NO_METHOD, why))]
        self._era = STATELESS
        kept = [text[found[name].start : found[name].end] for name in ("capabilities", "instructions") if name in found]
        result = ",".join([f'"protocolVersion":"{SESSIONS}"', *kept])
        can = found["capabilities"].value if "capabilities" in found else {}
        return [self._up(answer_text(hello.raw_id, f"{{{result}}}")), *self._listens(can)]

    # A server without

    def _envelope(self) -> Mapping[str, str]:
        found = {VERSION: dumps(STATELESS), ABLE: self._able, CLIENT: self._client}
        return {**found, LEVEL: self._level} if self._level else found

    def _listens(self, can: Any) -> Sequence[Move]:
        """Ask it to tell of changes of what it lists, as servers with sessions do by themselves."""
        kinds = can if isinstance(can, Mapping) else {}
        wanted = {
            flag: True
            for name, flag in _CHANGES.items()
            if isinstance(kinds.get(name), Mapping) and kinds[name].get("listChanged") is True
        }
        self._listens_to_all = bool(wanted)
        return [self._listen(_LISTEN, wanted)] if wanted else []

    def _listen(self, identity: str, wanted: Mapping[str, Any]) -> Move:
        params = dumps({"notifications": wanted})
        request = f'{{"jsonrpc":"2.0","id":"{identity}","method":"{LISTEN}","params":{params}}}'
        return self._down(with_meta(_message(request), self._envelope()))

    def _to_stateless(self, message: Message) -> Sequence[Move]:
        if message.is_answer:
            return self._inputs.replied(message)
        if not message.is_request:
            return self._inputs.cancelled(message) if message.method == "notifications/cancelled" else []
        if handler := self._handlers.get(message.method):
            return handler(message)
        if VERSION in message.meta:
            return [self._down(message.text)]
        text = with_meta(message, self._envelope())
        if message.method in INTERACTIVE:
            self._inputs.called(message, text)
        return [self._down(text)]

    def _set_level(self, message: Message) -> Sequence[Move]:
        """Remember a level: each request has to name it."""
        level = message.params.get("level")
        self._level = message.written(level) if level else ""
        return [self._up(answer_text(message.raw_id, "{}"))]

    def _subscribe(self, message: Message) -> Sequence[Move]:
        uri = message.param("uri") or ""
        if any(known == uri for known, _ in self._listening.values()):
            return [self._up(answer_text(message.raw_id, "{}"))]
        identity = f"{_LISTEN}-{next(self._numbers)}"
        self._listening[identity] = (uri, message.raw_id)
        return [self._listen(identity, {"resourceSubscriptions": [uri]})]

    def _unsubscribe(self, message: Message) -> Sequence[Move]:
        uri = message.param("uri")
        ended = [identity for identity, (known, _) in self._listening.items() if known == uri]
        if not ended:
            return [self._up(error_text(message.raw_id, _PARAMS, "nobody has subscribed to that resource"))]
        # one that was not acknowledged is still waited for
        waiting = [raw for raw in (self._listening.pop(identity)[1] for identity in ended) if raw]
        answered = [self._up(answer_text(raw, "{}")) for raw in (*waiting, message.raw_id)]
        return [*map(self._taken_back, ended), *answered]

    def _taken_back(self, identity: str) -> Move:
        return self._down(notification("notifications/cancelled", [("requestId", dumps(identity))]))

    def _from_stateless(self, message: Message) -> Sequence[Move]:
        if message.is_request:
            text = error_text(message.raw_id, _NO_METHOD, f"since {STATELESS} servers send no requests")
            return [self._down(text)]
        if not message.is_answer:
            return self._told(message)
        if message.id == _LISTEN:
            self._listens_to_all = False
            return []
        if message.id in self._listening:
            _, raw = self._listening.pop(message.id)
            # once it was acknowledged, nobody waits for this
            return [self._up(message.with_id(raw))] if raw else []
        return self._inputs.answered(message, names_of(self._able))

    def _told(self, message: Message) -> Sequence[Move]:
        if message.method == "notifications/cancelled":
            return []  # the end of what we listen to
        listened = message.scalar(message.meta.get(SUBSCRIPTION))
        if message.method == "notifications/subscriptions/acknowledged":
            return self._acknowledged(str(listened), message)
        return [self._up(with_meta(message, {SUBSCRIPTION: ""}) if listened is not None else message.text)]

    def _acknowledged(self, identity: str, message: Message) -> Sequence[Move]:
        uri, raw = self._listening.get(identity, ("", ""))
        if not raw:
            return []
        self._listening[identity] = (uri, "")
        params = message.params.get("notifications")
        told = params.value.get("resourceSubscriptions") if params and isinstance(params.value, Mapping) else None
        if isinstance(told, list) and uri in told:
            return [self._up(answer_text(raw, "{}"))]
        del self._listening[identity]
        return [self._up(error_text(raw, _NO_METHOD, "the server does not tell of that resource"))]

    def _down(self, text: str) -> Move:
        return Move(to="server", server=self._server, text=text)

    def _up(self, text: str) -> Move:
        return Move(to="router", server=self._server, text=text)


def _message(text: str) -> Message:
    return messages_of(text.encode())[0]
