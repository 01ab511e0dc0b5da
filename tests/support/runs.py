"""Applied servers without an apply: launch records in a store, and `run` of them in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hatchlock.digest import canonical_json
from hatchlock.engines.process import find_interpreter
from hatchlock.launch import LaunchRecord

SERVERS = Path(__file__).parents[2] / "fixtures" / "servers"
PATIENCE = 60.0
"""Seconds after which something hangs, on any machine: what is asserted by them is that it comes at all."""

_DRIVER = """
import os, sys
from pathlib import Path
from hatchlock.errors import HatchlockError
from hatchlock.paths import Home
from hatchlock.usecases.run import run
home = Home(root=Path(sys.argv[1]), is_default=False)
try:
    sys.exit(run(home, sys.argv[2] or None, sys.argv[3], Path.cwd(), os.environ))
except HatchlockError as error:
    print(f"{error.address}: {error}\\n\\nhint: {error.hint}", file=sys.stderr)
    sys.exit(error.exit_status)
"""
BARE = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}},
}


def python_record(*options: str, script: str = "echo.py", **fields: Any) -> LaunchRecord:
    """Return the record of a server from `fixtures/servers`, run by this machine's Python as a process."""
    interpreter = find_interpreter(f"3.{sys.version_info.minor}", os.environ)
    values: dict[str, Any] = {
        "project": "trial",
        "server": "echo",
        "runtime": "process",
        "argv": (interpreter.path, "-I", str(SERVERS / script), *options),
        "key": "0" * 64,
        "read_only_paths": (*interpreter.prefixes, str(SERVERS)),
        "directory": "/",
    }
    return LaunchRecord(**{**values, **fields})


def apply_records(home: Path, records: Iterable[LaunchRecord]) -> None:
    """Write records as `apply` leaves them."""
    for record in records:
        state = home / "projects" / record.project
        (state / "launch").mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / "launch" / f"{record.digest}.json").write_bytes(record.to_json())
        active = state / "active.json"
        servers = json.loads(active.read_bytes())["servers"] if active.exists() else {}
        servers[record.server] = record.digest
        active.write_bytes(canonical_json({"format_version": 1, "servers": servers}))


def run_command(home: Path, server: str = "echo", project: str = "trial") -> list[str]:
    """Return the command that does what `hatchlock run` does."""
    return [sys.executable, "-c", _DRIVER, str(home), project, server]


class Run:
    """A `run` in a process of its own, with its streams in our hands. Use as a context: nothing survives it."""

    def __init__(
        self,
        *,
        command: Sequence[str],
        env: Mapping[str, str] = BARE,
        cwd: Path | str = "/",
        err: int = subprocess.PIPE,
    ) -> None:
        self.command = tuple(command)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=err,
            bufsize=0,
            env=dict(env),
            cwd=cwd,
        )
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def write(self, message: Mapping[str, Any]) -> None:
        """Send a message, without waiting for an answer."""
        assert self.process.stdin is not None
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[self.process.stdin.write(data) :]

    def line(self) -> bytes:
        """Return the next line of stdout."""
        assert self.process.stdout is not None
        parts = [self._pending]
        while b"\n" not in parts[-1]:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            chunk = self.process.stdout.read(1 << 16) if ready else b""
            if not chunk:
                self.process.kill()
                said = self.process.communicate()[1].decode(errors="replace")
                raise AssertionError(f"stdout ended or was silent, after {b''.join(parts)!r}; stderr: {said}")
            parts.append(chunk)
        line, _, self._pending = b"".join(parts).partition(b"\n")
        return line

    def ask(self, method: str, **params: Any) -> Any:
        """Send a request and return its result."""
        self.write({"jsonrpc": "2.0", "id": 2, "method": method, "params": params})
        return json.loads(self.line())["result"]

    def hello(self) -> Any:
        """Send `initialize` and return its result."""
        self.write(HELLO)
        return json.loads(self.line())["result"]

    def call(self, tool: str, **arguments: Any) -> str:
        """Call a tool and return its text."""
        return str(self.ask("tools/call", name=tool, arguments=arguments)["content"][0]["text"])

    def attempt(self, trick: str, argument: str = "") -> str:
        """Let the server try something, and return what came of it."""
        return self.call("attempt", trick=trick, argument=argument)

    def watchdogs(self) -> list[int]:
        """Return the pids of all processes with this run's command line: itself, and watchdogs of its like."""
        return processes_with("\0".join(map(str, self.command)))

    def end(self) -> tuple[int, bytes, bytes]:
        """End stdin; return exit status, the rest of stdout, and stderr."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, self._pending + out, err

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for the end without ending stdin."""
        return self.process.wait(patience)


def processes_with(text: str) -> list[int]:
    """Return the pids whose command line holds `text`, of this machine's Linux; zombies have none."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and text.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def memory_of(pids: Iterable[int]) -> dict[int, int]:
    """Return the bytes of processes, pages that several have by share; one that has ended meanwhile is none of them."""
    sizes = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            sizes[pid] = sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return sizes


def wait_for(done: Any, patience: float = PATIENCE) -> bool:
    """Ask until it is so or patience ends."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
