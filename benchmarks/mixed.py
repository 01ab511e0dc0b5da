"""`lock` of packages of every kind, cold and warm, against its kinds one by one.

    scripts/mixed-example DIR -- python benchmarks/mixed.py [--rounds 5] [--hatchlock COMMAND]

It runs in a copy of examples/mixed whose addresses are served on loopback. Cold: an empty store. Warm: the same store, and
no lock. The kinds one by one: the same environment with the dependencies of one kind only (npm's as a process, since the
base has no Node). The floor of a cold lock is its slowest kind and then all others together: the ratio is against the sum of
both. Rounds alternate; whole processes are timed, and medians are compared. The lock has to be the same each time.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

KINDS = ("deb", "oci", "pypi", "npm", "git", "path", "hatch", "url", "mcp")
DEPENDENCY = re.compile(r'^  "(?P<kind>[a-z]+):.*$', re.MULTILINE)
SERVER = re.compile(r"^\[servers\.\w+\]\n(?:.+\n)*", re.MULTILINE)
ALONE = '[environments.alone]\nnode = "18"\ndependencies = [\n{}\n]\n'


def only(text: str, kinds: Iterable[str]) -> str:
    """Return the example's manifest with the dependencies and servers of some kinds."""
    wanted = set(kinds)
    lines = [match[0] for match in DEPENDENCY.finditer(text) if match["kind"] == "npm" and "npm" in wanted]
    kept = DEPENDENCY.sub(lambda match: match[0] if match["kind"] in wanted - {"npm"} else "", text)
    servers = SERVER.findall(kept)
    for server in servers:
        kind = re.search(r'source = "([a-z]+):', server)
        if kind is None or kind[1] not in wanted:
            kept = kept.replace(server, "")
    return kept + (ALONE.format("\n".join(lines)) if lines and wanted != set(KINDS) else "")


class Runs:
    """Timed runs of one manifest."""

    def __init__(self, command: Sequence[str], example: Path, text: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mixed-"))
        shutil.copytree(example, self.directory, dirs_exist_ok=True)
        (self.directory / "hatchlock.toml").write_text(text)
        self.lock = self.directory / "hatch.lock"
        self.command = command
        self.locks: set[str] = set()

    def time(self, home: Path) -> float:
        self.lock.unlink(missing_ok=True)
        started = time.perf_counter()
        argv = [*self.command, "-C", str(self.directory), "--home", str(home), "lock"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{shlex.join(argv)}: {done.stderr}")
        self.locks.add(self.lock.read_text())
        return seconds

    def cold(self) -> float:
        with tempfile.TemporaryDirectory(prefix="home-") as home:
            return self.time(Path(home))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hatchlock", default="hatchlock")
    arguments = parser.parse_args()
    command = shlex.split(arguments.hatchlock)
    example = Path.cwd()
    text = (example / "hatchlock.toml").read_text()
    whole = Runs(command, example, text)
    alone = {kind: Runs(command, example, only(text, [kind])) for kind in KINDS}
    seconds: dict[str, list[float]] = defaultdict(list)
    for kind, runs in alone.items():
        seconds[kind].append(runs.cold())
    slowest = max(KINDS, key=lambda kind: seconds[kind][0])
    rest = Runs(command, example, only(text, [kind for kind in KINDS if kind != slowest]))
    warm_home = Path(tempfile.mkdtemp(prefix="home-"))
    whole.time(warm_home)
    for number in range(arguments.rounds):
        turns = [("all", whole), (slowest, alone[slowest]), ("the rest", rest)]
        for name, runs in turns if number % 2 else reversed(turns):
            seconds[name].append(runs.cold())
        seconds["all, warm"].append(whole.time(warm_home))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in sorted(medians.items(), key=lambda item: -item[1]):
        spread = f"{min(seconds[name]):.2f}-{max(seconds[name]):.2f}"
        print(f"{name:<12} {value:6.2f} s   ({spread}, {len(seconds[name])} runs)")
    floor = medians[slowest] + medians["the rest"]
    print(
        f"cold: {medians['all']:.2f} s against {slowest} and then the rest, {floor:.2f} s = {medians['all'] / floor:.2f} x"
    )
    print(f"warm: {medians['all, warm']:.2f} s; {len(whole.locks)} different lock(s)")


if __name__ == "__main__":
    main()
