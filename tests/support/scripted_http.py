"""An HTTP server on loopback that answers each request as a test says, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.ports import leave_port

JSON = {"Content-Type": "application/json"}
STREAM = {"Content-Type": "text/event-stream"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request.

    Attributes:
        method: GET, POST or DELETE.
        path: With its query.
        headers: Names in lower case.
        body: As it was sent.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        """The JSON in it."""
        return json.loads(self.body)

    @property
    def rpc(self) -> str:
        """The method of the message in it; "" for none."""
        message = self.message if self.body else {}
        return str(message.get("method", "")) if isinstance(message, dict) else ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer.

    Attributes:
        status: The status.
        headers: Besides the length.
        parts: The body, sent piece by piece.
        broken: Whether the connection is torn down before the end that was announced.
        held: Waited for before the last part; None for nothing.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    parts: tuple[bytes, ...] = (b"",)
    broken: bool = False
    held: threading.Event | None = None


Answering = Callable[[Asked], Reply]


class ScriptedHttp:
    """One that runs.

    Attributes:
        url: `http://127.0.0.1:PORT/mcp`.
        asked: What it was asked, in order.
    """

    def __init__(self, answering: Answering, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(method=self.command, path=self.path, headers=headers, body=body)
                outer.asked.append(asked)
                self._send(answering(asked))

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                size = sum(map(len, reply.parts)) + (100 if reply.broken else 0)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                for number, part in enumerate(reply.parts, 1):
                    if reply.held and number == len(reply.parts):
                        reply.held.wait(60)
                    self.wfile.write(part)
                    self.wfile.flush()
                if reply.broken:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815  the library's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/mcp"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        leave_port(self.port)


@contextlib.contextmanager
def scripted_http(answering: Answering, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedHttp]:
    """Have one run inside of the block."""
    server = ScriptedHttp(answering, tls)
    try:
        yield server
    finally:
        server.close()


def result(asked: Asked, **members: Any) -> bytes:
    """Return the answer to a request."""
    return json.dumps({"jsonrpc": "2.0", "id": asked.message["id"], "result": members}).encode()


def event(data: bytes, *, id: str = "", retry: int | None = None) -> bytes:  # noqa: A002  the field's name
    """Return an event."""
    head = (f"id: {id}\n" if id else "") + ("" if retry is None else f"retry: {retry}\n")
    return f"{head}data: ".encode() + data + b"\n\n"


def polite(asked: Asked) -> Reply:
    """Answer as a plain server does: `initialize`, notifications, and every other request by an empty result."""
    if asked.method == "GET":
        return Reply(status=405)
    if asked.method == "DELETE":
        return Reply()
    if "id" not in asked.message:
        return Reply(status=202, headers={})
    if asked.rpc == "initialize":
        opened = result(
            asked, protocolVersion="2025-06-18", capabilities={}, serverInfo={"name": "far", "version": "1"}
        )
        return Reply(headers={**JSON, "Mcp-Session-Id": "one"}, parts=(opened,))
    return Reply(parts=(result(asked),))
