"""How long the commands that people and applications start all day take, as whole processes.

    python benchmarks/startup.py [--rounds 15]

`--help`, `--version` and a `plan` without changes over ten process servers, beside a bare `python -c pass`, rounds
alternating. Fetches one real server (`mcp-server-time`) once, into a store of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MANIFEST = """\
[project]
name = "bench"

[defaults]
runtime = "process"
clients = ["claude-code", "cursor"]

[clients.claude-code]
scope = "project"

[clients.cursor]
scope = "project"
"""
SERVER = """
[servers.time{number}]
source = "pypi:mcp-server-time>=2026.1,<2027"
args = ["--local-timezone", "Etc/GMT+{number}"]
"""
BARE = [sys.executable, "-c", "pass"]
# as installed: the console script next to the interpreter
HATCHLOCK = [str(Path(sys.executable).with_name("hatchlock"))]
BUDGETS = {"--help": 60, "--version": 60, "plan": 150}


def milliseconds(command: list[str], where: Path, env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=where, env=env, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def prepare(where: Path, env: dict[str, str]) -> None:
    text = MANIFEST + "".join(SERVER.format(number=number) for number in range(1, 11))
    (where / "hatchlock.toml").write_text(text)
    for words in (["lock"], ["apply", "--yes", "--no-probe"], ["plan", "--check"]):
        subprocess.run([*HATCHLOCK, *words], cwd=where, env=env, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        # compiled modules are kept, as in any installation
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["HATCHLOCK_HOME"] = str(where / "home")
        prepare(where, env)
        commands = {"python -c pass": BARE, **{name: [*HATCHLOCK, name] for name in BUDGETS}}
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(milliseconds(command, where, env))
    print(f"{'command':<16}{'min':>8}{'median':>8}{'max':>8}{'budget':>8}   ms, {rounds} rounds")
    for name, values in taken.items():
        budget = BUDGETS.get(name, "")
        print(f"{name:<16}{min(values):>8.0f}{statistics.median(values):>8.0f}{max(values):>8.0f}{budget:>8}")


if __name__ == "__main__":
    main()
