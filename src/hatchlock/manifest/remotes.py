"""What fits together of a server that somebody else runs: its address, what every request to it has, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hatchlock.launch_parts import url_problem
from hatchlock.manifest.problem import Finding, KeyPath
from hatchlock.manifest.schema_servers import ServerTable

__all__ = ["REMOTE_KEYS", "remote_findings"]

REMOTE_KEYS = frozenset(
    {
        *("description", "url", "headers", "transport", "startup-timeout", "probe", "tools"),
        *("clients", "client", "groups", "trust", "drift"),
    }
)
"""What a server can say that is somewhere else."""

_SAID_ELSEWHERE = frozenset({"source", "build", "command", "port", "path", "host-port", "serve"})
"""Keys that other checks speak about."""
_KNOWN = frozenset(str(field.alias or name) for name, field in ServerTable.model_fields.items())
"""What is no key at all has its own error, with the one that was meant."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_OURS = frozenset(
    {
        *("accept", "connection", "content-length", "content-type", "host", "transfer-encoding", "last-event-id"),
        *("mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name"),
    }
)


def remote_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with `url` and `headers` of a manifest's servers. Paths are the manifest's."""
    yield from _headers(("defaults", "headers"), _table(_table(document, "defaults"), "headers"))
    servers = _table(document, "servers")
    for name in servers:
        own, path = _table(servers, name), ("servers", name)
        yield from _headers((*path, "headers"), _table(own, "headers"))
        if "url" in own:
            yield from _server(path, own)
        elif "headers" in own:
            yield Finding(
                path=(*path, "headers"),
                what="'headers' are those of requests to a remote server, and this one has no 'url'",
                advice="remove them, or give it what it needs as env",
            )


def _server(path: KeyPath, own: Mapping[str, Any]) -> Iterator[Finding]:
    url = own["url"]
    is_address = isinstance(url, str) and url.startswith(("https://", "http://"))  # else its form is wrong already
    if is_address and (why := url_problem(url)):
        yield Finding(path=(*path, "url"), what=f"the server cannot be reached there: {why}", advice=_advice(url))
    if own.get("transport") == "stdio":
        yield Finding(
            path=(*path, "transport"),
            what="a remote server is not spoken to over stdio; `run` does that in its place",
            advice='remove it, or write "sse" for a server of the older kind',
        )
    if "source" in own or "build" in own:
        return  # which one is meant is the question then
    for key in own:
        if key in _KNOWN - REMOTE_KEYS - _SAID_ELSEWHERE:
            yield Finding(
                path=(*path, key),
                what=f"{key!r} is about a server that runs here, and this one is remote",
                advice="remove it; what a remote server is told stands in headers",
            )


def _advice(url: str) -> str:
    if url.startswith("http://"):
        return "write its https address, or lead a port of this machine to it (ssh -L) and name that"
    return "write https://HOST/PATH; a password or key belongs into headers: headers.NAME = { secret = … }"


def _headers(path: KeyPath, headers: Mapping[str, Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for name, value in headers.items():
        lower = name.lower()
        if not _TOKEN.fullmatch(name):
            yield Finding(path=(*path, name), what=f"{name!r} is no name of a header", advice="such as X-API-Key")
        elif lower in _OURS:
            yield Finding(path=(*path, name), what=f"{name!r} is set with every message", advice="remove it")
        elif lower in seen:
            yield Finding(path=(*path, name), what=f"the header {lower} is there twice", advice="keep one")
        seen.add(lower)
        if isinstance(value, str) and not _VALUE.fullmatch(value):
            what = "a header cannot have that value: it is empty, or holds a line break or a character outside of ASCII"
            yield Finding(path=(*path, name), what=what, advice="write it as one line, without spaces around it")
        elif isinstance(value, dict) and value.get("as") == "file":
            what = "a header is no file"
            yield Finding(path=(*path, name, "as"), what=what, advice="remove 'as'")


def _table(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
