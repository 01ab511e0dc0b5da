"""An MCP registry on loopback: the read-only half of the official interface (`/v0.1`), with its paging, and its faults."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.loopback import Handler, answering, fails
from support.source_tree import ROOT

__all__ = ["OFFICIAL", "RegistryServer", "published", "real_entries", "serving_mcp"]

OFFICIAL = "io.modelcontextprotocol.registry/official"
_ENTRIES = ROOT / "fixtures" / "mcp-registry" / "servers.json"


def real_entries() -> list[dict[str, Any]]:
    """Return the twelve entries of the fixture, as the registry answers about each."""
    found: list[dict[str, Any]] = json.loads(_ENTRIES.read_text())["servers"]
    return found


def published(
    name: str = "io.github.acme/thing",
    version: str = "1.0.0",
    *,
    packages: Sequence[Mapping[str, Any]] = (),
    remotes: Sequence[Mapping[str, Any]] = (),
    status: str = "active",
    message: str = "",
    latest: bool = True,
    day: int = 1,
    **server: Any,
) -> dict[str, Any]:
    """Return an entry as the registry answers about it; `server` is what else its document says."""
    document = {"name": name, "version": version, "description": "It does things.", **server}
    document |= {"packages": list(packages)} if packages else {}
    document |= {"remotes": list(remotes)} if remotes else {}
    official = {"status": status, "publishedAt": f"2026-01-{day:02}T00:00:00Z", "isLatest": latest}
    return {"server": document, "_meta": {OFFICIAL: official | ({"statusMessage": message} if message else {})}}


@dataclass(kw_only=True)
class RegistryServer:
    """What is served, and what was asked for (`GET path`).

    Switches: `page` (entries on a page at most), `failures` (path -> how often it answers 503 first; "*" for any path), `raw`
    (path -> bytes to answer instead), `breaks_off` (say a longer body than is sent), `leads_back` (every page says that there
    is another one, which is the first).
    """

    entries: list[dict[str, Any]]
    url: str = ""
    page: int = 100
    failures: Counter[str] = field(default_factory=Counter)
    raw: dict[str, bytes] = field(default_factory=dict)
    breaks_off: bool = False
    leads_back: bool = False
    asked: list[str] = field(default_factory=list)

    def versions(self, name: str, *, deleted: bool) -> list[dict[str, Any]]:
        found = [item for item in self.entries if item["server"]["name"] == name]
        return [item for item in found if deleted or item["_meta"][OFFICIAL]["status"] != "deleted"]

    def version(self, name: str, version: str, *, deleted: bool) -> dict[str, Any] | None:
        found = self.versions(name, deleted=deleted)
        if version == "latest":
            return next((item for item in found if item["_meta"][OFFICIAL]["isLatest"]), None)
        return next((item for item in found if item["server"]["version"] == version), None)

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page. The cursor of the next one is the entry that this one ends with, as the real registry has it."""
        found = [item for item in self.entries if query.get("search", "") in item["server"]["name"]]
        found = [item for item in found if query.get("version") != "latest" or item["_meta"][OFFICIAL]["isLatest"]]
        found = [item for item in found if item["_meta"][OFFICIAL]["status"] != "deleted"]
        found.sort(key=_cursor)
        rest = [item for item in found if _cursor(item) > query.get("cursor", "")]
        size = min(int(query.get("limit", "30")), self.page)
        page = rest[:size]
        metadata: dict[str, Any] = {"count": len(page)}
        if len(rest) > size:
            metadata["nextCursor"] = _cursor(page[-1])
        if self.leads_back and found:
            metadata["nextCursor"] = _cursor(found[0])
        return {"servers": page, "metadata": metadata}


def _cursor(item: Mapping[str, Any]) -> str:
    return f"{item['server']['name']}:{item['server']['version']}"


class _Handler(Handler[RegistryServer]):
    content_type = "application/json"

    def do_GET(self) -> None:
        registry = self.state
        registry.asked.append(self.path)
        if fails(registry.failures, self.path):
            self._send(503, b"{}")
        elif self.path in registry.raw:
            self._send(200, registry.raw[self.path])
        else:
            self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        deleted = query.get("include_deleted") == "true"
        found: dict[str, Any] | None = None
        match parts.path.split("/")[1:]:
            case ["v0.1", "servers"]:
                found = self.state.listed(query)
            case ["v0.1", "servers", name, "versions"]:
                listed = self.state.versions(unquote(name), deleted=deleted)
                found = {"servers": listed, "metadata": {"count": len(listed)}} if listed else None
            case ["v0.1", "servers", name, "versions", version]:
                found = self.state.version(unquote(name), unquote(version), deleted=deleted)
        if found is None:
            self._send(404, b'{"error":"Server not found"}')
        else:
            self._send(200, json.dumps(found).encode())

    def _send(self, status: int, data: bytes) -> None:
        self.send(status, data, missing=10 if self.state.breaks_off else 0)


@contextlib.contextmanager
def serving_mcp(*entries: Mapping[str, Any], **switches: Any) -> Iterator[RegistryServer]:
    """Serve these entries on loopback inside the block."""
    registry = RegistryServer(entries=[dict(entry) for entry in entries], **switches)
    with answering(_Handler, registry) as address:
        registry.url = address
        yield registry
