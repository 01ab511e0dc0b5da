"""What a bridge has to know of a message that it passes on, and the answers that it gives in a server's place."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "FAILED",
    "NOT_JSON",
    "Said",
    "answers",
    "error_line",
    "header_value",
    "in_header",
    "one_line",
    "read",
    "result_of",
]

FAILED = -32000
"""The JSON-RPC error of a request that did not get to its server, or whose answer did not come back."""
NOT_JSON = -32700

_VERSION = "io.modelcontextprotocol/protocolVersion"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_LONGEST_HEADER = 4096
_ENCODED = re.compile(r"=\?base64\?.*\?=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A message of the application, as far as its way depends on it.

    Attributes:
        method: Of a request or notification that stands alone; "" else.
        requests: The ids of the requests in it, each as JSON: `1` is not `"1"`.
        version: The protocol that the message itself names (2026-07-28 and later); "" for that of its session.
        name: What a message of such a protocol is about, as its header says it; "" for nothing.
        cancels: The id, as JSON, of the request that it takes back; "" for none.
    """

    method: str = ""
    requests: tuple[str, ...] = ()
    version: str = ""
    name: str = ""
    cancels: str = ""


def read(line: bytes) -> Said | None:
    """Return what a line says; None if it is no JSON."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    messages = value if isinstance(value, list) else [value]
    requests = tuple(
        json.dumps(item["id"])
        for item in messages
        if isinstance(item, dict) and "method" in item and item.get("id") is not None
    )
    if not isinstance(value, dict) or not isinstance(value.get("method"), str):
        return Said(requests=requests)
    method, params = value["method"], _members(value.get("params"))
    cancelled = params.get("requestId") if method == "notifications/cancelled" else None
    version = _members(params.get("_meta")).get(_VERSION)
    name = params.get(_NAMED_BY.get(method, ""))
    return Said(
        method=method,
        requests=requests,
        version=version if isinstance(version, str) and _DATE.fullmatch(version) else "",
        name=header_value(name) if isinstance(name, str) else "",
        cancels="" if cancelled is None else json.dumps(cancelled),
    )


def answers(line: bytes) -> frozenset[str]:
    """Return the ids, each as JSON, of the requests that a line of the server answers."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return frozenset()
    messages = value if isinstance(value, list) else [value]
    return frozenset(
        json.dumps(item["id"])
        for item in messages
        if isinstance(item, dict) and "method" not in item and item.get("id") is not None
    )


def result_of(line: bytes) -> Mapping[str, Any]:
    """Return the members of the result in a line; none if it has no result, or is no answer."""
    try:
        return _members(_members(json.loads(line)).get("result"))
    except (ValueError, RecursionError):
        return {}


def header_value(text: str) -> str:
    """Return a text as a header of MCP carries it: in base64 if it is not plain."""
    if _PLAIN.fullmatch(text) and not _ENCODED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode(errors='replace')).decode()}?="


def in_header(text: object) -> str:
    """Return a text of the server's as a header can carry it back; "" for what is none that can."""
    return text if isinstance(text, str) and _PLAIN.fullmatch(text) and len(text) <= _LONGEST_HEADER else ""


def one_line(data: bytes) -> bytes:
    """Return JSON as one line: outside of strings a newline is a space, and inside there is none."""
    return data.strip().replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def error_line(request: str, text: str, *, code: int = FAILED) -> bytes:
    """Return the line that answers a request, whose id is given as JSON, by an error."""
    error = json.dumps({"code": code, "message": text}, ensure_ascii=False)
    return f'{{"jsonrpc":"2.0","id":{request},"error":{error}}}\n'.encode(errors="replace")


def _members(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
