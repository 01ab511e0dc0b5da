"""The address of this machine to which a browser comes back after a login."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qs, urlsplit

__all__ = ["Callback", "callback"]

_PATH = "/callback"
_HEAD_SECONDS = 10.0
_LONGEST_HEAD = 1 << 16
_DONE = "You are logged in, and can close this page."
_NOT_DONE = "The login was refused. You can close this page."
_STRANGE = "This is not the answer to the login that was begun."


class Callback:
    """Waits for the browser. What does not carry the login's own `state` is answered and forgotten.

    Attributes:
        url: The address.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}{_PATH}"
        self._state = ""
        self._came: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    def expect(self, authorization_url: str) -> None:
        """Wait for the answer to a login that begins at an address."""
        self._state = parse_qs(urlsplit(authorization_url).query).get("state", [""])[0]

    @property
    def is_expecting(self) -> bool:
        """Whether a login was begun."""
        return bool(self._state)

    async def answer(self) -> Mapping[str, str]:
        """Return what the browser brought: `code`, or `error`, and what belongs to it."""
        return await self._came

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with contextlib.suppress(
            OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
            status, text = self._heed(head.partition(b"\r\n")[0].decode("ascii"))
            body = f"<!doctype html><title>hatchlock</title><p>{text}\n".encode()
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
                "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()

    def _heed(self, request: str) -> tuple[str, str]:
        method, _, rest = request.partition(" ")
        parts = urlsplit(rest.partition(" ")[0])
        if method != "GET" or parts.path != _PATH:
            return "404 Not Found", _STRANGE
        brought = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if not self._state or brought.get("state") != self._state or self._came.done():
            return "400 Bad Request", _STRANGE
        self._came.set_result(brought)
        return "200 OK", _DONE if "code" in brought else _NOT_DONE


@contextlib.asynccontextmanager
async def callback() -> AsyncIterator[Callback]:
    """Listen at a free port of the loopback while the block lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    found = Callback(listener.getsockname()[1])
    server = await asyncio.start_server(found.serve, sock=listener, limit=_LONGEST_HEAD)
    try:
        yield found
    finally:
        server.close()
