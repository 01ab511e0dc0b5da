"""What the sandbox adds to the start of a server, up to its answer to `initialize`.

    python benchmarks/sandbox.py [--base REGISTRY/NAME:TAG] [--rounds 15] [--tiny]

The same server (`mcp-server-time`; with --tiny one that imports nothing) in one project: as a process, beside the same
command started directly; with --base also as a container without a network, beside one that may reach a host, with a sidecar
for that; and as a process that may reach a host. The base is an image with Python at a registry that the engine may ask
(scripts/base-image --push makes one). Rounds alternate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from run import seconds_to_answer

from hatchlock.paths import Home
from hatchlock.usecases.run import find_record

HATCHLOCK = str(Path(sys.executable).with_name("hatchlock"))
ECHO = Path(__file__).parents[1] / "fixtures" / "servers" / "echo.py"
NAME = "sandbox-benchmark"
PROJECT = f"""\
[project]
name = "{NAME}"
"""
SERVER = """
[servers.{name}]
source = "pypi:mcp-server-time>=2026.1,<2027"
args = ["--local-timezone", "UTC"]
runtime = "{runtime}"
clients = []
{more}
"""
TINY = """
[servers.{name}]
command = "{python}"
args = ["-I", "/srv/echo.py"]
runtime = "{runtime}"
clients = []
{more}
"""
SANDBOX = """
[servers.{name}.sandbox]
reason = "what it costs"
"""
LISTED = 'network = ["localhost:8080"]\n'
SHOWN = 'mounts = [{{ source = "{echo}", target = "/srv/echo.py" }}]\n'
PYTHON = "/usr/bin/python3"
"""One that every sandbox shows."""
PROCESS_BUDGET, LIST_BUDGET = 0.080, 0.250


def manifest(base: str, *, tiny: bool) -> str:
    servers = [("process", "process", False), ("process-listed", "process", True)]
    if base:
        servers += [("container", "container", False), ("container-listed", "container", True)]
    text = PROJECT
    for name, runtime, listed in servers:
        more = f'base = "oci:{base}"' if runtime == "container" else ""
        form = TINY if tiny and runtime == "process" else SERVER
        text += form.format(name=name, runtime=runtime, more=more, python=PYTHON)
        own = (LISTED if listed else "") + (SHOWN.format(echo=ECHO) if form is TINY else "")
        text += SANDBOX.format(name=name) + own if own else ""
    return text


def prepare(where: Path, env: dict[str, str], text: str) -> None:
    (where / "hatchlock.toml").write_text(text)
    for words in (["lock"], ["apply", "--yes", "--no-probe"], ["plan", "--check"]):
        done = subprocess.run([HATCHLOCK, *words], cwd=where, env=env, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)


def commands(env: dict[str, str], base: str) -> dict[str, list[str]]:
    home = Home.locate(explicit=None, environ=env)
    names = ["process", "process-listed", *(("container", "container-listed") if base else ())]
    argv = find_record(home, NAME, "process").argv
    return {
        "direct": [str(ECHO) if word == "/srv/echo.py" else word for word in argv],
        **{name: [HATCHLOCK, "run", "--project", NAME, name] for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", default="")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["HATCHLOCK_HOME"] = str(where / "home")
        prepare(where, env, manifest(options.base, tiny=options.tiny))
        started = commands(env, options.base)
        taken: dict[str, list[float]] = {name: [] for name in started}
        for _ in range(options.rounds):
            for name, command in started.items():
                taken[name].append(seconds_to_answer(command, env))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print(f"{'':<18}{'min':>8}{'median':>8}{'max':>8}   s, {options.rounds} rounds")
    for name, values in taken.items():
        print(f"{name:<18}{min(values):>8.3f}{medians[name]:>8.3f}{max(values):>8.3f}")
    compare("process", "direct", medians, PROCESS_BUDGET)
    compare("process-listed", "process", medians, None)
    if options.base:
        compare("container-listed", "container", medians, LIST_BUDGET)


def compare(name: str, peer: str, medians: dict[str, float], budget: float | None) -> None:
    ours, theirs = medians[name], medians[peer]
    allowed = f", budget {budget * 1000:.0f} ms" if budget else ""
    print(f"{name} against {peer}: +{(ours - theirs) * 1000:.0f} ms, {ours / theirs:.2f} x{allowed}")


if __name__ == "__main__":
    main()
