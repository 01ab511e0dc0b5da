"""A bridge to HTTP, in this process: what is answered in a server's place, and what is said."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hatchlock.errors import HatchlockError
from hatchlock.net.exchange import Exchanges
from hatchlock.serve.remote.authority import Headers
from hatchlock.serve.remote.bridge import Bridge
from hatchlock.serve.remote.event_stream import EventStream
from hatchlock.serve.remote.streamable import StreamableHttp
from support.faulty import certificate
from support.runs import wait_for
from support.scripted_http import JSON, STREAM, Asked, Reply, event, polite, result, scripted_http

PATIENCE = 60.0


class Talking:
    """An application at a bridge."""

    def __init__(self, url: str, environ: Mapping[str, str], way: type[StreamableHttp | EventStream]) -> None:
        self.said: list[str] = []
        self.wrong: list[HatchlockError] = []
        self._lines: queue.Queue[bytes] = queue.Queue()
        there = way("far", Exchanges(url, environ), Headers({}))
        self.bridge = Bridge("far", there, say=self.said.append, fail=self.wrong.append)
        (reader,) = self.bridge.readers(self._lines.put, self._lines.put)
        threading.Thread(target=reader, daemon=True).start()

    def ask(self, method: str, number: int = 1, **params: Any) -> Any:
        """Send a request, and return what answers it."""
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.bridge.send(json.dumps(message).encode() + b"\n")
        return json.loads(self._lines.get(timeout=PATIENCE))

    def hello(self) -> None:
        """Begin a session."""
        assert "result" in self.ask("initialize", 0)


@contextmanager
def talking(url: str, *, way: type[StreamableHttp | EventStream] = StreamableHttp, **environ: str) -> Iterator[Talking]:
    found = Talking(url, environ, way)
    try:
        yield found
    finally:
        found.bridge.stop()
        found.bridge.wait()


def refusing(status: int, headers: Mapping[str, str] = JSON, body: bytes = b"") -> Any:
    return lambda _: Reply(status=status, headers=headers, parts=(body,))


@pytest.mark.parametrize(
    ("reply", "words", "hint"),
    [
        (
            refusing(401),
            "answers only who has logged in",
            "hatchlock login far; if it takes a token of yours instead, write into [servers.far]: headers.Authorization = { ",
        ),
        (refusing(403), "HTTP 403", "may not do this"),
        (refusing(404), "HTTP 404", "look at the address"),
        (refusing(500), "HTTP 500", "problem of its own"),
        (refusing(200, {"Content-Type": "text/html"}, b"<html>"), "no JSON", "ask again"),
        (
            refusing(307, {"Location": "https://example.com/mcp"}),
            "sends its clients to https://example.com/mcp",
            "url =",
        ),
        (refusing(302, {"Location": "/elsewhere"}), "sends its clients to http://127.0.0.1", "url ="),
        (refusing(202), "will not answer", "ask again"),
    ],
    ids=["401", "403", "404", "500", "html", "elsewhere", "302", "202"],
)
def test_what_is_refused_at_the_beginning_says_what_to_do_and_ends_it(reply: Any, words: str, hint: str) -> None:
    with scripted_http(reply) as server, talking(server.url) as application:
        answer = application.ask("initialize")
        assert application.bridge.wait() == 1

    (wrong,) = application.wrong
    assert words in answer["error"]["message"]
    assert words in str(wrong)
    assert hint in wrong.hint
    assert wrong.address == "server:far"


def test_what_is_refused_later_is_an_error_and_no_end() -> None:
    def answering(asked: Asked) -> Reply:
        return Reply(status=500) if asked.rpc == "tools/call" else polite(asked)

    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()
        assert "HTTP 500" in application.ask("tools/call")["error"]["message"]
        assert application.ask("ping")["result"] == {}
        assert wait_for(lambda: len(application.wrong) == 1)  # it is said right after the request was answered


def test_a_redirect_within_the_same_origin_is_followed() -> None:
    def answering(asked: Asked) -> Reply:
        return polite(asked) if asked.path == "/mcp/" else Reply(status=308, headers={"Location": "/mcp/"})

    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()


def test_an_answer_that_breaks_off_and_cannot_be_taken_up_is_an_error() -> None:
    def answering(asked: Asked) -> Reply:
        if asked.rpc == "tools/call":
            return Reply(parts=(b'{"jsonrpc":"2.0",',), broken=True)
        return polite(asked)

    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()
        assert "it broke off" in application.ask("tools/call")["error"]["message"]
        assert application.ask("ping")["result"] == {}


def test_an_error_that_explains_a_status_goes_through() -> None:
    def answering(asked: Asked) -> Reply:
        if asked.rpc == "nonsense":
            body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "no such method"}})
            return Reply(status=400, parts=(body.encode(),))
        return polite(asked)

    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()
        error = {"code": -32601, "message": "no such method"}
        assert application.ask("nonsense", 4) == {"jsonrpc": "2.0", "id": 4, "error": error}
        assert application.wrong == []


def test_a_busy_server_is_asked_again_when_it_says_so() -> None:
    def answering(asked: Asked) -> Reply:
        if asked.rpc == "ping" and not busy:
            busy.append(asked)
            return Reply(status=503, headers={"Retry-After": "0"})
        return polite(asked)

    busy: list[Asked] = []
    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()
        assert application.ask("ping")["result"] == {}


def test_what_is_no_json_is_answered_and_not_sent() -> None:
    with scripted_http(polite) as server, talking(server.url) as application:
        application.bridge.send(b"hello\n\n")
        assert json.loads(application._lines.get(timeout=PATIENCE))["error"]["code"] == -32700
        application.hello()
        assert len(server.asked) == 1


def test_several_answers_in_one_stream() -> None:
    """A batch, as the protocol of 2025-03-26 has it."""

    def answering(asked: Asked) -> Reply:
        if isinstance(asked.message, list):
            parts = tuple(
                event(json.dumps({"jsonrpc": "2.0", "id": item["id"], "result": {}}).encode()) for item in asked.message
            )
            return Reply(headers=STREAM, parts=parts)
        return polite(asked)

    with scripted_http(answering) as server, talking(server.url) as application:
        application.bridge.send(
            b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]\n'
        )
        found = {json.loads(application._lines.get(timeout=PATIENCE))["id"] for _ in range(2)}

    assert found == {1, 2}


def test_many_requests_at_once_are_all_answered_and_more_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def answering(asked: Asked) -> Reply:
        return Reply(parts=(b" ", result(asked)), held=held)

    held = threading.Event()
    monkeypatch.setattr("hatchlock.serve.remote.bridge._AT_ONCE", 100)
    with scripted_http(answering) as server, talking(server.url) as application:
        for number in range(110):
            application.bridge.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}).encode() + b"\n")
        refused = [json.loads(application._lines.get(timeout=PATIENCE)) for _ in range(10)]
        held.set()
        answered = [json.loads(application._lines.get(timeout=PATIENCE)) for _ in range(100)]

    assert all("at once" in item["error"]["message"] for item in refused)
    assert all("result" in item for item in answered)


def test_what_a_server_names_and_no_header_can_carry_is_not_sent_back() -> None:
    """Names of sessions and protocols, ids of events: they come from somebody else."""

    def answering(asked: Asked) -> Reply:
        if asked.rpc == "initialize":
            opened = result(asked, protocolVersion="2025\r\nX-Bad: 1", capabilities={}, serverInfo={})
            return Reply(headers={**JSON, "Mcp-Session-Id": "a\x1bb"}, parts=(opened,))
        if asked.rpc == "tools/call":
            return Reply(headers=STREAM, parts=(event(b"", id="\x1b[31m"),), broken=True)
        return polite(asked)

    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()
        assert "was lost" in application.ask("tools/call")["error"]["message"]
        assert application.ask("ping")["result"] == {}

    assert not any({"mcp-session-id", "mcp-protocol-version", "x-bad"} & asked.headers.keys() for asked in server.asked)


def test_where_a_server_sends_us_is_shown_harmlessly() -> None:
    reply = refusing(307, {"Location": "https://example.com/\x1b[2J"})
    with scripted_http(reply) as server, talking(server.url) as application:
        message = application.ask("initialize")["error"]["message"]

    assert "\x1b" not in message
    assert "\\u001b" in message


def test_where_a_server_sends_us_need_be_no_address() -> None:
    with scripted_http(refusing(307, {"Location": "http://[bad"})) as server, talking(server.url) as application:
        assert "sends its clients to http://[bad" in application.ask("initialize")["error"]["message"]


def test_a_stream_that_names_no_address_for_messages() -> None:
    parts = (b"event: endpoint\ndata: http://[bad\n\n",)
    reply = Reply(headers={"Content-Type": "text/event-stream"}, parts=parts)
    with scripted_http(lambda _: reply) as server, talking(server.url, way=EventStream) as application:
        assert "sends its clients to http://[bad" in application.ask("initialize")["error"]["message"]


def test_a_pause_without_measure_loses_no_answer() -> None:
    def answering(asked: Asked) -> Reply:
        if asked.rpc == "ping":
            return Reply(headers=STREAM, parts=(b"retry: " + b"9" * 5000 + b"\n", event(result(asked))))
        return polite(asked)

    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()
        assert application.ask("ping")["result"] == {}


def test_a_bridge_that_has_ended_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with scripted_http(polite) as server, talking(server.url) as application:
        application.hello()
        left = [thread for thread in threading.enumerate() if thread not in before and "_carry_all" in thread.name]
        application.bridge.kill()
        for thread in left:
            thread.join(PATIENCE)

    assert left
    assert not any(thread.is_alive() for thread in left)


def test_a_method_that_is_not_known_is_no_session_that_is_gone() -> None:
    def answering(asked: Asked) -> Reply:
        if asked.rpc == "nonsense":
            body = {"jsonrpc": "2.0", "id": asked.message["id"], "error": {"code": -32601, "message": "unknown"}}
            return Reply(status=404, parts=(json.dumps(body).encode(),))
        return polite(asked)

    with scripted_http(answering) as server, talking(server.url) as application:
        application.hello()
        assert application.ask("nonsense")["error"]["code"] == -32601
        assert application.said == []


def test_a_certificate_that_nobody_trusts_and_one_that_is_named(tmp_path: Path) -> None:
    cert, context = certificate(tmp_path)
    with scripted_http(polite, context) as server:
        with talking(server.url) as application:
            message = application.ask("initialize")["error"]["message"]
            assert application.bridge.wait() == 1
        assert server.asked == []
        with talking(server.url, SSL_CERT_FILE=str(cert)) as application:
            application.hello()

    assert "its certificate is not trusted" in message
    assert "SSL_CERT_FILE" in message


def test_arguments_that_are_headers_too() -> None:
    """The protocol of 2026-07-28: a listing says which, and nothing else of the call becomes one."""
    schema = {
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry-Run"}}},
            "bad": {"type": "string", "x-mcp-header": "no header"},
            "text": {"type": "string"},
        }
    }

    def answering(asked: Asked) -> Reply:
        if asked.rpc == "tools/list":
            return Reply(parts=(result(asked, tools=[{"name": "t", "inputSchema": schema}]),))
        return polite(asked)

    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    arguments = {"region": "größe", "deep": {"dry": True}, "bad": "x", "text": "y"}
    with scripted_http(answering) as server, talking(server.url) as application:
        application.ask("tools/list", _meta=meta)
        application.ask("tools/call", name="t", arguments=arguments, _meta=meta)
        application.ask("tools/call", name="t", arguments={}, _meta=meta)

    sent = [{name: value for name, value in asked.headers.items() if "param" in name} for asked in server.asked]
    assert sent == [{}, {"mcp-param-region": "=?base64?Z3LDtsOfZQ==?=", "mcp-param-dry-run": "true"}, {}]
