"""What tells messages of protocol 2026-07-28 from earlier ones, and how one becomes the other: as text, like everything here.

Up to 2025-11-25 `initialize` begins a session. Since 2026-07-28 each request says by itself, in its `_meta`, which version it
speaks and what its client can; servers ask nothing, and tell only of what somebody listens for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hatchlock.serve.envelope import Message, dumps, inside, messages_of
from hatchlock.serve.group.shapes import KINDS
from hatchlock.serve.outline import Member, members, whole

__all__ = [
    "ABLE",
    "CACHED",
    "CLIENT",
    "DISCOVER",
    "INTERACTIVE",
    "LEVEL",
    "LEVELS",
    "LISTEN",
    "NEEDS",
    "SERVER",
    "SESSIONS",
    "STATELESS",
    "SUBSCRIPTION",
    "VERSION",
    "WITH_SESSIONS",
    "Move",
    "answer_text",
    "completed",
    "demands",
    "error_text",
    "extended",
    "is_stateless",
    "members_of",
    "names_of",
    "notification",
    "objects_in",
    "with_meta",
    "without_inputs",
]

STATELESS = "2026-07-28"
"""The version in which each request stands for itself."""
WITH_SESSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Those that begin with `initialize`, the newest first."""
SESSIONS = WITH_SESSIONS[0]

_PREFIX = "io.modelcontextprotocol/"
VERSION, CLIENT, ABLE = f"{_PREFIX}protocolVersion", f"{_PREFIX}clientInfo", f"{_PREFIX}clientCapabilities"
LEVEL, SERVER, SUBSCRIPTION = f"{_PREFIX}logLevel", f"{_PREFIX}serverInfo", f"{_PREFIX}subscriptionId"

DISCOVER, LISTEN = "server/discover", "subscriptions/listen"
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
INTERACTIVE = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Requests that a server may answer with a demand for something from the client."""
NEEDS: Mapping[str, str] = {
    "elicitation/create": "elicitation",
    "roots/list": "roots",
    "sampling/createMessage": "sampling",
}
"""What a server may ask of a client -> what the client has to be able to do."""
_INPUTS = frozenset({"inputResponses", "requestState"})
CACHED = frozenset({*KINDS, DISCOVER, "resources/read"})
"""Requests whose results say how long they may be kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A message on its way through a group.

    Attributes:
        to: The router, the client or a server.
        text: The message.
        server: Which server it goes to, or comes from; "" where it comes from the client.
    """

    to: Literal["client", "router", "server"]
    text: str
    server: str = field(default="")


def is_stateless(message: Message) -> bool:
    """Whether a request can only be of a client without a session, of whichever version."""
    return message.method != "initialize" and (VERSION in message.meta or message.method == DISCOVER)


def names_of(text: str) -> frozenset[str]:
    """Return the names of an object's members; none of anything else."""
    return frozenset(members_of(text))


def members_of(text: str) -> Mapping[str, Member]:
    """Return the members of an object, by name; none of anything else. Of a repeated one the last counts."""
    found = whole(text, members({}))
    return {item.name: item for item in found} if _is_object(text) and isinstance(found, tuple) else {}


def objects_in(message: Message, name: str, key: str) -> Mapping[str, str]:
    """Return what an object has that is the member `key` of a message's member `name`: name -> JSON."""
    found = message.read(name, members({key: members({})}))
    if not isinstance(found, tuple):
        return {}
    held = next((item for item in reversed(found) if isinstance(item, Member) and item.name == key), None)
    return {item.name: message.written(item) for item in inside(held).values()}


def with_meta(message: Message, meta: Mapping[str, str], *changes: tuple[Member, str]) -> str:
    """Return a request's or notification's text with other members in its `_meta`.

    Args:
        message: Which.
        meta: Name -> JSON; "" leaves the member out.
        changes: Others, of members that do not overlap with its params' `_meta`.
    """
    kept = [message.text[item.start : item.end] for name, item in message.meta.items() if name not in meta]
    content = ",".join([*kept, *(f"{dumps(name)}:{text}" for name, text in meta.items() if text)])
    if place := message.params.get("_meta"):
        return message.with_words([(place, f"{{{content}}}"), *changes])
    if not content:
        return message.with_words(changes)
    text = message.with_words(changes)
    added = f'"_meta":{{{content}}}'
    if "params" not in message.top:
        return f'{text[:-1]},"params":{{{added}}}}}'
    place = members_of(text)["params"]
    return f"{text[: place.at]}{extended(text[place.at : place.end], added)}{text[place.end :]}"


def without_inputs(message: Message) -> Message:
    """Return a request without what it brings because a server has demanded it."""
    kept = [message.text[item.start : item.end] for name, item in message.params.items() if name not in _INPUTS]
    if len(kept) == len(message.params):
        return message
    text = message.with_words([(message.top["params"], f"{{{','.join(kept)}}}")])
    return messages_of(text.encode(errors="surrogateescape"))[0]


def demands(answer: Message) -> bool:
    """Whether a server's answer says that it wants to know something first."""
    if "result" not in answer.top:
        return False
    kind = members_of(answer.written(answer.top["result"])).get("resultType")
    return kind is not None and kind.value == "input_required"


def extended(text: str, added: str) -> str:
    """Return an object with members before its own; what is no object as it is."""
    if not added or not _is_object(text):
        return text
    return f"{{{added}{'' if text[1:].lstrip().startswith('}') else ','}{text[1:]}"


def completed(answer: Message, expected: Mapping[str, str]) -> str:
    """Return the result of an answer with those members, name -> JSON, that it does not have."""
    text = answer.written(answer.top["result"])
    there = names_of(text)
    return extended(text, ",".join(f"{dumps(name)}:{value}" for name, value in expected.items() if name not in there))


def answer_text(identity: str, result: str) -> str:
    """Return an answer; id and result are JSON."""
    return f'{{"jsonrpc":"2.0","id":{identity},"result":{result}}}'


def error_text(identity: str, code: int, text: str, data: Mapping[str, Any] | None = None) -> str:
    """Return an answer that says what went wrong, with data that programs read."""
    error = {"code": code, "message": text, **({"data": data} if data else {})}
    return f'{{"jsonrpc":"2.0","id":{identity},"error":{dumps(error)}}}'


def notification(method: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """Return a notification; parameters are JSON."""
    content = ",".join(f"{dumps(name)}:{value}" for name, value in params)
    return f'{{"jsonrpc":"2.0","method":{dumps(method)},"params":{{{content}}}}}'


def _is_object(text: str) -> bool:
    return text.startswith("{")
