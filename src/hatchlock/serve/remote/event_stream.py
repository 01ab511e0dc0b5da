"""HTTP with server-sent events, the way before streamable HTTP: one stream brings everything, POSTs take everything there.

The stream begins by naming the address of the POSTs. When it ends the server has forgotten its session: what was asked has
no answer, and the next message begins another session.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from functools import partial

from hatchlock.errors import HatchlockError
from hatchlock.net.exchange import Answer, Elsewhere, Exchanges, Unreachable, address_from, bare_address, same_origin
from hatchlock.serve.remote.authority import Authority
from hatchlock.serve.remote.bridge import Outlet
from hatchlock.serve.remote.connecting import patiently
from hatchlock.serve.remote.events import Event, Events, EventTooLong
from hatchlock.serve.remote.failures import AnswerLost, LoginNeeded, RemoteRefused
from hatchlock.serve.remote.messages import Said, answers, one_line

__all__ = ["EventStream"]

_OK = 200
_FIRST_REFUSAL = 300
_UNAUTHORIZED = 401
_ENDPOINT_SECONDS = 30.0
_PROMPT_SECONDS = 30.0
_INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
_AGAIN = '"hatchlock-again"'


@dataclass(slots=True, eq=False)
class _Stream:
    """One stream.

    Attributes:
        answer: It.
        endpoint: Where its messages go; "" until it says so.
        waiting: The ids of requests that it has to answer.
        named: Set when `endpoint` is known, or the stream is over.
        begun: Set when it has answered an `initialize` of ours, or is over.
        over: Set at its end.
        wrong: What it did wrong.
    """

    answer: Answer
    endpoint: str = ""
    waiting: set[str] = field(default_factory=set)
    named: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    wrong: HatchlockError | None = None


class EventStream:
    """A `Way`: HTTP with server-sent events.

    Args:
        server: Its name, for what is said.
        exchanges: The address of its stream.
        authority: Who asks.
    """

    def __init__(self, server: str, exchanges: Exchanges, authority: Authority) -> None:
        self._server = server
        self._exchanges = exchanges
        self._authority = authority
        self._url = bare_address(exchanges.url)
        self._stream: _Stream | None = None
        self._opening = b""
        self._lock = threading.Lock()

    def is_first(self, said: Said) -> bool:
        """Whether it is the `initialize`."""
        return said.method == "initialize"

    def carry(self, line: bytes, said: Said, outlet: Outlet) -> None:
        """Carry one message; its answer comes by the stream."""
        if self.is_first(said):
            self._opening = line
        stream = self._opened(said, outlet)
        stream.waiting.update(said.requests)
        try:
            self._post(stream, line, outlet)
        except HatchlockError:
            stream.waiting.difference_update(said.requests)
            raise
        if stream.over.is_set():
            self._lose(stream, outlet)  # it may have ended before it knew of these

    def end(self) -> None:
        """End the stream."""
        if self._stream is not None:
            self._stream.over.set()
            self._stream.answer.stop()
        self._exchanges.close()

    def _opened(self, said: Said, outlet: Outlet) -> _Stream:
        with self._lock:
            if self._stream is not None and not self._stream.over.is_set():
                return self._stream
            again = self._stream is not None and not self.is_first(said)
            stream = self._open(outlet)
            if again and self._opening:
                self._begin_again(stream, outlet)
            self._stream = stream
            return stream

    def _open(self, outlet: Outlet) -> _Stream:
        stream = _Stream(answer=self._asked("GET", self._exchanges.url, None, outlet))
        if stream.answer.status != _OK or stream.answer.content_type != "text/event-stream":
            stream.answer.drop()
            raise RemoteRefused(url=self._url, status=stream.answer.status)
        threading.Thread(target=self._heed, args=(stream, outlet), daemon=True).start()
        if not stream.named.wait(_ENDPOINT_SECONDS) or not stream.endpoint:
            stream.over.set()
            stream.answer.stop()
            raise stream.wrong or AnswerLost(url=self._url, why="its stream does not say where messages go")
        return stream

    def _begin_again(self, stream: _Stream, outlet: Outlet) -> None:
        opening = json.loads(self._opening)
        opening["id"] = json.loads(_AGAIN)
        self._post(stream, json.dumps(opening, ensure_ascii=False).encode(), outlet)
        if not stream.begun.wait(_ENDPOINT_SECONDS) or stream.over.is_set():
            raise AnswerLost(url=self._url, why="its stream ended, and does not begin again")
        self._post(stream, _INITIALIZED, outlet)
        outlet.note(f"the stream of {self._server} had ended, and a new session was begun")

    def _post(self, stream: _Stream, line: bytes, outlet: Outlet) -> None:
        with self._asked("POST", stream.endpoint, line.rstrip(b"\r\n"), outlet) as answer:
            if answer.status >= _FIRST_REFUSAL:
                raise RemoteRefused(url=self._url, status=answer.status)
            answer.pass_over()

    def _asked(self, method: str, url: str, body: bytes | None, outlet: Outlet) -> Answer:
        kind = {"Accept": "text/event-stream"} if body is None else {"Content-Type": "application/json"}
        within = None if body is None else _PROMPT_SECONDS
        for may_login in (True, False):
            headers = {**self._authority.headers(), **kind}
            ask = partial(self._exchanges.ask, method, headers, body, url=url, within=within)
            answer = patiently(ask, outlet, self._url)
            if answer.status != _UNAUTHORIZED:
                return answer
            answer.drop()
            if not may_login or not self._authority.renewed(headers):
                break
        raise LoginNeeded(url=self._url, server=self._server, told=self._authority.told)

    def _heed(self, stream: _Stream, outlet: Outlet) -> None:
        events = Events()
        try:
            with stream.answer:
                for piece in stream.answer.pieces():
                    for event in events.feed(piece):
                        self._take(stream, event, outlet)
        except (Unreachable, EventTooLong):
            pass
        except HatchlockError as error:
            stream.wrong = error
        stream.over.set()
        stream.named.set()
        stream.begun.set()
        self._lose(stream, outlet)

    def _take(self, stream: _Stream, event: Event, outlet: Outlet) -> None:
        if event.kind == "endpoint":
            endpoint = address_from(self._exchanges.url, event.data.decode(errors="replace"))
            if not same_origin(self._exchanges.url, endpoint):
                raise Elsewhere(url=self._url, location=bare_address(endpoint))
            stream.endpoint = endpoint
            stream.named.set()
        elif event.kind == "message" and event.data.strip() and not stream.over.is_set():
            line = one_line(event.data)
            if not stream.begun.is_set() and _AGAIN in answers(line):
                stream.begun.set()
                return
            stream.waiting -= outlet.deliver(line)

    def _lose(self, stream: _Stream, outlet: Outlet) -> None:
        lost = sorted(stream.waiting)
        stream.waiting.difference_update(lost)
        if lost and not outlet.stopped.is_set():
            outlet.fail(lost, AnswerLost(url=self._url, why="its stream ended"))
