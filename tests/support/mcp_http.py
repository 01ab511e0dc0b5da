"""MCP over HTTP by hand: requests with the headers that a test wants, answers and events as they came."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from hatchlock.state.tokens import token_of
from support.runs import BARE, PATIENCE

BOTH = "application/json, text/event-stream"


@dataclass(kw_only=True)
class Reply:
    """An answer. `events` are those that came until the stream ended."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    events: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def json(self) -> Any:
        """The body, or the last event's data."""
        return json.loads(self.body) if self.body else self.events[-1][1]


def hello(version: str = "2025-06-18", identity: Any = 1) -> dict[str, Any]:
    info = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}
    return {"jsonrpc": "2.0", "id": identity, "method": "initialize", "params": info}


def request(identity: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


class Events:
    """A stream that is read as far as a test wants."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self.connection = connection
        self.response = response

    def next(self) -> tuple[str, Any] | None:
        """Return id and data of the next event that has data; None at the end."""
        lines: dict[str, str] = {}
        while line := self.response.readline():
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(":")
                lines[name] = value.strip()
            elif lines.get("data"):
                return lines.get("id", ""), json.loads(lines["data"])
            else:
                lines = {}
        return None

    def all(self) -> list[tuple[str, Any]]:
        return list(iter(self.next, None))

    def close(self) -> None:
        self.response.close()
        self.connection.close()


@dataclass(kw_only=True)
class Client:
    """A client of one session, or of none."""

    url: str
    token: str = ""
    session: str = ""
    version: str = ""

    def begin(self, method: str, body: Any = None, **headers: str | None) -> Events:
        """Send a request and return its answer's stream. A header of None is left out."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=PATIENCE)
        usual = {
            "Accept": BOTH,
            "Content-Type": "application/json" if body is not None else None,
            "Authorization": f"Bearer {self.token}" if self.token else None,
            "Mcp-Session-Id": self.session or None,
            "MCP-Protocol-Version": self.version or None,
        }
        wanted = {**usual, **{name.replace("_", "-").title(): value for name, value in headers.items()}}
        folded = {name.lower(): (name, value) for name, value in wanted.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        sent = {name: value for name, value in folded.values() if value is not None}
        connection.request(method, parts.path, data, sent)
        return Events(connection, connection.getresponse())

    def ask(self, method: str, body: Any = None, **headers: str | None) -> Reply:
        """Send a request and return the whole answer."""
        stream = self.begin(method, body, **headers)
        found = {name.lower(): value for name, value in stream.response.getheaders()}
        is_stream = found.get("content-type") == "text/event-stream"
        events = stream.all() if is_stream else []
        reply = Reply(status=stream.response.status, headers=found, body=stream.response.read(), events=events)
        stream.close()
        return reply

    def post(self, body: Any, **headers: str | None) -> Reply:
        return self.ask("POST", body, **headers)

    def call(self, tool: str, identity: Any = 9, **arguments: Any) -> Reply:
        return self.post(request(identity, "tools/call", name=tool, arguments=arguments))

    def hello(self, version: str = "2025-06-18") -> Self:
        """Begin a session."""
        reply = self.post(hello(version))
        assert reply.status == 200, reply
        self.session = reply.headers["mcp-session-id"]
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status == 202
        return self


def hatchlock(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-I", "-m", "hatchlock", "--home", str(home), "--project", "trial", *words]


@dataclass(kw_only=True)
class Front:
    """A `hatchlock serve` that runs."""

    process: subprocess.Popen[bytes]
    url: str
    token: str

    def client(self) -> Client:
        return Client(url=self.url, token=self.token)


@contextlib.contextmanager
def serving(home: Path, *words: str, env: Mapping[str, str] = BARE) -> Iterator[Front]:
    """Run `hatchlock serve WORDS`; it is killed at the end, if it has not ended."""
    key = f"group:{words[1]}" if words[0] == "--group" else words[0]
    token = "" if "--no-token" in words else token_of(home / "projects" / "trial", key)
    process = subprocess.Popen(
        hatchlock(home, "serve", *words), env=dict(env), cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        url = process.stdout.readline().decode().strip() if ready else ""
        if not url:
            process.kill()
            raise AssertionError(process.communicate()[1].decode())
        yield Front(process=process, url=url, token=token)
    finally:
        process.kill()
        process.communicate()


def family(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have, as far as they are there."""
    parents: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit():
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    found = [child for child, parent in parents.items() if parent == pid]
    return [*found, *(item for child in found for item in family(child))]


def command_of(pid: int) -> bytes:
    """The command line of a process; empty when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
