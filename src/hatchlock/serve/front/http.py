"""What of HTTP a front needs: headers, a body within its bounds, and answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hatchlock.serve.envelope import dumps
from hatchlock.serve.front.streams import Event, Stream

__all__ = ["EVENTS", "INVALID", "JSON", "Exchange", "Gone", "Scope", "accepted"]

Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON, EVENTS = "application/json", "text/event-stream"
INVALID = -32600
"""JSON-RPC's code of a request that is none."""
NONE: Mapping[str, str] = MappingProxyType({})
_NO_STORE = "no-cache, no-transform"
_PATIENCE = 15.0
"""Seconds between signs of life on a stream: who takes them tells us by that, or by going."""


class Gone(Exception):
    """The client has closed its connection."""


class Exchange:
    """One request and its answer.

    Attributes:
        method: HTTP's.
        path: Of the URL.
        headers: Names in lower case; what is repeated is joined, and so never what is expected.
    """

    def __init__(self, scope: Scope, receive: _Receive, send: _Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = _joined(scope["headers"])
        self._receive = receive
        self._send = send

    async def body(self, limit: int) -> bytes | None:
        """Return the body; None when it is larger than `limit`.

        Raises:
            Gone: It did not come to its end.
        """
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            return None
        parts, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                return None
            if not message.get("more_body"):
                return b"".join(parts)

    async def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = NONE) -> None:
        """Answer with a whole body, which is JSON."""
        kind = {"content-type": JSON} if body else {}
        await self._begin(status, {**kind, **headers, "content-length": str(len(body))})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(
        self,
        status: int,
        why: str,
        *,
        code: int = INVALID,
        identity: str = "null",
        headers: Mapping[str, str] = NONE,
    ) -> None:
        """Answer with a JSON-RPC error, to a request (`identity`, as JSON) or to none."""
        error = f'{{"jsonrpc":"2.0","error":{dumps({"code": code, "message": why})},"id":{identity}}}'
        await self.answer(status, error.encode(), headers)

    async def stream(
        self,
        stream: Stream,
        *,
        after: int | None = None,
        first: bytes = b"",
        numbered: bool = True,
        headers: Mapping[str, str] = NONE,
    ) -> None:
        """Answer with what is in a stream and what comes, as events, until it ends, or somebody else reads it, or nobody.

        Args:
            stream: What.
            after: The number of the last event that the client has; None for what nobody has been given.
            first: An event that goes before all others.
            numbered: Whether the client may come back for what it has missed.
            headers: Of the answer.
        """
        reader = stream.attach(after)
        watch = asyncio.ensure_future(self._gone())
        watch.add_done_callback(lambda _: stream.detach(reader))
        try:
            head = {"content-type": EVENTS, "cache-control": _NO_STORE, "x-accel-buffering": "no", **headers}
            await self._begin(200, head)
            await self._more(first)  # without a byte, the head stays where it is
            while (events := await stream.take(reader, _PATIENCE)) is not None:
                for event in events:
                    await self._more(_framed(event, stream.name if numbered else ""))
                    if watch.done():
                        return
                    stream.taken(reader, event)
                if not events:
                    await self._more(b": still here\n\n")
        finally:
            stream.detach(reader)
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        await self._send({"type": "http.response.body", "body": b""})

    async def whole(self, stream: Stream, patience: float | None = None) -> Event | None:
        """Return the last event of a stream once it has ended, or the first one that comes within so many seconds, if one does.

        Args:
            stream: Which.
            patience: The seconds; None to wait for its end.

        Raises:
            Gone: The client has left meanwhile.
        """
        reader = stream.attach(0)
        watch = asyncio.ensure_future(self._gone())
        watch.add_done_callback(lambda _: stream.detach(reader))
        last = None
        try:
            while (events := await stream.take(reader, patience or _PATIENCE)) is not None:
                if patience:
                    return events[0] if events else None
                for last in events:
                    stream.taken(reader, last)
        finally:
            is_gone = watch.done()
            stream.detach(reader)
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        if is_gone:
            raise Gone
        return last

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def _more(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body or b": welcome\n\n", "more_body": True})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Accepted:
    json: bool
    events: bool


def accepted(headers: Mapping[str, str]) -> _Accepted:
    """Return what kinds of answers a client takes. Who says nothing takes JSON; events have to be asked for by name."""
    kinds = {item.partition(";")[0].strip().lower() for item in headers.get("accept", "*/*").split(",")}
    return _Accepted(json=not kinds.isdisjoint({JSON, "application/*", "*/*"}), events=EVENTS in kinds)


def _framed(event: Event, stream: str) -> bytes:
    number = f"id: {stream}-{event.number}\n".encode() if stream else b""
    return b"%bevent: message\ndata: %b\n\n" % (number, event.data)


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
