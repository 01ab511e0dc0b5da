"""First and repeated `lock` of Python servers against `uv pip compile --generate-hashes` for each, eight at a time.

    python benchmarks/lock.py [--rounds 5] [--hatchlock COMMAND] [REQUIREMENT…]

Each requirement (without any: those of `servers.txt`) becomes a server with a private environment. In each round both begin
with empty caches, and then run once more: hatchlock with `--upgrade`, so that everything is resolved anew. Who goes first
alternates; whole processes are timed, and medians are compared. The peak memory is that of our process; the pins of each
server are compared with uv's.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PLATFORM = "linux/amd64"
UV_PLATFORM = "x86_64-unknown-linux-gnu"
PYTHON = "3.11"
AT_A_TIME = 8
SERVERS = Path(__file__).with_name("servers.txt")
PIN = re.compile(r"^([\w.-]+)==([^ ;\\]+)", re.MULTILINE)

Pins = dict[str, str]


def manifest(requirements: Sequence[str]) -> str:
    servers = (
        f'[servers.s{number}]\nsource = "pypi:{text}"\nruntime = "process"\npython = "{PYTHON}"\n'
        for number, text in enumerate(requirements)
    )
    return "\n".join([f'[project]\nname = "benchmark"\nplatforms = ["{PLATFORM}"]\n', *servers])


class Hatchlock:
    """A project with a store of its own."""

    name = "hatchlock"

    def __init__(self, command: Sequence[str], project: Path, requirements: Sequence[str]) -> None:
        self.project = project
        self.requirements = requirements
        self.argv = [*command, "lock", "-C", str(project), "--home", str(project / "home")]
        self.memory = 0
        (project / "hatchlock.toml").write_text(manifest(requirements))

    def run(self, *, again: bool) -> None:
        with (self.project / "log").open("w+") as log:
            process = subprocess.Popen([*self.argv, *(["--upgrade"] if again else [])], stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                log.seek(0)
                raise SystemExit(f"{shlex.join(self.argv)}: {log.read()}")
        self.memory = max(self.memory, usage.ru_maxrss)

    def pins(self) -> dict[str, Pins]:
        lock = tomllib.loads((self.project / "hatch.lock").read_text())
        found = {}
        for environment in lock["environment"]:
            ids = [*environment["packages"], *environment.get("platform-packages", {}).get(PLATFORM, ())]
            pairs = (text.removeprefix("pypi:").rpartition("@") for text in ids)
            found[self.requirements[int(environment["name"][1:])]] = {name: version for name, _, version in pairs}
        return found


class Uv:
    """`uv pip compile` with a cache of its own."""

    name = "uv"

    def __init__(self, project: Path, requirements: Sequence[str]) -> None:
        self.requirements = requirements
        self.argv = ["uv", "pip", "compile", "--quiet", "--generate-hashes", "--only-binary", ":all:"]
        self.argv += ["--cache-dir", str(project / "uv-cache"), "--python-version", PYTHON]
        self.argv += ["--python-platform", UV_PLATFORM, "-"]
        self.output: dict[str, str] = {}

    def run(self, *, again: bool) -> None:
        del again
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self.output = dict(zip(self.requirements, pool.map(self._compile, self.requirements), strict=True))

    def _compile(self, requirement: str) -> str:
        done = subprocess.run(self.argv, input=requirement, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{shlex.join(self.argv)}: {requirement}: {done.stderr}")
        return done.stdout

    def pins(self) -> dict[str, Pins]:
        return {requirement: dict(PIN.findall(text)) for requirement, text in self.output.items()}


def one_round(peers: Sequence[Hatchlock | Uv]) -> Iterator[tuple[str, float]]:
    for again in (False, True):
        for peer in peers:
            start = time.perf_counter()
            peer.run(again=again)
            yield f"{peer.name} {'again' if again else 'first'}", time.perf_counter() - start


def differences(ours: Mapping[str, Pins], theirs: Mapping[str, Pins]) -> Iterator[str]:
    for requirement, pins in ours.items():
        other = theirs[requirement]
        for name in sorted(pins.keys() | other.keys()):
            if pins.get(name) != other.get(name):
                yield f"{requirement}: {name} is {pins.get(name, 'absent')} here, {other.get(name, 'absent')} with uv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requirements", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hatchlock", default="hatchlock", help="the command, as a shell would split it")
    options = parser.parse_args()
    requirements = options.requirements or SERVERS.read_text().split()
    times: dict[str, list[float]] = defaultdict(list)
    memory, different = 0, set[str]()
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            ours = Hatchlock(shlex.split(options.hatchlock), Path(scratch), requirements)
            uv = Uv(Path(scratch), requirements)
            for name, seconds in one_round([ours, uv] if number % 2 == 0 else [uv, ours]):
                times[name].append(seconds)
            memory = max(memory, ours.memory)
            different |= set(differences(ours.pins(), uv.pins()))
    medians = {name: statistics.median(items) for name, items in times.items()}
    for name, items in sorted(times.items()):
        print(f"{name:16} median {medians[name]:.2f} s   ({' '.join(f'{item:.2f}' for item in items)})")
    for run in ("first", "again"):
        print(f"{run:16} {medians[f'hatchlock {run}'] / medians[f'uv {run}']:.2f} x")
    print(f"{'peak memory':16} {memory / 1024:.0f} MB")
    print(f"{'pins':16} {'differ' if different else 'equal'} for {len(requirements)} servers")
    for line in sorted(different):
        print(f"  {line}")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
