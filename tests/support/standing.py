"""Servers that stay, in tests: asked over HTTP, and ended with everything of theirs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hatchlock.engines.process import find_interpreter
from hatchlock.launch import Endpoint, LaunchRecord
from hatchlock.resources.keeping import start_keeper, stop_keeper
from hatchlock.state.keepers import Keeper, keeper_of, keepers
from support.ports import free_port
from support.runs import PATIENCE, SERVERS, apply_records, processes_with, python_record, wait_for

__all__ = ["ask_tool", "ended", "kept", "post", "servers_of", "started", "web_manifest", "web_record"]


def web_record(*options: str, port: int = 8080, **fields: Any) -> LaunchRecord:
    """Return the record of `fixtures/servers/web.py`, as a process, with a free port of this machine."""
    endpoint = Endpoint(host_port=free_port(), port=port)
    mark = ("--mark", f"m{endpoint.host_port}")
    return python_record(
        "--port", str(port), *mark, *options, script="web.py", server="web", endpoint=endpoint, **fields
    )


def web_manifest(*lines: str, name: str = "trial", servers: int = 1) -> str:
    """Return a manifest whose one server is `fixtures/servers/web.py`, as a process; or several: `web`, `web1`, …"""
    interpreter = find_interpreter(f"3.{sys.version_info.minor}", os.environ)
    seen = [str(SERVERS), *(prefix for prefix in interpreter.prefixes if not prefix.startswith("/usr"))]
    mounts = ", ".join(f'{{ source = "{path}", target = "{path}" }}' for path in seen)
    parts = [f'[project]\nname = "{name}"\nplatforms = ["linux/amd64", "linux/arm64"]\n']
    for number in range(servers):
        server = f"web{number or ''}"
        command = json.dumps([interpreter.path, str(SERVERS / "web.py"), "--name", server])
        told = "\n".join(['transport = "http"', "port = 8080", *lines])
        sandbox = f'[servers.{server}.sandbox]\nmounts = [{mounts}]\nstop-grace = 1\nreason = "it is there"\n'
        parts.append(f"[servers.{server}]\ncommand = {command}\n{told}\n{sandbox}")
    return "\n".join(parts)


def started(home: Path, record: LaunchRecord, **variables: str) -> Keeper:
    """Have a server kept, as `apply` does."""
    apply_records(home, [record])
    environ = {"HOME": "/nonexistent", "PATH": "/usr/sbin:/usr/bin:/bin", **variables}
    root = home / "projects" / record.project
    return start_keeper(home, record.project, record.server, record.digest, environ, root=root)


def kept(root: Path, server: str = "web", **facts: Any) -> Keeper:
    """Wait until a server's keeper says all of this of it, by default that it is healthy."""
    wanted = facts or {"phase": "running", "health": "healthy"}

    def is_so() -> bool:
        found = keeper_of(root, server)
        return found is not None and all(getattr(found, name) == value for name, value in wanted.items())

    assert wait_for(is_so), (wanted, keeper_of(root, server))
    found = keeper_of(root, server)
    assert found is not None
    return found


def post(url: str, method: str, **params: Any) -> Any:
    """Send a request, and return the result."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        connection.request("POST", parts.path, body=json.dumps(message), headers=headers)
        return json.loads(connection.getresponse().read())["result"]


def ask_tool(url: str, tool: str, text: str = "") -> str:
    """Call a tool, and return its text."""
    return str(post(url, "tools/call", name=tool, arguments={"text": text})["content"][0]["text"])


def servers_of(port: int) -> list[int]:
    """Return the pids of `web_record`'s server that is reached at a port, without what starts it in its sandbox."""
    return [pid for pid in processes_with(f"\0m{port}\0") if _name(pid).startswith("python")]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


@contextlib.contextmanager
def ended(home: Path) -> Iterator[Path]:
    """End all that is kept in a store when the block ends, and everything else that names it."""
    try:
        yield home
    finally:
        for root in home.glob("projects/*"):
            for name in keepers(root):
                stop_keeper(root, name, grace=1)
        for pid in processes_with(str(home)):
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
