"""First `lock` of Python servers against `uv pip compile --generate-hashes`, both with empty caches.

    python benchmarks/lock.py [--rounds 7] [--again] [--hatchlock COMMAND] [REQUIREMENT…]

Each requirement becomes a server with a private environment; uv compiles each by itself, eight at a time. Rounds alternate
between the two, whole processes are timed, and medians are compared. `--again` times a second run with filled caches
instead (for hatchlock with `--upgrade`, so that everything is resolved anew).
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PLATFORM = "linux/amd64"
UV_PLATFORM = "x86_64-unknown-linux-gnu"
PYTHON = "3.11"
AT_A_TIME = 8


def manifest(requirements: list[str]) -> str:
    servers = (
        f'[servers.s{number}]\nsource = "pypi:{text}"\nruntime = "process"\npython = "{PYTHON}"\n'
        for number, text in enumerate(requirements)
    )
    return "\n".join([f'[project]\nname = "benchmark"\nplatforms = ["{PLATFORM}"]\n', *servers])


def run(argv: list[str], text: str = "") -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(argv)}: {done.stderr}")


def hatchlock(command: list[str], project: Path, *, upgrade: bool) -> float:
    options = ["-C", str(project), "--home", str(project / "home"), *(["--upgrade"] if upgrade else [])]
    start = time.perf_counter()
    run([*command, "lock", *options])
    return time.perf_counter() - start


def uv(requirements: list[str], cache: Path) -> float:
    argv = ["uv", "pip", "compile", "--quiet", "--generate-hashes", "--only-binary", ":all:", "--cache-dir", str(cache)]
    argv += ["--python-version", PYTHON, "--python-platform", UV_PLATFORM, "-"]
    start = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda text: run(argv, text), requirements))
    return time.perf_counter() - start


def one_round(command: list[str], requirements: list[str], *, again: bool, ours_first: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        (project / "hatchlock.toml").write_text(manifest(requirements))
        work = {
            "hatchlock": lambda: hatchlock(command, project, upgrade=again),
            "uv": lambda: uv(requirements, project / "uv-cache"),
        }
        order = sorted(work, reverse=not ours_first)
        if again:
            hatchlock(command, project, upgrade=False)
            uv(requirements, project / "uv-cache")
        return {name: work[name]() for name in order}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requirements", nargs="*", default=["mcp-server-time>=2026.1"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--hatchlock", default="hatchlock", help="the command, as a shell would split it")
    options = parser.parse_args()
    command = shlex.split(options.hatchlock)
    rounds = [
        one_round(command, options.requirements, again=options.again, ours_first=number % 2 == 0)
        for number in range(options.rounds)
    ]
    medians = {name: statistics.median(item[name] for item in rounds) for name in ("hatchlock", "uv")}
    for name, seconds in medians.items():
        times = " ".join(f"{item[name]:.2f}" for item in rounds)
        print(f"{name:10} median {seconds:.3f} s   ({times})")
    print(f"{'ratio':10} {medians['hatchlock'] / medians['uv']:.2f}")


if __name__ == "__main__":
    main()
