"""The first `apply` of 20 container servers whose images are there, beside `docker-compose up -d` of 20.

    DOCKER_HOST=unix://… python benchmarks/apply.py IMAGE [--rounds 10]

IMAGE is one of the engine that has /bin/busybox. Rounds alternate, and both begin with nothing but images. They do not do
the same: docker-compose creates and starts 20 containers; hatchlock writes 20 launch records and 20 client entries, since
a stdio server has a container only while a session runs. So the third row adds what it leaves to the sessions: 20 of them
are begun at once, and have ended.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from measure import Taken, alternating, once
from plan import CONTAINERS, HATCHLOCK, show, write_compose
from worlds import container_world, environ_of


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("image")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="apply-") as directory:
        root = Path(directory) / "containers"
        project, env = container_world(root, arguments.image, servers=CONTAINERS), environ_of(root)
        compose = write_compose(Path(directory) / "peer", arguments.image)
        peer = ["docker-compose", "--project-name", "measured"]
        for words in (["lock"], ["apply", "--yes", "--no-probe"]):  # the images get their tags
            once([*HATCHLOCK, *words], cwd=project, env=env)

        def apply() -> Taken:
            shutil.rmtree(root / "store" / "projects")
            shutil.rmtree(root / "user")
            (root / "user").mkdir()
            return once([*HATCHLOCK, "apply", "--yes", "--no-probe"], cwd=project, env=env)

        def compose_up() -> Taken:
            taken = once([*peer, "up", "-d"], cwd=compose, env=env)
            once([*peer, "down", "-t", "0"], cwd=compose, env=env)
            return taken

        def sessions() -> Taken:
            began = time.perf_counter()
            running = [
                subprocess.Popen(
                    [*HATCHLOCK, "run", f"server-{number:02}"],
                    cwd=project,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
                for number in range(CONTAINERS)
            ]
            assert [session.wait() for session in running] == [0] * CONTAINERS
            return Taken(wall=time.perf_counter() - began, processor=0.0, memory=0)

        found = alternating(
            {"docker-compose up -d": compose_up, "first apply": apply, "20 sessions, begun and ended": sessions},
            arguments.rounds,
        )
        for name, taken in found.items():
            show(f"{name}, {CONTAINERS} containers", taken)
        ours, theirs = found["first apply"], found["docker-compose up -d"]
        print(f"{ours.wall / theirs.wall:.2f} x by the clock, {ours.processor / theirs.processor:.2f} x of processors")


if __name__ == "__main__":
    main()
