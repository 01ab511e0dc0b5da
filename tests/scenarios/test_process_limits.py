"""Limits of a server that is a process, met from inside: by control groups where this machine lets us make them."""

from __future__ import annotations

import json
import secrets
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.cgroups import CONTROLLERS, Group, Place, bound, find_places
from hatchlock.launch import Sandbox
from hatchlock.serve.local import start_bare
from support.runs import BARE, Run, apply_records, python_record, run_command, wait_for
from support.unavailable import need_isolation, unavailable

PLACES = find_places()
GROUPED = bound(PLACES)


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture
def grouped() -> None:
    """Only where this machine lets us make control groups."""
    if GROUPED != CONTROLLERS:
        unavailable("this machine does not let us make control groups")


in_groups = pytest.mark.usefixtures("grouped")


def groups_of(run: Run) -> list[Path]:
    """Return the groups of a session: other tests beside this one have theirs in the same place."""
    return [path for place in PLACES for path in place.directory.glob(f"hatchlock-{run.process.pid}-*")]


def start(home: Path, *options: str, **profile: Any) -> Run:
    home.mkdir(mode=0o700, exist_ok=True)
    apply_records(home, [python_record(*options, sandbox=Sandbox(**profile, reason="test"))])
    return Run(command=run_command(home))


@in_groups
def test_memory_is_limited_for_all_processes_together_and_its_end_is_told(tmp_path: Path) -> None:
    with start(tmp_path / "home", memory="64m") as run:
        assert run.attempt("memory", str(16 << 20)) == f"{16 << 20} bytes"
        # less than a process may have by itself, were it not for the others
        run.write(
            {
                "jsonrpc": "2.0",
                "id": 3,
                "method": "tools/call",
                "params": {"name": "attempt", "arguments": {"trick": "memory", "argument": str(128 << 20)}},
            }
        )
        assert run.wait() == 128 + signal.SIGKILL
        err = run.end()[2]
    assert b"echo ended with status 137: it needed more than its 64m of memory" in err
    assert groups_of(run) == []


def test_a_server_gets_the_processes_that_it_is_allowed_and_no_more(tmp_path: Path) -> None:
    with start(tmp_path / "home", pids=20) as run:
        assert run.attempt("processes", "19") == "19 processes"
        assert run.attempt("processes", "20").startswith("denied: BlockingIOError")


@in_groups
def test_a_server_gets_its_share_of_a_processor_and_no_more(tmp_path: Path) -> None:
    with start(tmp_path / "home", cpus=0.2) as run:
        run.hello()
        before = time.monotonic()
        used = float(run.attempt("work", "0.3"))
        assert used >= 0.3
        assert time.monotonic() - before > 2 * used


@in_groups
def test_groups_go_with_their_session_also_when_run_is_killed(tmp_path: Path) -> None:
    with start(tmp_path / "home", "--deaf", stop_grace=0.2) as run:
        run.hello()
        made = groups_of(run)
        assert len(made) == len(PLACES)
        swap = [path / name for path in made for name in ("memory.swap.max", "memory.memsw.limit_in_bytes")]
        expected = {"memory.swap.max": 0, "memory.memsw.limit_in_bytes": 512 << 20}
        assert all(int(path.read_text()) == expected[path.name] for path in swap if path.exists())
        assert all(len((path / "cgroup.procs").read_text().split()) >= 3 for path in made)
        run.process.kill()
        assert wait_for(lambda: groups_of(run) == [])


@in_groups
def test_what_dead_sessions_left_goes_with_the_next(tmp_path: Path) -> None:
    dead = 1 << 22  # no pid is as large
    left = [place.directory / f"hatchlock-{dead}-{secrets.token_hex(4)}" for place in PLACES]
    for path in left:
        path.mkdir()
    with start(tmp_path / "home") as run:
        run.hello()
        assert not any(path.exists() for path in left)
        assert run.end()[0] == 0


@in_groups
def test_a_server_sees_no_group_but_the_top(tmp_path: Path) -> None:
    with start(tmp_path / "home") as run:
        lines = run.attempt("read", "/proc/self/cgroup").splitlines()
    limited = [line for line in lines if line.split(":")[1] in CONTROLLERS]
    assert limited != []
    assert all(line.endswith(":/") for line in limited)


@in_groups
def test_without_isolation_the_same_limits_bind(tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (broken / "bwrap").chmod(0o755)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    record = python_record(isolation="best-effort", sandbox=Sandbox(pids=20, reason="test"))
    apply_records(home, [record])
    with Run(command=run_command(home), env={**BARE, "PATH": f"{broken}:{BARE['PATH']}"}) as run:
        assert json.loads(run.attempt("facts"))["nofile"] == [1024, 1024]
        assert run.attempt("processes", "50").startswith("denied: BlockingIOError")
        assert run.end()[0] == 0
    assert groups_of(run) == []


def test_a_group_that_may_not_be_joined_after_all_leaves_the_limits_of_each_process(tmp_path: Path) -> None:
    place = Place(directory=tmp_path, controllers=frozenset({"memory"}), unified=False)
    (tmp_path / "group").mkdir()  # without the file that one joins by
    record = replace(python_record(), argv=("/bin/sh", "-c", "ulimit -d"))
    server = start_bare(record, env={"HOME": str(tmp_path)}, group=0, limits=Group(places=(place,), name="group"))
    said: list[bytes] = []
    server.end_input()
    for read in server.readers(said.append, said.append):
        read()
    assert server.wait() == 0
    assert b"".join(said) == b"524288\n"
    assert not (tmp_path / "group").exists()
