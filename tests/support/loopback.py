"""What every server on loopback does in the same way: answer with a whole body, fail when told to, begin and end."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, TypeVar

from support.ports import leave_port

__all__ = ["Handler", "Quiet", "answering", "basic", "fails", "listening"]

_State = TypeVar("_State")


class Quiet:
    """For a handler that logs nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        pass


class Handler(Quiet, BaseHTTPRequestHandler, Generic[_State]):
    """A handler with the state of its server, which `answering` sets."""

    protocol_version = "HTTP/1.1"
    # head and body leave together: otherwise the second waits until the first is acknowledged
    disable_nagle_algorithm = True
    wbufsize = -1
    content_type = ""
    """Of every answer, if it is not empty."""
    state: _State

    def send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None, *, missing: int = 0) -> None:
        """Answer; with `missing`, that many more bytes are promised than come before the connection ends."""
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if self.content_type:
            self.send_header("Content-Type", self.content_type)
        self.send_header("Content-Length", str(len(data) + missing))
        self.end_headers()
        self.wfile.write(data)
        if missing:
            self.close_connection = True

    def send_tagged(self, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answer with an entity tag, and without a body to who has that already."""
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        known = self.headers.get("If-None-Match") == tag
        self.send(304 if known else 200, b"" if known else data, {**(headers or {}), "ETag": tag})


def basic(user: str, password: str) -> str:
    """Return what `Authorization` says of a login."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def fails(failures: Counter[str], path: str) -> bool:
    """Return whether this request is to fail, and count it: `failures` says how often a path ("*" for any) still does."""
    key = path if failures[path] > 0 else "*"
    if failures[key] <= 0:
        return False
    failures[key] -= 1
    return True


class _Server(ThreadingHTTPServer):
    # many commands at once, and we may have no processor for a while: whom the kernel turns away comes again after seconds
    request_queue_size = 128


@contextlib.contextmanager
def listening(handler: Callable[..., BaseHTTPRequestHandler], *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Answer on a free port of 127.0.0.1 inside the block, and yield the address, without a slash at its end."""
    with _Server(("127.0.0.1", 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
    leave_port(server.server_address[1])


def answering(
    handler: type[Handler[_State]], state: _State, *, tls: ssl.SSLContext | None = None
) -> AbstractContextManager[str]:
    """Do what `listening` does, with handlers that have this state."""
    return listening(type(handler.__name__, (handler,), {"state": state}), tls=tls)
