"""Writing down the calls of a session, where the project wants that: which tool, how long, what became of it; never what with.

A passage that looks on: every line goes through as it is.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchlock.errors import PermissionProblem
from hatchlock.launch import LaunchRecord
from hatchlock.serve.passage import Verdict
from hatchlock.state.auditlog import append, session

__all__ = ["CallAudit"]

_LONGEST_NAME = 200
_DIGITS = 18
_MOST_OPEN = 10_000
"""Calls without an answer that are remembered: a client that never waits for one must not fill our memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    tool: str
    began: float


class CallAudit:
    """Writes down each call when it is answered, cancelled, or the session ends without that.

    Args:
        store: The store's root.
        record: What is served.
        say: Takes a sentence, once, when it cannot be written: the session goes on.
    """

    def __init__(self, store: Path, record: LaunchRecord, *, say: Callable[[str], None]) -> None:
        self._store = store
        self._named = {"project": record.project, "server": record.server, "session": session()}
        self._say = say
        self._open: dict[str, _Call] = {}
        self._lock = threading.Lock()
        self._is_told = False

    def sent(self, line: bytes) -> Verdict:
        """Remember the calls in a line of the application's; one that we cannot read may be one all the same."""
        messages = _messages(line)
        if messages is None and line.strip():
            self._write({"tool": "", "outcome": "not readable"})
        for message in messages or ():
            method, params = message.get("method"), message.get("params")
            params = params if isinstance(params, dict) else {}
            if method == "tools/call" and "id" in message:
                self._begin(_key(message["id"]), str(params.get("name", ""))[:_LONGEST_NAME])
            elif method == "notifications/cancelled":
                self._end(_key(params.get("requestId")), {"outcome": "cancelled"})
        return Verdict(line)

    def received(self, line: bytes) -> Verdict:
        """Write down the calls that a line of the server's, or of whoever answers in its place, has an answer to."""
        if self._open:
            for message in _messages(line) or ():
                if "method" not in message and "id" in message:
                    self._end(_key(message["id"]), _outcome(message))
        return Verdict(line)

    def finish(self) -> None:
        """Write down the calls that nobody will answer any more."""
        with self._lock:
            left = list(self._open)
        for key in left:
            self._end(key, {"outcome": "unanswered"})

    def _begin(self, key: str, tool: str) -> None:
        with self._lock:
            if len(self._open) < _MOST_OPEN:
                self._open[key] = _Call(tool=tool, began=time.monotonic())
                return
        self._write({"tool": tool, "outcome": "not followed"})

    def _end(self, key: str, outcome: Mapping[str, object]) -> None:
        with self._lock:
            call = self._open.pop(key, None)
        if call is not None:
            seconds = round(time.monotonic() - call.began, 6)
            self._write({"tool": call.tool, "seconds": seconds, **outcome})

    def _write(self, facts: Mapping[str, object]) -> None:
        try:
            append(self._store, "call", {**self._named, **facts})
        except (OSError, PermissionProblem) as error:
            if not self._is_told:
                self._is_told = True
                self._say(f"calls are not written into the audit log any more: {error}")


def _messages(line: bytes) -> list[dict[str, Any]] | None:
    """Return the messages of a line; None for one that is no JSON, or nested too deeply."""
    try:
        found = json.loads(line, parse_int=_number)
    except (ValueError, RecursionError):
        return None
    return [message for message in (found if isinstance(found, list) else [found]) if isinstance(message, dict)]


def _number(text: str) -> int | float:
    """Python limits the digits of an integer, and a call with one that is longer is a call."""
    return int(text) if len(text) <= _DIGITS else float(text)


def _key(identity: object) -> str:
    return json.dumps(identity)


def _outcome(message: Mapping[str, Any]) -> dict[str, object]:
    error, result = message.get("error"), message.get("result")
    if isinstance(error, dict):
        return (
            {"outcome": "error", "code": error["code"]} if isinstance(error.get("code"), int) else {"outcome": "error"}
        )
    is_error = isinstance(result, dict) and result.get("isError") is True
    return {"outcome": "failed" if is_error else "done"}
