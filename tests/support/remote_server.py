"""An MCP server of the SDK's that is reached over HTTP on loopback (`remote_program`), in a process of its own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SECONDS = 30.0
PROGRAM = Path(__file__).with_name("remote_program.py")


class RemoteServer:
    """One that runs.

    Attributes:
        url: Where it is.
        port: Its port.
    """

    def __init__(self, way: str, port: int = 0) -> None:
        self.way = way
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), way, str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], SECONDS)[0], "it does not start"
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/{'sse' if way == 'sse' else 'mcp'}"

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
