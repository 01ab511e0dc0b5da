"""Many sessions at once: each call is answered, each runner is small, and nothing is left afterwards."""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.state.counts import counts_path, read_counts
from support.links_image import links_image, programs
from support.runs import BARE, HELLO, apply_records, memory_of, processes_with, python_record, run_command, wait_for
from support.unavailable import need_isolation

SERVERS = 10
CALLS = 100
RUNNER_LIMIT = 40 << 20
SANDBOX = Sandbox(stop_grace=2.0)


def call(number: int) -> bytes:
    arguments = {"name": "echo", "arguments": {"text": f"call {number}"}}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": arguments}).encode() + b"\n"


class Session(threading.Thread):
    """An application that starts a server, calls it, and goes on when all have."""

    def __init__(self, command: Sequence[str], gate: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(BARE), cwd="/"
        )
        self.answered = 0
        self.status: int | None = None
        self._gate = gate

    def run(self) -> None:
        sent, said = self.process.stdin, self.process.stdout
        assert sent is not None
        assert said is not None
        sent.write(json.dumps(HELLO).encode() + b"\n")
        sent.flush()
        said.readline()
        self._gate.wait()
        for number in range(CALLS):
            sent.write(call(number))
            sent.flush()
            answer = json.loads(said.readline())
            self.answered += (answer["id"], answer["result"]["content"][0]["text"]) == (number, f"call {number}")
        self._gate.wait()
        sent.close()
        self.status = self.process.wait()
        said.close()


def memory_of_runs(word: str) -> list[int]:
    """Return the bytes of each run together with its watchdogs, shared pages by share, of runs with a word in their command."""
    pids = set(processes_with(word))
    sizes: dict[int, int] = {}
    for pid, own in memory_of(pids).items():
        run = pid
        while (parent := parent_of(run)) in pids:
            run = parent
        sizes[run] = sizes.get(run, 0) + own
    return list(sizes.values())


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def all_at_once(home: Path, project: str, count: int) -> list[int]:
    """Have so many sessions at once, assert that each call was answered, and return what the runners took."""
    gate = threading.Barrier(count + 1)
    sessions = [Session(run_command(home, f"echo-{number % SERVERS}", project), gate) for number in range(count)]
    try:
        for session in sessions:
            session.start()
        gate.wait(300)
        sizes = memory_of_runs(str(home))
        gate.wait(300)
        for session in sessions:
            session.join(60)
    finally:
        for session in sessions:
            session.process.kill()
    assert [session.answered for session in sessions] == [CALLS] * count
    assert [session.status for session in sessions] == [0] * count
    assert len(sizes) == count
    assert max(sizes) < RUNNER_LIMIT
    assert wait_for(lambda: processes_with(str(home)) == [])
    assert list(home.glob("projects/*/sessions/*")) == []
    state = home / "projects" / project
    active = json.loads((state / "active.json").read_bytes())["servers"]
    counted = [read_counts(counts_path(state, server), launch).sessions for server, launch in active.items()]
    assert sum(counted) == count
    return sizes


def records(record: LaunchRecord) -> list[LaunchRecord]:
    return [replace(record, server=f"echo-{number}") for number in range(SERVERS)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.full)])
def test_processes(home: Path, count: int, record_property: Callable[[str, object], None]) -> None:
    need_isolation()
    apply_records(home, records(python_record(sandbox=SANDBOX)))
    sizes = all_at_once(home, "trial", count)
    record_property("a runner at most, kB", max(sizes) >> 10)


@pytest.fixture
def container(engine: str) -> Iterator[LaunchRecord]:
    base = python_record(project=f"trial-{secrets.token_hex(4)}")
    sandbox = replace(SANDBOX, mounts=programs(*base.read_only_paths), reason="the image is empty")
    with links_image(engine) as image:
        yield replace(base, runtime="container", read_only_paths=(), image=image, engine=engine, sandbox=sandbox)


@pytest.mark.engine
@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.full)])
def test_containers(
    home: Path, container: LaunchRecord, count: int, record_property: Callable[[str, object], None]
) -> None:
    apply_records(home, records(container))
    sizes = all_at_once(home, container.project, count)
    assert Engine(container.engine).list({"dev.hatchlock.project": container.project}) == []
    record_property("a runner at most, kB", max(sizes) >> 10)
