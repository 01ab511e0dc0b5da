"""Realising an npm tree from a warm store, against `npm ci --ignore-scripts` with a warm npm cache.

    python benchmarks/npm.py [--rounds 7] [PACKAGE…]

Without packages: the two official servers with the largest trees. Their tree is npm's own choice of today; the store
gets the tarballs out of npm's cache. Whole processes are timed, ours with checking every tarball. Each run has a new
directory, and nothing is deleted in between: ext4 is slow for some seconds at making files where many were deleted. Rounds
alternate between the two, and at the end both trees are compared.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchlock.realise.npm import NpmPlacement, unpack_packages
from hatchlock.store.blobs import Blobs

PACKAGES = ["@modelcontextprotocol/server-everything", "@modelcontextprotocol/server-filesystem"]


def placements(lock: dict[str, Any], blobs: Blobs) -> list[tuple[str, NpmPlacement]]:
    found = []
    for path, facts in lock["packages"].items():
        if path:
            digest = base64.b64decode(facts["integrity"].removeprefix("sha512-")).hex()
            name = f"{path.rpartition('node_modules/')[2]}@{facts['version']}"
            commands = {name: target.removeprefix("./") for name, target in facts.get("bin", {}).items()}
            package = NpmPlacement(path=path, blob=blobs.path(digest), name=name, commands=commands)
            found.append((digest, package))
    return found


def realise(project: Path, root: Path) -> None:
    """What the timed process of ours does."""
    blobs = Blobs(project / "blobs")
    packages = placements(json.loads((project / "package-lock.json").read_bytes()), blobs)
    for digest, _ in packages:
        blobs.verify(digest)
    unpack_packages([package for _, package in packages], root)


def npm(directory: Path, cache: Path, *arguments: str) -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--cache", str(cache)]
    done = subprocess.run(["npm", *arguments, *options], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def prepare(project: Path, names: list[str]) -> int:
    """Let npm choose the tree and fill its cache; copy the tarballs to the store; return the number of packages."""
    (project / "package.json").write_text(json.dumps({"name": "benchmark", "dependencies": dict.fromkeys(names, "*")}))
    npm(project, project / "cache", "install", "--package-lock-only")
    npm(project, project / "cache", "ci")
    blobs = Blobs(project / "blobs")
    packages = placements(json.loads((project / "package-lock.json").read_bytes()), blobs)
    for digest, _ in packages:
        kept = project / "cache" / "_cacache" / "content-v2" / "sha512" / digest[:2] / digest[2:4] / digest[4:]
        if kept.exists():  # npm does not fetch what is for other systems
            with blobs.add(digest) as writer:
                writer.write(kept.read_bytes())
    missing = {digest for digest, _ in packages if not blobs.has(digest)}
    if missing:
        raise SystemExit(f"{len(missing)} packages of the tree are for other systems; choose other ones")
    return len(packages)


def ours(project: Path, directory: Path) -> None:
    subprocess.run([sys.executable, __file__, "--realise", project, directory], check=True)


def peer(project: Path, directory: Path) -> None:
    npm(directory, project / "cache", "ci", "--prefer-offline")


def timed(work: Callable[[Path, Path], None], project: Path, directory: Path) -> float:
    directory.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(project / name, directory)
    began = time.perf_counter()
    work(project, directory)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--realise", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.realise:
        realise(*options.realise)
        return
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch, "project")
        project.mkdir()
        number = prepare(project, options.packages)
        work = {"hatchlock": ours, "npm ci": peer}
        taken: dict[str, list[float]] = {name: [] for name in work}
        for turn in range(options.rounds):
            for name in sorted(work, reverse=turn % 2 == 1):
                taken[name].append(timed(work[name], project, Path(scratch, f"{name}-{turn}")))
        medians = {name: statistics.median(times) for name, times in taken.items()}
        for name, seconds in medians.items():
            print(f"{name:10} median {seconds:.3f} s   ({' '.join(f'{each:.2f}' for each in taken[name])})")
        print(f"{'ratio':10} {medians['hatchlock'] / medians['npm ci']:.2f}   {number} packages")
        trees = [Path(scratch, f"{name}-0", "node_modules") for name in work]
        subprocess.run(["diff", "-r", "--no-dereference", "-x", ".package-lock.json", *trees], check=True)
        print("both trees are the same")


if __name__ == "__main__":
    main()
