"""`plan` and `status` where there is nothing to do: few servers and many, and 20 containers beside docker-compose.

    python benchmarks/plan.py [--rounds 10] [--sizes 100,300,1000,3000] [--image busybox]

Without `--image` only process servers are measured; `--image` names one of the engine (DOCKER_HOST) that has
/bin/busybox. Rounds alternate. 20 sessions run meanwhile, so that there are 20 containers to look at, as for the peer,
`docker-compose up -d` of 20 that run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Taken, alternating, once
from worlds import container_world, environ_of, process_world

HATCHLOCK = [sys.executable, "-m", "hatchlock"]
CONTAINERS = 20


def show(name: str, taken: Taken) -> None:
    print(
        f"{name}: {taken.wall:.3f} s, {taken.processor:.3f} s of processors, {taken.memory / 1024:.0f} MB", flush=True
    )


def processes(scratch: Path, servers: int, packages: int, rounds: int) -> Taken:
    root = scratch / str(servers)
    project, env = process_world(root, servers=servers, packages=packages), environ_of(root)
    shutil.rmtree(root / "store" / "cache")
    first = once([*HATCHLOCK, "plan", "--check"], cwd=project, env=env)
    show(f"first plan, {servers} servers, {packages} packages", first)
    found = alternating(
        {
            "no-op plan": lambda: once([*HATCHLOCK, "plan", "--check"], cwd=project, env=env),
            "status": lambda: once([*HATCHLOCK, "status", "--offline"], cwd=project, env=env),
        },
        rounds,
    )
    for name, taken in found.items():
        show(f"{name}, {servers} servers, {packages} packages", taken)
    shutil.rmtree(root)
    return found["no-op plan"]


def containers(scratch: Path, image: str, rounds: int) -> None:
    root = scratch / "containers"
    project, env = container_world(root, image, servers=CONTAINERS), environ_of(root)
    compose = write_compose(scratch / "peer", image)
    peer = ["docker-compose", "--project-name", "measured", "up", "-d"]
    for words in (["lock"], ["apply", "--yes", "--no-probe"]):
        once([*HATCHLOCK, *words], cwd=project, env=env)
    once(peer, cwd=compose, env=env)
    sessions = [
        subprocess.Popen(
            [*HATCHLOCK, "run", f"server-{number:02}"],
            cwd=project,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for number in range(CONTAINERS)
    ]
    try:
        time.sleep(10)
        running = subprocess.run(
            ["docker", "ps", "-q"], env=env, capture_output=True, text=True, check=True
        ).stdout.split()
        print(f"{len(running)} containers run", flush=True)
        found = alternating(
            {
                "docker-compose up -d": lambda: once(peer, cwd=compose, env=env),
                "no-op plan": lambda: once([*HATCHLOCK, "plan", "--check"], cwd=project, env=env),
            },
            rounds,
        )
        for name, taken in found.items():
            show(f"{name}, {CONTAINERS} containers", taken)
        ours, theirs = found["no-op plan"], found["docker-compose up -d"]
        print(f"{ours.wall / theirs.wall:.2f} x by the clock, {ours.processor / theirs.processor:.2f} x of processors")
    finally:
        for session in sessions:
            session.communicate()
        once(["docker-compose", "--project-name", "measured", "down", "-t", "0"], cwd=compose, env=env)


def write_compose(directory: Path, image: str) -> Path:
    directory.mkdir()
    services = [
        f'  server-{number:02}:\n    image: {image}\n    command: ["/bin/busybox", "sleep", "100000"]\n    network_mode: none\n'
        for number in range(CONTAINERS)
    ]
    (directory / "docker-compose.yml").write_text("\n".join(['version: "2.4"', "services:", *services]))
    return directory


def line(sizes: list[int], times: list[float]) -> str:
    fit = statistics.linear_regression(sizes, times)
    away = max(abs(fit.intercept + fit.slope * size - time) for size, time in zip(sizes, times, strict=True))
    return (
        f"{fit.intercept:.3f} s + {fit.slope * 1000:.3f} s for each 1,000 servers, at most {away:.3f} s away from that"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--sizes", default="100,300,1000,3000")
    parser.add_argument("--image")
    arguments = parser.parse_args()
    os.environ.setdefault("COMPOSE_HTTP_TIMEOUT", "300")
    with tempfile.TemporaryDirectory(prefix="plan-") as directory:
        scratch = Path(directory)
        if arguments.image:
            containers(scratch, arguments.image, arguments.rounds)
            return
        processes(scratch, 10, 100, arguments.rounds)
        sizes = [int(text) for text in arguments.sizes.split(",")]
        taken = [processes(scratch, size, size * 10, arguments.rounds) for size in sizes]
        if len(sizes) > 1:
            print(f"by the clock: {line(sizes, [item.wall for item in taken])}")
            print(f"of processors: {line(sizes, [item.processor for item in taken])}")


if __name__ == "__main__":
    main()
