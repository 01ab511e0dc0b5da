"""An MCP server of the SDK's that is reached over HTTP on loopback (`remote_program`, `guarded_program`), in its own process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchlock.launch import LaunchRecord
from hatchlock.launch_rare import Remote
from support.ports import free_port

SECONDS = 60.0
HERE = Path(__file__).parent


class RemoteServer:
    """One that runs.

    Attributes:
        url: Where it is.
        port: Its port.
    """

    def __init__(self, way: str, port: int = 0) -> None:
        self.way = way
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(HERE / ("guarded_program.py" if way == "guarded" else "remote_program.py")),
                way,
                str(port or free_port()),  # `again` finds it free: nobody else got it meanwhile
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], SECONDS)[0], "it does not start"
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/{'sse' if way == 'sse' else 'mcp'}"

    def control(self, query: str) -> dict[str, int]:
        """Steer a guarded one, and return what it has counted."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/control?{query}", timeout=SECONDS) as answer:
            return dict(json.load(answer))

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def again(self) -> RemoteServer:
        """Return another one in its place, at its port, which knows nothing of it."""
        return RemoteServer(self.way, self.port)

    def close(self) -> None:
        """End it, if it has not ended."""
        self.kill()
        if self._process.stdout:
            self._process.stdout.close()


@contextlib.contextmanager
def remote_server(way: str) -> Iterator[RemoteServer]:
    """Have one run inside of the block."""
    server = RemoteServer(way)
    try:
        yield server
    finally:
        server.close()


def record_of(url: str, *, transport: str = "", **fields: Any) -> LaunchRecord:
    """Return a record of a server `far` at an address; without a transport it follows from the address."""
    way = transport or ("sse" if url.endswith("/sse") else "http")
    remote = {name: fields.pop(name) for name in ("headers", "secrets") if name in fields}
    return LaunchRecord(
        project="trial",
        server="far",
        runtime="process",
        argv=(),
        key="",
        directory="/",
        remote=Remote(url=url, transport=way, **remote),  # type: ignore[arg-type]
        **fields,
    )
