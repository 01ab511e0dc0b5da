"""Streamable HTTP, the client's side: each message is a POST, each answer its body or a stream of events.

As the specification of MCP has it, from 2025-03-26 on (`Mcp-Session-Id`, `Last-Event-ID`, a stream for what the server says
by itself) to 2026-07-28 (no session; each message names its protocol). Messages go through as they are.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping

from hatchlock.errors import HatchlockError
from hatchlock.net.exchange import Answer, Exchanges, Unreachable, bare_address
from hatchlock.serve.lines import LONGEST_MESSAGE
from hatchlock.serve.remote.authority import Authority
from hatchlock.serve.remote.bridge import Outlet
from hatchlock.serve.remote.connecting import patiently
from hatchlock.serve.remote.events import EventTooLong, events_of
from hatchlock.serve.remote.failures import AnswerLost, LoginNeeded, RemoteRefused
from hatchlock.serve.remote.listening import LONGEST_PAUSE, RESUMED, STREAM, Listening, Place, Session
from hatchlock.serve.remote.messages import Said, error_line, in_header, one_line, result_of
from hatchlock.serve.remote.mirrored import Mirrored
from hatchlock.serve.remote.statuses import BUSY, has_forgotten, waited

__all__ = ["StreamableHttp"]

_OK = 200
_NO_ANSWER = frozenset({202, 204})
_FIRST_REFUSAL = 300
_UNAUTHORIZED = 401
_SHORT_ANSWER = 1 << 20
_NO_SESSIONS = frozenset({-32601, -32020, -32021, -32022})
"""Errors by which a server refuses `initialize` since it knows only versions without it: whoever asks may go on."""
_PROMPT_SECONDS = 30.0
_LEAVE_SECONDS = 2.0
_JSON = "application/json"
_BEGUN = "notifications/initialized"
_INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'


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
        self._session = Session()
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
            self._session.end()
            self._opening, self._session = line, Session()
        if said.requests:
            self._is_modern = bool(said.version)
        begins = said.method == _BEGUN
        if begins:
            self._listening(outlet).settle()
        with self._under_way(said), self._posted(line, said, outlet) as answer:
            self._heed(answer, said, outlet)
        if begins:
            self._listening(outlet).begin()
        elif self.is_first(said) and self._session.version:
            self._listening(outlet)

    def end(self) -> None:
        """Tell the server that its session is over."""
        session = self._session
        session.end()
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

    def _headers(self, said: Said, session: Session, *, accept: str) -> dict[str, str]:
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
        if answer.content_type == STREAM:
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
        if len(said.requests) == 1 and answer.content_type == _JSON:
            with contextlib.suppress(Unreachable, ValueError, TypeError, KeyError, RecursionError):
                error = json.loads(answer.read(_SHORT_ANSWER))["error"]
                is_usual = not self.is_first(said) or error["code"] in _NO_SESSIONS
                if is_usual and isinstance(error["code"], int) and isinstance(error["message"], str):
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
        place = Place()
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
            too_often = place.attempts > RESUMED
            if not place.last or too_often or outlet.stopped.wait(min(place.pause, LONGEST_PAUSE)):
                raise AnswerLost(url=self._url, why=place.why)
            current = self._resumed(place)

    def _follow(self, answer: Answer, said: Said, waiting: set[str], place: Place, outlet: Outlet) -> None:
        """Deliver a stream until it has answered everything, or ends."""
        try:
            for event in events_of(answer):
                place.note(event)
                if event.is_message:
                    waiting -= self._delivered(one_line(event.data), said, answer, outlet)
                if not waiting:
                    break
        except Unreachable as error:
            place.why = error.why
        except EventTooLong:
            raise AnswerLost(url=self._url, why=f"it is longer than {LONGEST_MESSAGE} bytes") from None
        if not waiting and not self.is_first(said):
            answer.pass_over()

    def _resumed(self, place: Place) -> Answer | None:
        headers = {**self._headers(Said(), self._session, accept=STREAM), **place.header()}
        try:
            answer = self._exchanges.ask("GET", headers)
        except HatchlockError:
            return None
        if answer.status == _OK and answer.content_type == STREAM:
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

    def _renew(self, lost: Session, outlet: Outlet) -> None:
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
            session = Session()
            said = Said(method="initialize", requests=('"hatchlock-again"',))
            with self._asked(body, self._posting(Said(), session), said, outlet) as answer:
                line = self._opening_answer(answer)
            session.id = in_header(answer.headers.get("mcp-session-id"))
            session.version = in_header(result_of(line).get("protocolVersion")) or lost.version
            session.listening = self._listen(session, outlet)
            session.listening.settle()
            try:
                self._asked(_INITIALIZED, self._posting(Said(), session), Said(), outlet).drop()
            except HatchlockError:
                session.end()
                raise
            session.listening.begin()
            self._session = session
            lost.end()
            outlet.note(f"{self._server} had forgotten its session, and a new one was begun")

    def _posting(self, said: Said, session: Session) -> dict[str, str]:
        return {**self._headers(said, session, accept=f"{_JSON}, {STREAM}"), "Content-Type": _JSON}

    def _opening_answer(self, answer: Answer) -> bytes:
        if answer.status == _UNAUTHORIZED:
            raise LoginNeeded(url=self._url, server=self._server, told=self._authority.told)
        if answer.status != _OK:
            raise RemoteRefused(url=self._url, status=answer.status)
        if answer.content_type != STREAM:
            return answer.read(_SHORT_ANSWER)
        found = next((event.data for event in events_of(answer) if result_of(event.data)), b"")
        if not found:
            raise AnswerLost(url=self._url, why="it has forgotten its session, and does not begin another one")
        return found

    def _listening(self, outlet: Outlet) -> Listening:
        """Return who listens in the session that there is; it is begun where nobody does."""
        session = self._session
        session.listening = session.listening or self._listen(session, outlet)
        return session.listening

    def _listen(self, session: Session, outlet: Outlet) -> Listening:
        return Listening(
            session,
            outlet,
            ask=lambda more: self._exchanges.ask("GET", {**self._headers(Said(), session, accept=STREAM), **more}),
            renew=lambda: self._renew(session, outlet),
        )
