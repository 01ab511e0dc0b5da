"""From the start of a server to its answer to `initialize`, through `hatchlock run` and without it.

    python benchmarks/run.py [--rounds 10]

The peer of the process runtime is the environment's own script, started directly; that of the container runtime is
`docker run -i` of the same image with the same command. `entry` is what `apply` writes into files of the user's own
applications, `committed` what it writes into a project's. `least` is what no runner in Python can go below: an
interpreter that starts and becomes bubblewrap, with name spaces and nothing else. Rounds alternate. Works on the project
in the current directory, which must be applied: every server in its lock is measured.
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

from hatchlock.engines.process import find_bwrap
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


def least(record: LaunchRecord) -> list[str]:
    spaces = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--bind", "/", "/", "--dev", "/dev"]
    code = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-I", "-S", "-c", code, find_bwrap(os.environ["PATH"]) or "bwrap", *spaces, *record.argv]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    home = Home.locate(explicit=None, environ=os.environ)
    lock = read_lock(Path("hatch.lock"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for server in lock.servers:
        record = find_record(home, lock.project, server.name)
        entry = ["run", "--home", str(home.root), "--project", lock.project, server.name]
        commands = {
            "direct": peer(record),
            **({"least": least(record)} if record.runtime == "process" else {}),
            "entry": [str(home.bin / "hatchlock"), *entry],
            "committed": [HATCHLOCK, "run", server.name],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name in sorted(commands, reverse=number % 2 == 1):
                seconds = seconds_to_answer(commands[name], env)
                if number:
                    taken[name].append(seconds * 1000)
        print(f"{server.name} ({record.runtime}): ms, {rounds} rounds (goal: direct + 80; a container: 1.05 x)")
        direct, shortest = statistics.median(taken["direct"]), min(taken["direct"])
        for name, values in taken.items():
            middle, low = statistics.median(values), min(values)
            print(
                f"  {name:<10} min {low:>6.0f} +{low - shortest:<4.0f} {low / shortest:.2f} x"
                f"   median {middle:>6.0f} +{middle - direct:<4.0f} {middle / direct:.2f} x"
            )


if __name__ == "__main__":
    main()
