#!/usr/bin/env python3
"""Lock every entry of fixtures/imports/entries.json against the real indexes, and say which share locks, and why the rest does not.

Each becomes a manifest of its own (process runtime), in one store. Images are left out: a registry is another matter. Nothing
that is locked is installed or run.

    scripts/lock_corpus.py --jobs 2 --seconds 900
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchlock.clients.shape import Address, Start
from hatchlock.migrate.model import Left, Proposed
from hatchlock.migrate.translate import translated
from hatchlock.usecases.manifest import add

ENTRIES = Path(__file__).resolve().parent.parent / "fixtures" / "imports" / "entries.json"
MANIFEST = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
EACH = 90


def meant(entry: dict[str, Any]) -> Start | Address:
    """Return what an entry of the corpus means."""
    if "url" in entry:
        transport = "sse" if entry.get("type") == "sse" else "http"
        return Address(url=entry["url"], transport=transport, headers=entry.get("headers", {}))  # type: ignore[arg-type]
    return Start(command=entry["command"], args=tuple(entry.get("args", ())), env=entry.get("env", {}))


def locked(server: Proposed, root: Path, number: int, deadline: float) -> str:
    """Return "" if a server locks, else why it does not."""
    seconds = min(EACH, deadline - time.monotonic())
    if seconds <= 0:
        return "no time was left"
    fields = server.with_references(dict.fromkeys(server.secrets, "env:X"))
    if "url" not in fields:
        fields["runtime"] = "process"
    directory = root / str(number)
    directory.mkdir()
    (directory / "hatchlock.toml").write_text(add(MANIFEST, server.name, fields))
    env = {**os.environ, "HATCHLOCK_HOME": str(root / "store")}
    command = [sys.executable, "-m", "hatchlock", "lock"]
    try:
        done = subprocess.run(
            command, cwd=directory, env=env, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {EACH} seconds"
    return done.stderr.strip().splitlines()[0] if done.returncode else ""


def sort(reason: str) -> str:
    """Return which sort of reason it is."""
    for pattern, name in SORTS:
        if re.search(pattern, reason):
            return name
    return "something else"


SORTS = (
    ("there is no package", "the index has no such package"),
    ("needs Python", "it needs another Python than this machine's"),
    ("cannot be reached", "a repository that is out of reach"),
    ("has to be built|as source only", "it has to be built"),
    ("seconds|no time", "time"),
    ("no version of", "no version fits"),
)


def main() -> int:
    """Lock them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--kinds", default="npm,pypi,git,url,program")
    arguments = parser.parse_args()
    rows = json.loads(ENTRIES.read_text())
    found = [translated(meant(row["entry"]), name=row["name"]) for row in rows]
    servers = [item for item in found if isinstance(item, Proposed)]
    kind = {id(item): kind_of(item) for item in servers}
    wanted = [item for item in servers if kind[id(item)] in arguments.kinds.split(",")]
    deadline = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(arguments.jobs) as pool:
        root = Path(name)
        jobs = [pool.submit(locked, item, root, number, deadline) for number, item in enumerate(wanted)]
        reasons = [job.result() for job in jobs]
    for item, reason in zip(wanted, reasons, strict=True):
        if reason:
            print(f"{kind[id(item)]:8} {item.name:32} {reason}")
    counts = Counter(kind.values())
    print(f"\nentries {len(rows)}, refused {sum(isinstance(item, Left) for item in found)}, proposed {dict(counts)}")
    for each in arguments.kinds.split(","):
        done = [reason for item, reason in zip(wanted, reasons, strict=True) if kind[id(item)] == each]
        print(f"{each:8} {done.count('')} of {len(done)} lock; {dict(Counter(sort(item) for item in done if item))}")
    return 0


def kind_of(server: Proposed) -> str:
    """Return which sort of source a server has."""
    if "url" in server.fields:
        return "url"
    return str(server.fields.get("source", "program:")).partition(":")[0]


if __name__ == "__main__":
    raise SystemExit(main())
