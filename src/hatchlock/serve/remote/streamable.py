"""Streamable HTTP, the client's side: each message is a POST, each answer its body or a stream of events.

As the specification of MCP has it, from 2025-03-26 on (`Mcp-Session-Id`, `Last-Event-ID`, a stream for what the server says
by itself) to 2026-07-28 (no session; each message names its protocol). Messages go through as they are.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hatchlock.errors import HatchlockError
from hatchlock.net.exchange import Answer, Exchanges, Unreachable, bare_address
from hatchlock.serve.lines import LONGEST_MESSAGE
from hatchlock.serve.remote.authority import Authority
from hatchlock.serve.remote.bridge import Outlet
from hatchlock.serve.remote.connecting import patiently
from hatchlock.serve.remote.events import Event, Events, EventTooLong
from hatchlock.serve.remote.failures import AnswerLost, LoginNeeded, RemoteRefused
from hatchlock.serve.remote.messages import Said, error_line, in_header, one_line, result_of
from hatchlock.serve.remote.mirrored import Mirrored
from hatchlock.serve.remote.statuses import BUSY, has_forgotten, waited

__all__ = ["StreamableHttp"]

_OK = 200
_NO_ANSWER = frozenset({202, 204})
_FIRST_REFUSAL = 300
_UNAUTHORIZED = 401
_RESUMED = 5
_RESUME_SECONDS = 1.0
_LONGEST_PAUSE = 60.0
_SHORT_ANSWER = 1 << 20
_PROMPT_SECONDS = 30.0
_LEAVE_SECONDS = 2.0
_STREAM = "text/event-stream"
_JSON = "application/json"
_LAST = "Last-Event-ID"
_INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'


@dataclass(slots=True)
class _Session:
    """What the server has made of an `initialize`.

    Attributes:
        id: Its own name for it; "" for a server that keeps none.
        version: The protocol that was agreed on.
        over: Set when nobody uses it any more.
    """

    id: str = ""
    version: str = ""
    over: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Place:
    """Where a stream was when it ended.

    Attributes:
        last: The id of its last event that has one; "" if it cannot be taken up.
        pause: Seconds to wait before.
        attempts: How often that was tried since something came.
        why: Why it ended.
        offered: Whether there was one at all.
    """

    last: str = ""
    pause: float = _RESUME_SECONDS
    attempts: int = 0
    why: str = "its stream ended"
    offered: bool = False

    def note(self, event: Event) -> None:
        """Go on to an event."""
        self.last, self.attempts = in_header(event.id) or self.last, 0
        self.pause = self.pause if event.retry is None else event.retry

    def header(self) -> dict[str, str]:
        """Return what asks for the events after it."""
        return {_LAST: self.last} if self.last else {}


class StreamableHttp:
    """A `Way`: streamable HTTP.

    Args:
        server: Its name, for what is said.
        exchanges: Its address.
        authority: Who asks.
    """

    def __init__(self, server: str, exchanges: Exchanges, authority: Authority) -> None:
        self._server = server
        self._exchanges = exchanges
        self._authority = authority
        self._url = bare_address(exchanges.url)
        self._session = _Session()
        self._mirrored = Mirrored()
        self._opening = b""
        self._renewing = threading.Lock()
        self._underway: dict[str, Answer | None] = {}
        self._taken_back: set[str] = set()
        self._is_modern = False
        self._lock = threading.Lock()

    def is_first(self, said: Said) -> bool:
        """Whether it is the `initialize`, whose answer names the session."""
        return said.method == "initialize"

    def carry(self, line: bytes, said: Said, outlet: Outlet) -> None:
        """Carry one message."""
        if said.cancels and self._takes_back(said):
            return
        if self.is_first(said):
            self._opening, self._session = line, _Session()
        if said.requests:
            self._is_modern = bool(said.version)
        with self._under_way(said), self._posted(line, said, outlet) as answer:
            self._heed(answer, said, outlet)
        if said.method == "notifications/initialized":
            self._listen(outlet)

    def end(self) -> None:
        """Tell the server that its session is over."""
        session = self._session
        session.over.set()
        if session.id:
            with contextlib.suppress(HatchlockError):
                headers = self._headers(Said(), session, accept=_JSON)
                self._exchanges.ask("DELETE", headers, within=_LEAVE_SECONDS).drop()
        self._exchanges.close()

    def _posted(self, line: bytes, said: Said, outlet: Outlet) -> Answer:
        """Return the answer to a message; wait where the server asks for it, and begin again what it has forgotten."""
        may_renew = may_login = True
        while True:
            session = self._session
            headers = self._posting(said, session)
            if said.version and said.method == "tools/call":
                headers |= self._mirrored.headers(line)
            answer = self._asked(line, headers, said, outlet)
            if answer.status == _UNAUTHORIZED and may_login and self._authority.renewed(headers):
                may_login = False
            elif may_renew and session.id and has_forgotten(answer) and not self.is_first(said):
                may_renew = False
                self._renew(session, outlet)
            elif not (answer.status in BUSY and waited(answer, outlet)):
                return answer
            answer.drop()

    def _asked(self, line: bytes, headers: Mapping[str, str], said: Said, outlet: Outlet) -> Answer:
        within = None if said.requests else _PROMPT_SECONDS
        return patiently(
            lambda: self._exchanges.ask("POST", headers, line.rstrip(b"\r\n"), within=within), outlet, self._url
        )

    def _headers(self, said: Said, session: _Session, *, accept: str) -> dict[str, str]:
        headers = {**self._authority.headers(), "Accept": accept}
        if said.version:
            headers |= {"MCP-Protocol-Version": said.version, "Mcp-Method": in_header(said.method)}
            return {**headers, "Mcp-Name": said.name} if said.name else headers
        if session.id:
            headers["Mcp-Session-Id"] = session.id
        if session.version:
            headers["MCP-Protocol-Version"] = session.version
        return headers

    def _heed(self, answer: Answer, said: Said, outlet: Outlet) -> None:
        waiting = set(said.requests)
        if answer.status >= _FIRST_REFUSAL:
            self._refused(answer, said, outlet)
            return
        if answer.status in _NO_ANSWER or not waiting:
            answer.pass_over()
            if waiting:
                raise AnswerLost(url=self._url, why=f"it took the request and will not answer (HTTP {answer.status})")
            return
        if answer.content_type == _STREAM:
            self._heed_stream(answer, said, waiting, outlet)
        elif answer.content_type == _JSON:
            try:
                line = one_line(answer.read(LONGEST_MESSAGE))
            except Unreachable as error:
                raise AnswerLost(url=self._url, why=error.why) from error
            waiting -= self._delivered(line, said, answer, outlet)
        else:
            raise AnswerLost(url=self._url, why=f"it is {answer.content_type[:80] or 'nothing'!r} and no JSON")
        if waiting:
            raise AnswerLost(url=self._url, why="what it sent answers something else")

    def _refused(self, answer: Answer, said: Said, outlet: Outlet) -> None:
        """Pass on the error that a refusal explains itself by, or raise what the status means.

        Raises:
            HatchlockError: The status, where there is no such error.
        """
        if answer.status == _UNAUTHORIZED:
            raise LoginNeeded(url=self._url, server=self._server, told=self._authority.told)
        if len(said.requests) == 1 and answer.content_type == _JSON and not self.is_first(said):
            with contextlib.suppress(Unreachable, ValueError, TypeError, KeyError, RecursionError):
                error = json.loads(answer.read(_SHORT_ANSWER))["error"]
                if isinstance(error["code"], int) and isinstance(error["message"], str):
                    outlet.deliver(error_line(said.requests[0], error["message"], code=error["code"]))
                    return
        raise RemoteRefused(url=self._url, status=answer.status)

    def _delivered(self, line: bytes, said: Said, answer: Answer, outlet: Outlet) -> frozenset[str]:
        if self.is_first(said):
            # before the application can send what belongs to the session
            self._session.id = in_header(answer.headers.get("mcp-session-id"))
            self._session.version = in_header(result_of(line).get("protocolVersion"))
        self._mirrored.learn(line)
        return outlet.deliver(line)

    def _heed_stream(self, answer: Answer, said: Said, waiting: set[str], outlet: Outlet) -> None:
        """Deliver a stream until it has answered everything, and take it up again where it breaks off.

        Raises:
            AnswerLost: It cannot be taken up.
        """
        place = _Place()
        current: Answer | None = answer
        while True:
            if current is not None:
                with self._tracked(said, current):
                    if not self._was_taken_back(said):
                        self._follow(current, said, waiting, place, outlet)
            if self._was_taken_back(said) or not waiting:
                waiting.clear()
                return
            place.attempts += 1
            too_often = place.attempts > _RESUMED
            if not place.last or too_often or outlet.stopped.wait(min(place.pause, _LONGEST_PAUSE)):
                raise AnswerLost(url=self._url, why=place.why)
            current = self._resumed(place.last)

    def _follow(self, answer: Answer, said: Said, waiting: set[str], place: _Place, outlet: Outlet) -> None:
        """Deliver a stream until it has answered everything, or ends."""
        try:
            for event in _events(answer):
                place.note(event)
                if _is_message(event):
                    waiting -= self._delivered(one_line(event.data), said, answer, outlet)
                if not waiting:
                    break
        except Unreachable as error:
            place.why = error.why
        except EventTooLong:
            raise AnswerLost(url=self._url, why=f"it is longer than {LONGEST_MESSAGE} bytes") from None
        if not waiting and not self.is_first(said):
            answer.pass_over()

    def _resumed(self, last: str) -> Answer | None:
        headers = {**self._headers(Said(), self._session, accept=_STREAM), _LAST: last}
        try:
            answer = self._exchanges.ask("GET", headers)
        except HatchlockError:
            return None
        if answer.status == _OK and answer.content_type == _STREAM:
            return answer
        answer.drop()
        return None

    @contextlib.contextmanager
    def _under_way(self, said: Said) -> Iterator[None]:
        """Let a request be taken back, also before its answer begins."""
        with self._lock:
            self._underway.update(dict.fromkeys(said.requests))
        try:
            yield
        finally:
            with self._lock:
                for key in said.requests:
                    self._underway.pop(key, None)
                    self._taken_back.discard(key)

    @contextlib.contextmanager
    def _tracked(self, said: Said, answer: Answer) -> Iterator[None]:
        """Let a stream be ended that is read when its request is taken back."""
        key = said.requests[0]
        with self._lock:
            self._underway[key] = answer
        try:
            with answer:
                yield
        finally:
            with self._lock:
                self._underway[key] = None

    def _was_taken_back(self, said: Said) -> bool:
        with self._lock:
            return said.requests[0] in self._taken_back

    def _takes_back(self, said: Said) -> bool:
        """Take a request back, if that is done by the end of its stream, as since 2026-07-28."""
        if not (said.version or self._is_modern):
            return False
        with self._lock:
            answer = self._underway.get(said.cancels)
            if said.cancels in self._underway:
                self._taken_back.add(said.cancels)
        if answer is not None:
            answer.stop()
        return True

    def _renew(self, lost: _Session, outlet: Outlet) -> None:
        """Begin a session in the place of one that the server has forgotten, with what the application began it.

        Raises:
            HatchlockError: It does not begin another one.
        """
        with self._renewing:
            if self._session is not lost:
                return
            opening = json.loads(self._opening)
            opening["id"] = "hatchlock-again"
            body = json.dumps(opening, ensure_ascii=False).encode()
            session = _Session()
            said = Said(method="initialize", requests=('"hatchlock-again"',))
            with self._asked(body, self._posting(Said(), session), said, outlet) as answer:
                line = self._opening_answer(answer)
            session.id = in_header(answer.headers.get("mcp-session-id"))
            session.version = in_header(result_of(line).get("protocolVersion")) or lost.version
            self._asked(_INITIALIZED, self._posting(Said(), session), Said(), outlet).drop()
            self._session = session
            lost.over.set()
            outlet.note(f"{self._server} had forgotten its session, and a new one was begun")
        self._listen(outlet)

    def _posting(self, said: Said, session: _Session) -> dict[str, str]:
        return {**self._headers(said, session, accept=f"{_JSON}, {_STREAM}"), "Content-Type": _JSON}

    def _opening_answer(self, answer: Answer) -> bytes:
        if answer.status == _UNAUTHORIZED:
            raise LoginNeeded(url=self._url, server=self._server, told=self._authority.told)
        if answer.status != _OK:
            raise RemoteRefused(url=self._url, status=answer.status)
        if answer.content_type != _STREAM:
            return answer.read(_SHORT_ANSWER)
        found = next((event.data for event in _events(answer) if result_of(event.data)), b"")
        if not found:
            raise AnswerLost(url=self._url, why="it has forgotten its session, and does not begin another one")
        return found

    def _listen(self, outlet: Outlet) -> None:
        threading.Thread(target=self._listen_to, args=(self._session, outlet), daemon=True).start()

    def _listen_to(self, session: _Session, outlet: Outlet) -> None:
        """Deliver what the server says by itself, for as long as its session lasts, if it offers that."""
        place = _Place()
        while not (session.over.is_set() or outlet.stopped.is_set()):
            headers = self._headers(Said(), session, accept=_STREAM)
            place.attempts += 1
            with contextlib.suppress(HatchlockError, EventTooLong):
                if not self._heard_out({**headers, **place.header()}, session, place, outlet):
                    return
            if outlet.stopped.wait(min(place.pause * 2 ** min(place.attempts, _RESUMED), _LONGEST_PAUSE)):
                return

    def _heard_out(self, headers: Mapping[str, str], session: _Session, place: _Place, outlet: Outlet) -> bool:
        """Deliver one stream to its end, and return whether there may be another one."""
        with self._exchanges.ask("GET", headers) as answer:
            if answer.status == _OK and answer.content_type == _STREAM:
                place.offered = True
                for event in _events(answer):
                    place.note(event)
                    if _is_message(event) and not session.over.is_set():
                        outlet.deliver(one_line(event.data))
                place.attempts = 0
                return True
            forgotten = place.offered and bool(session.id) and has_forgotten(answer)
        if forgotten:
            self._renew(session, outlet)
        return place.offered and not forgotten


def _events(answer: Answer) -> Iterator[Event]:
    events = Events()
    for piece in answer.pieces():
        yield from events.feed(piece)


def _is_message(event: Event) -> bool:
    return event.kind == "message" and bool(event.data.strip())
