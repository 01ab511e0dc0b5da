"""Whether a server that is reached over HTTP answers: one `initialize` through its URL, and the end of that session.

No SDK: it is asked often, by processes that stay.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from hatchlock.surface import shown

__all__ = ["Answer", "ask", "watch_health"]

_PROTOCOL = "2025-06-18"
_LONGEST = 1 << 20
_LONGEST_SHOWN = 200
_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_EVERY = 30.0
_HELLO = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": _PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "hatchlock-health", "version": "1"},
        },
    }
).encode()
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What became of a question.

    Attributes:
        is_healthy: Whether it was answered as MCP says.
        said: What was answered, or why nothing was; harmless to show.
        seconds: How long it took.
        is_refused: Nobody listens there, or not yet.
    """

    is_healthy: bool
    said: str
    seconds: float
    is_refused: bool = False


def ask(url: str, *, timeout: float = _SECONDS) -> Answer:
    """Ask a server of this machine who it is. Never fails; who asks for a token answers, too.

    Args:
        url: `http://127.0.0.1:PORT/PATH`.
        timeout: Seconds for each step of it.
    """
    began = time.monotonic()
    try:
        is_healthy, said = _asked(url, timeout)
    except (http.client.RemoteDisconnected, ConnectionError) as error:
        return Answer(is_healthy=False, said=f"nobody answers: {error}", seconds=_since(began), is_refused=True)
    except TimeoutError:
        return Answer(is_healthy=False, said=f"no answer within {timeout:g} s", seconds=_since(began))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        return Answer(is_healthy=False, said=shown(str(error))[:_LONGEST_SHOWN], seconds=_since(began))
    return Answer(is_healthy=is_healthy, said=said, seconds=_since(began))


def watch_health(
    url: str, told: Callable[[Answer], None], ended: Event, *, patience: float, every: float = _EVERY
) -> None:
    """Ask a server until it answers, and then now and then, until an event. Blocks until then.

    Args:
        url: Where it is.
        told: Told what became of a question: of the first that was answered, or when `patience` is over; then of each.
        ended: The event.
        patience: Seconds until its first answer is overdue.
        every: Seconds between later questions.
    """
    deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
    while not ended.is_set():
        answer = ask(url)
        if answer.is_healthy or time.monotonic() >= deadline:
            told(answer)
            pause = every if answer.is_healthy else _LONGEST_PAUSE
            deadline = time.monotonic() + every
        else:
            pause = min(pause * 2, _LONGEST_PAUSE)
        ended.wait(pause)


def _asked(url: str, timeout: float) -> tuple[bool, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("POST", parts.path or "/", body=_HELLO, headers=_HEADERS)
        response = connection.getresponse()
        if response.status == HTTPStatus.UNAUTHORIZED:
            return True, "it asks for a token"
        if response.status != HTTPStatus.OK:
            return False, f"it answered with status {response.status} at {parts.path}"
        said = _understood(next(_messages(response), None))
        session = response.headers.get("Mcp-Session-Id")
    if session:
        _end_session(url, session, timeout)
    return said


def _messages(response: http.client.HTTPResponse) -> Iterator[Any]:
    """Yield the answer of a response, which is JSON or a stream of events that may go on."""
    if not str(response.headers.get("Content-Type", "")).startswith("text/event-stream"):
        yield json.loads(response.read(_LONGEST))
        return
    data: list[bytes] = []
    left = _LONGEST
    while left > 0 and (line := response.readline(left)):
        left -= len(line)
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
        elif not line.strip() and data:
            message = json.loads(b"\n".join(data))
            data = []
            if isinstance(message, dict) and ("result" in message or "error" in message):
                yield message


def _understood(message: Any) -> tuple[bool, str]:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return False, "what it answers is no JSON-RPC"
    if isinstance(message.get("error"), dict):
        why = shown(str(message["error"].get("message", "")))[:_LONGEST_SHOWN]
        return True, f"it answers, and refuses to initialize: {why}"
    result = message.get("result")
    if not isinstance(result, dict) or "protocolVersion" not in result:
        return False, "what it answers to initialize is no result of that"
    who = result.get("serverInfo")
    names = [str(who[name]) for name in ("name", "version") if who.get(name)] if isinstance(who, dict) else []
    return True, shown(" ".join(names) or "it says no name")[:_LONGEST_SHOWN]


def _end_session(url: str, session: str, timeout: float) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        connection.request("DELETE", parts.path or "/", headers={"Mcp-Session-Id": session})
        connection.getresponse().read(_LONGEST)


def _since(began: float) -> float:
    return time.monotonic() - began
