"""The server side of MCP's streamable HTTP, for a server that speaks stdio: sessions, streams, and the era without them.

Messages pass as they were sent. What is looked at is what the transport is about: which request an answer is for, whether
somebody says hello, and the version. Everything else, pins and filters included, is the affair of each session's `run`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from hatchlock.serve.envelope import Message, messages_of
from hatchlock.serve.front.guard import refusal
from hatchlock.serve.front.http import Exchange, Gone, Scope, accepted
from hatchlock.serve.front.idle import Idle, state_brought, state_given
from hatchlock.serve.front.session import Session
from hatchlock.serve.outline import members

__all__ = ["SESSIONS_ERA", "STATELESS_ERA", "Front", "Limits"]

SESSIONS_ERA = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Versions of the protocol that begin with `initialize`."""
STATELESS_ERA = ("2026-07-28",)
"""Versions in which every request stands for itself."""

_PRIMED_SINCE = "2025-11-25"
_SESSION = "mcp-session-id"
_VERSION = "mcp-protocol-version"
_UNKNOWN = 401
_PARSE, _INTERNAL = -32700, -32603
_MISMATCH, _UNSUPPORTED = -32020, -32022
_NUMBER = re.compile(r"[0-9]{1,18}")
_QUICK = 15.0
"""Seconds in which an answer without a session is waited for before its stream begins."""
_STATUS_OF = {-32700: 400, -32600: 400, -32602: 400, -32601: 404, -32020: 400, -32021: 400, -32022: 400}
_DISCOVER = "server/discover"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a front takes on.

    Attributes:
        sessions: At once; each is a process of its own.
        idle: Seconds after which a session ends that nobody uses.
        body: Bytes of a request.
    """

    sessions: int = 32
    idle: float = 1800.0
    body: int = 64 << 20


class Front:
    """An ASGI application. Used in one event loop.

    Args:
        start: Starts a session; raises `OSError` when it cannot.
        path: Where it answers, `/mcp`.
        token: What every request has to bring; "" for nothing.
        token_command: The command that prints it, for who brings none.
        limits: What it takes on.
        knocked: Called for each request that brings another token. One without any may ask only whether somebody is here.
    """

    def __init__(
        self,
        start: Callable[[], Awaitable[Session]],
        *,
        path: str,
        token: str,
        token_command: str,
        limits: Limits,
        knocked: Callable[[], None] = lambda: None,
    ) -> None:
        self._start = start
        self._path = path
        self._token = token
        self._token_command = token_command
        self._limits = limits
        self._knocked = knocked
        self._sessions: dict[str, Session] = {}
        self._idle = Idle()
        self._taken = 0
        self._ending: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: object, send: object) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)  # type: ignore[arg-type]
        try:
            await self._answer(exchange)
        except Gone:
            return

    async def tidy(self) -> None:
        """End sessions that nobody uses, now and then, until cancelled."""
        while True:
            await asyncio.sleep(min(self._limits.idle / 4, 5.0))
            since = time.monotonic() - self._limits.idle
            for session in [*self._sessions.values(), *self._idle]:
                if session.is_ended or (session.used < since and not session.is_listened_to):
                    self._retire(session)
                elif session.is_listened_to:
                    session.used = time.monotonic()  # whoever is cut off has as long to come back

    async def close(self) -> None:
        """End all sessions, and wait for that."""
        for session in [*self._sessions.values(), *self._idle]:
            self._retire(session, at_once=True)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.path != self._path:
            await exchange.refuse(404, f"it is served at {self._path}")
            return
        if refused := refusal(exchange.headers, self._token, self._token_command):
            challenge = {"www-authenticate": "Bearer"} if refused.status == _UNKNOWN else {}
            if challenge and "authorization" in exchange.headers:
                self._knocked()
            await exchange.refuse(refused.status, refused.why, headers=challenge)
            return
        handlers = {"POST": self._post, "GET": self._get, "DELETE": self._delete}
        handler = handlers.get(exchange.method)
        version = exchange.headers.get(_VERSION, "")
        if handler is None or (version in STATELESS_ERA and exchange.method != "POST"):
            allowed = "POST" if version in STATELESS_ERA else "GET, POST, DELETE"
            await exchange.refuse(405, "there is nothing of that method here", headers={"allow": allowed})
        elif version and version not in {*SESSIONS_ERA, *STATELESS_ERA}:
            await exchange.refuse(400, f"the version of the protocol is none of {_known()}", code=_UNSUPPORTED)
        else:
            await handler(exchange)

    async def _post(self, exchange: Exchange) -> None:
        kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            await exchange.refuse(415, "a message is sent as application/json")
            return
        takes = accepted(exchange.headers)
        if not takes.json and not takes.events:
            await exchange.refuse(406, "answers are application/json or text/event-stream")
            return
        body = await exchange.body(self._limits.body)
        if body is None:
            await exchange.refuse(413, f"a message may have {self._limits.body} bytes")
            return
        try:
            messages = messages_of(body)
        except ValueError:
            await exchange.refuse(400, "the body is no message of JSON-RPC 2.0", code=_PARSE)
            return
        line = _in_one_line(body)
        if exchange.headers.get(_VERSION, "") in STATELESS_ERA:
            await self._stateless(exchange, messages, line)
        elif _SESSION in exchange.headers:
            await self._in_session(exchange, messages, line)
        elif len(messages) == 1 and messages[0].method == "initialize" and messages[0].is_request:
            await self._hello(exchange, messages, line)
        else:
            await exchange.refuse(400, "a session begins with initialize; later requests bring its Mcp-Session-Id")

    async def _hello(self, exchange: Exchange, messages: Sequence[Message], line: bytes) -> None:
        session = await self._started(exchange)
        if session is None:
            return
        takes = accepted(exchange.headers)
        try:
            stream = session.open(messages, whole=takes.events)
            await session.send(line)
            answer = await exchange.whole(stream)
        except (Gone, asyncio.CancelledError):
            self._retire(session)
            raise
        finally:
            self._taken -= 1
        said = messages_of(answer.data)[0] if answer else None
        if answer is None or said is None or "result" not in said.top:
            self._retire(session)
            await exchange.answer(200, answer.data if answer else b"")
            return
        agreed = next((item for item in said.read("result", members({})) if item.name == "protocolVersion"), None)
        session.protocol = str(said.scalar(agreed) or "")
        self._sessions[session.name] = session
        headers = {"mcp-session-id": session.name}
        if takes.events:
            await exchange.stream(stream, after=0, first=_priming(session, stream.name), headers=headers)
        else:
            await exchange.answer(200, answer.data, headers)

    async def _in_session(self, exchange: Exchange, messages: Sequence[Message], line: bytes) -> None:
        session = await self._known(exchange)
        if session is None:
            return
        if not any(message.is_request for message in messages):
            await session.send(line)
            await exchange.answer(202)
            return
        if session.waits_for(messages):
            await exchange.refuse(400, "a request with that id is not answered yet")
            return
        takes = accepted(exchange.headers)
        if not takes.events and len(messages) > 1:
            await exchange.refuse(406, "a batch is answered as text/event-stream")
            return
        stream = session.open(messages, whole=takes.events)
        if takes.events:
            sending = asyncio.ensure_future(session.send(line))
            try:
                await exchange.stream(stream, first=_priming(session, stream.name))
            finally:
                await sending
            return
        await session.send(line)
        answer = await exchange.whole(stream)
        await exchange.answer(200, answer.data if answer else b"")

    async def _get(self, exchange: Exchange) -> None:
        if not accepted(exchange.headers).events:
            await exchange.refuse(406, "what a server says by itself comes as text/event-stream")
            return
        session = await self._known(exchange)
        if session is None:
            return
        last = exchange.headers.get("last-event-id")
        if last is None:
            await exchange.stream(session.standalone, first=_priming(session, "0"))
            return
        name, _, number = last.rpartition("-")
        stream = session.stream(name)
        if stream is None or not _NUMBER.fullmatch(number):
            await exchange.refuse(400, "what followed that event is not kept any more")
            return
        await exchange.stream(stream, after=int(number))

    async def _delete(self, exchange: Exchange) -> None:
        session = await self._known(exchange)
        if session is not None:
            self._retire(session)
            await exchange.answer(204)

    async def _stateless(self, exchange: Exchange, messages: Sequence[Message], line: bytes) -> None:
        message = messages[0]
        if len(messages) > 1 or not message.method:
            await exchange.refuse(400, "the body has to be one request or notification")
            return
        if not message.is_request:
            await exchange.answer(202)  # in this era no notification means anything without its request
            return
        if wrong := _mismatch(message, exchange.headers):
            await exchange.refuse(400, wrong, code=_MISMATCH, identity=message.raw_id)
            return
        session = self._taken_from_idle(state_brought(message)) or await self._started(exchange)
        if session is None:
            return
        takes = accepted(exchange.headers)
        stream = session.open(messages, whole=takes.events)
        is_of_use = True
        try:
            await session.send(line)
            first = await exchange.whole(stream, _QUICK if takes.events else None)
            if first and stream.is_finished and first.number == stream.last:
                # else its client says hello next, and has a session of its own
                is_of_use = message.method != _DISCOVER or _knows_era(first.data)
                await exchange.answer(_status_of(first.data), first.data)
            else:
                await exchange.stream(stream, after=0, numbered=False)
        finally:
            self._taken -= 1
            # who leaves before the answer has come takes the request back
            is_full = len(self._idle) >= self._limits.sessions
            if stream.waiting or session.is_ended or is_full or not is_of_use:
                self._retire(session)
            else:
                self._idle.put(session, state_given(stream.newest))

    def _taken_from_idle(self, state: str) -> Session | None:
        while session := self._idle.take(state):
            if not session.is_ended:
                self._taken += 1
                return session
            self._retire(session)
        return None

    async def _started(self, exchange: Exchange) -> Session | None:
        """Return a new session that counts as taken, or answer that there cannot be one."""
        if self._idle and len(self._sessions) + len(self._idle) + self._taken >= self._limits.sessions:
            self._retire(next(iter(self._idle)))
        if len(self._sessions) + len(self._idle) + self._taken >= self._limits.sessions:
            await exchange.refuse(503, f"there are {self._limits.sessions} sessions already", code=_INTERNAL)
            return None
        self._taken += 1
        try:
            return await self._start()
        except OSError as error:
            self._taken -= 1
            await exchange.refuse(500, f"the server cannot be started: {error.strerror}", code=_INTERNAL)
            return None

    async def _known(self, exchange: Exchange) -> Session | None:
        """Return the session that a request names, or answer that there is none."""
        name = exchange.headers.get(_SESSION)
        session = self._sessions.get(name or "")
        if session is not None and session.is_ended:
            self._retire(session)
            session = None
        if name is None:
            await exchange.refuse(400, "it takes the Mcp-Session-Id that initialize gave")
        elif session is None:
            await exchange.refuse(404, "there is no such session, or it has ended")
        else:
            session.used = time.monotonic()
        return session

    def _retire(self, session: Session, *, at_once: bool = False) -> None:
        """End a session, beside everything else."""
        self._sessions.pop(session.name, None)
        self._idle.drop(session)
        task = asyncio.get_running_loop().create_task(session.end(at_once=at_once))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _priming(session: Session, stream: str) -> bytes:
    """Return the event by which a client can come back to a stream before anything was on it; older ones fail on it."""
    is_known = session.protocol in SESSIONS_ERA and session.protocol >= _PRIMED_SINCE
    return f"id: {stream}-0\ndata: \n\n".encode() if is_known else b""


def _in_one_line(body: bytes) -> bytes:
    """JSON has newlines between its values only, where a blank says the same."""
    return body.strip().replace(b"\n", b" ").replace(b"\r", b" ")


def _known() -> str:
    return ", ".join((*SESSIONS_ERA, *STATELESS_ERA))


def _mismatch(message: Message, headers: Mapping[str, str]) -> str:
    """Return how the headers that others route by differ from what they are about; "" if they do not."""
    if headers.get("mcp-method") != message.method:
        return "the header Mcp-Method has to be the method of the body"
    key = _NAMED_BY.get(message.method)
    if key and _decoded(headers.get("mcp-name", "")) != message.param(key):
        return f"the header Mcp-Name has to be the {key} of the body"
    if message.scalar(message.meta.get("io.modelcontextprotocol/protocolVersion")) != headers.get(_VERSION):
        return "the header MCP-Protocol-Version has to be the version of the body"
    return ""


def _decoded(value: str) -> str | None:
    if not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[len("=?base64?") : -2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _knows_era(answer: bytes) -> bool:
    """Whether a server answers `server/discover` by a version without sessions."""
    try:
        return not {*STATELESS_ERA}.isdisjoint(json.loads(answer)["result"]["supportedVersions"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _status_of(answer: bytes) -> int:
    code = messages_of(answer)[0].error_code
    return 200 if code is None else _STATUS_OF.get(code, 200)
