"""What `hatchlock run` adds: to the start of a server, to each message, to large ones; and what memory it takes.

    python benchmarks/runner.py [--rounds 15] [--messages 2000]

The server is `fixtures/servers/echo.py`, which imports next to nothing, as a sandboxed process; its peer is the same program
started directly. Pinned is the same with the hashes of its tools in its launch record. Throughput is of answers of 10 MB, beside
a pipe from a process that writes the same. Everything alternates.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hatchlock.digest import canonical_json
from hatchlock.engines.process import find_interpreter
from hatchlock.launch import LaunchRecord
from hatchlock.paths import Home
from hatchlock.surface import Pins, SurfaceRules, definition_hash
from hatchlock.usecases.launcher import write_launcher

SERVERS = Path(__file__).parents[1] / "fixtures" / "servers"
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}
PROJECT = "runner-benchmark"
ENV = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
LARGE = 10_000_000
WRITER = "import os; block = b'x' * 65536; left = {size}\nwhile left > 0: left -= os.write(1, block[:left])"


class Peer:
    """A server that is spoken to, however it was started."""

    def __init__(self, command: list[str]) -> None:
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENV,
            bufsize=0,
            cwd="/",
        )
        self.ask(HELLO)
        self.started = time.perf_counter() - self.began

    def ask(self, message: dict[str, Any]) -> bytes:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        return self.line()

    def line(self) -> bytes:
        assert self.process.stdout
        parts = []
        while not parts or not parts[-1].endswith(b"\n"):
            parts.append(os.read(self.process.stdout.fileno(), 1 << 20))
            assert parts[-1], "the server has ended"
        return b"".join(parts)

    def call(self, tool: str, **arguments: Any) -> bytes:
        params = {"name": tool, "arguments": arguments}
        return self.ask({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})

    def tools(self) -> list[dict[str, Any]]:
        return list(json.loads(self.ask({"jsonrpc": "2.0", "id": 3, "method": "tools/list"}))["result"]["tools"])

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def record(server: str, rules: SurfaceRules | None = None) -> LaunchRecord:
    interpreter = find_interpreter(f"3.{sys.version_info.minor}", os.environ)
    return LaunchRecord(
        project=PROJECT,
        server=server,
        runtime="process",
        argv=(interpreter.path, "-I", str(SERVERS / "echo.py")),
        key="0" * 64,
        read_only_paths=(*interpreter.prefixes, str(SERVERS)),
        directory="/",
        surface=rules,
    )


def write(home: Home, *records: LaunchRecord) -> None:
    state = home.project(PROJECT)
    (state / "launch").mkdir(mode=0o700, parents=True, exist_ok=True)
    for item in records:
        (state / "launch" / f"{item.digest}.json").write_bytes(item.to_json())
    servers = {item.server: item.digest for item in records}
    (state / "active.json").write_bytes(canonical_json({"format_version": 1, "servers": servers}))


def starts(commands: dict[str, list[str]], rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            peer = Peer(command)
            peer.end()
            if number:
                taken[name].append(peer.started * 1000)
    print(f"start to the answer to initialize, ms, {rounds} rounds (goal: direct + 80)")
    direct = statistics.median(taken["direct"])
    for name, values in taken.items():
        middle = statistics.median(values)
        print(f"  {name:<8}min {min(values):>6.0f}  median {middle:>6.0f}  +{middle - direct:.0f}")


def latencies(peers: dict[str, Peer], messages: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(messages):
        for name, peer in peers.items():
            began = time.perf_counter()
            peer.call("echo", text="hello")
            taken[name].append((time.perf_counter() - began) * 1000)
    print(f"a call and its answer, ms, {messages} of each (goal: p50 +1, p99 +3, for the way there and back)")
    ranks = {
        name: (statistics.median(values), sorted(values)[len(values) * 99 // 100]) for name, values in taken.items()
    }
    for name, (middle, high) in ranks.items():
        more = f"  +{middle - ranks['direct'][0]:.2f} +{high - ranks['direct'][1]:.2f}"
        print(f"  {name:<8}p50 {middle:.2f}  p99 {high:.2f}{more}")


def through_a_pipe() -> float:
    began = time.perf_counter()
    command = [sys.executable, "-c", WRITER.format(size=LARGE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout
        os.read(process.stdout.fileno(), 1)
        began = time.perf_counter()
        while os.read(process.stdout.fileno(), 1 << 20):
            pass
    return time.perf_counter() - began


def throughput(peers: dict[str, Peer], rounds: int) -> None:
    def one(peer: Peer) -> Callable[[], float]:
        def measure() -> float:
            peer.process.stdin.write(  # type: ignore[union-attr]
                json.dumps(
                    {
                        "jsonrpc": "2.0",
                        "id": 4,
                        "method": "tools/call",
                        "params": {"name": "large", "arguments": {"size": LARGE}},
                    }
                ).encode()
                + b"\n"
            )
            began = time.perf_counter()
            peer.line()
            return time.perf_counter() - began

        return measure

    ways = {"a pipe": through_a_pipe, **{name: one(peer) for name, peer in peers.items()}}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, measure in ways.items():
            seconds = measure()
            if number:
                taken[name].append(LARGE / 1e6 / seconds)
    print(f"answers of {LARGE // 1_000_000} MB, MB/s, {rounds} rounds (goal: 0.8 of the same server without run)")
    for name, values in taken.items():
        middle = statistics.median(values)
        print(f"  {name:<8}{middle:>6.0f}  {middle / statistics.median(taken['direct']):.2f} of direct")


def memory(when: str, peer: Peer) -> None:
    """Shared pages count by share."""
    pids = [peer.process.pid]
    sizes: list[int] = []
    words = Path(f"/proc/{peer.process.pid}/cmdline").read_bytes()
    for pid in pids:
        pids += [
            int(child)
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if Path(f"/proc/{child}/cmdline").read_bytes() == words
        ]
        rolled = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        sizes.append(sum(int(line.split()[1]) for line in rolled if line.startswith("Pss:")))
    print(f"memory of {when}, with its watchdogs: {sum(sizes) / 1024:.0f} MB in {len(pids)} processes (goal: 40)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--messages", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(root=Path(scratch) / "home", is_default=False)
        home.root.mkdir(mode=0o700)
        write_launcher(home)
        direct = Peer([*record("plain").argv])
        pins = Pins(tools={tool["name"]: definition_hash(tool) for tool in direct.tools()})
        write(home, record("plain"), record("pinned", SurfaceRules(pins=replace(pins))))
        words = [str(home.bin / "hatchlock"), "run", "--home", str(home.root), "--project", PROJECT]
        commands = {"direct": [*record("plain").argv], "run": [*words, "plain"], "pinned": [*words, "pinned"]}
        starts(commands, options.rounds)
        peers = {"direct": direct, "run": Peer(commands["run"]), "pinned": Peer(commands["pinned"])}
        for peer in peers.values():
            peer.tools()
        latencies(peers, options.messages)
        memory("run", peers["run"])
        throughput(peers, options.rounds)
        for name in ("run", "pinned"):
            memory(f"{name}, after large messages", peers[name])
        for peer in peers.values():
            peer.end()


if __name__ == "__main__":
    main()
