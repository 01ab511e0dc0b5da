"""From the start of a server to its answer to `initialize`, through `hatchlock run` and without it.

    python benchmarks/run.py [--rounds 10]

The peer of the process runtime is the environment's own script, started directly; that of the container runtime is
`docker run -i` of the same image with the same command. Rounds alternate. Works on the project in the current
directory, which must be applied: every server in its lock is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from hatchlock.launch import LaunchRecord
from hatchlock.lock.store import read_lock
from hatchlock.paths import Home
from hatchlock.usecases.run import find_record

HATCHLOCK = str(Path(sys.executable).with_name("hatchlock"))
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


def seconds_to_answer(command: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(HELLO).encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        taken = time.perf_counter() - began
        assert "result" in answer, answer
        process.stdin.close()
        process.stdout.read()
    return taken


def peer(record: LaunchRecord) -> list[str]:
    if record.runtime == "process":
        return list(record.argv)
    program, *arguments = record.argv
    docker = ["docker", "--host", record.engine, "run", "--rm", "-i", "--network", "none", "--init"]
    return [*docker, "--entrypoint", program, record.image, *arguments]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    home = Home.locate(explicit=None, environ=os.environ)
    lock = read_lock(Path("hatch.lock"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for server in lock.servers:
        record = find_record(home, lock.project, server.name)
        commands = {"direct": peer(record), "hatchlock run": [HATCHLOCK, "run", server.name]}
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(seconds_to_answer(command, env))
        direct, ours = (statistics.median(taken[name]) for name in commands)
        print(
            f"{server.name} ({record.runtime}): direct {direct:.3f} s, hatchlock run {ours:.3f} s, "
            f"+{(ours - direct) * 1000:.0f} ms, {ours / direct:.2f} x, {rounds} rounds"
        )


if __name__ == "__main__":
    main()
