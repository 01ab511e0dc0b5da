"""A server on loopback that misbehaves as it is told: one connection, one request, one scripted answer."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "Answer",
    "Faulty",
    "answering",
    "certificate",
    "drip",
    "flood",
    "http_date",
    "piece",
    "reply",
    "reset",
    "silence",
]

Answer = Callable[["Faulty", socket.socket, str], None]
"""Takes the server, the connection and the request's head; when it returns, the connection is closed."""


@dataclass(kw_only=True)
class Faulty:
    """What was asked, and when to stop."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    flooded: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def paths(self) -> list[str]:
        return [head.split(" ", 2)[1] for head in self.asked]

    def header(self, number: int, name: str) -> str:
        """Return a header of a request, "" if it has none."""
        for line in self.asked[number].splitlines()[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return ""


def reply(status: int = 200, body: bytes = b"", *, length: int | None = None, **headers: str) -> Answer:
    """Answer with a body; `length` is what is said of it, if that is not true. `_` in names of headers stands for `-`."""
    lines = {"Content-Length": str(len(body) if length is None else length), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}

    def send(_: Faulty, connection: socket.socket, __: str) -> None:
        connection.sendall(_head(status, lines) + body)

    return send


def piece(whole: bytes, *, breaks_after: int | None = None, ranges: bool = True) -> Answer:
    """Answer with a file as a proper server does, with ranges if it knows them, but break off after so many bytes."""

    def send(_: Faulty, connection: socket.socket, request: str) -> None:
        wanted = next((line for line in request.splitlines() if line.lower().startswith("range:")), "")
        first = int(wanted.partition("=")[2].partition("-")[0]) if wanted and ranges else 0
        lines = {"Content-Length": str(len(whole) - first)}
        if first:
            lines["Content-Range"] = f"bytes {first}-{len(whole) - 1}/{len(whole)}"
        sent = whole[first:] if breaks_after is None else whole[first:][:breaks_after]
        connection.sendall(_head(206 if first else 200, lines) + sent)

    return send


def drip(body: bytes, *, pause: float) -> Answer:
    """Answer a byte at a time."""

    def send(server: Faulty, connection: socket.socket, _: str) -> None:
        connection.sendall(_head(200, {"Content-Length": str(len(body))}))
        for byte in body:
            if server.ended.wait(pause):
                return
            connection.sendall(bytes([byte]))

    return send


def flood(length: int, *, status: int = 200, **headers: str) -> Answer:
    """Answer with zeros for as long as somebody reads; how many those were stands in `flooded`."""

    def send(server: Faulty, connection: socket.socket, _: str) -> None:
        lines = {"Content-Length": str(length)} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.sendall(_head(status, lines))
        while server.flooded < length and not server.ended.is_set():
            server.flooded += connection.send(bytes(1 << 16))

    return send


def silence(server: Faulty, _: socket.socket, __: str) -> None:
    """Never answer."""
    server.ended.wait(30)


def reset(_: Faulty, connection: socket.socket, __: str) -> None:
    """Answer with a reset of the connection (RST) in place of its end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def http_date(seconds: float) -> str:
    """Return the date in so many seconds as HTTP writes it."""
    when = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return when.strftime("%a, %d %b %Y %H:%M:%S GMT")


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Word", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


@contextlib.contextmanager
def answering(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Faulty]:
    """Give these answers in order, the last one for ever, inside the block."""
    server = Faulty()
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "https" if tls else "http"
    server.url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"
    lock = threading.Lock()

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            stream = tls.wrap_socket(connection, server_side=True) if tls else connection
            with stream:
                head = _read_head(stream)
                if not head:
                    return
                with lock:
                    number = len(server.asked)
                    server.asked.append(head)
                answers[min(number, len(answers) - 1)](server, stream, head)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _read_head(stream: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more:
            return ""
        data += more
        if data.startswith(b"\x16"):
            return "a TLS handshake"
    return data.decode()


def certificate(directory: Path, *, days: int = 2, host: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """Make a self-signed certificate for a host; return its file, and what a server uses it with."""
    directory.mkdir(parents=True, exist_ok=True)
    key, cert = directory / "key.pem", directory / "cert.pem"
    kind = "IP" if host[0].isdigit() else "DNS"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(cert), "-days", str(days), "-subj", "/CN=test"),
            *("-addext", f"subjectAltName={kind}:{host}"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context
