"""What goes through `run`: byte for byte, at once, and no more of it than the other side takes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.launch import Mount, Sandbox
from hatchlock.state.counts import counts_path, read_counts
from support.runs import BARE, HELLO, PATIENCE, Run, apply_records, memory_of, python_record, run_command, wait_for
from support.unavailable import need_isolation

RUNNER_LIMIT = 40 << 20
MESSAGES = {
    "plain": b'{"jsonrpc":"2.0","id":1,"result":{}}\n',
    "spaces that nobody needs, and an order of its own": b' {"result" : {"b":1, "a":1} ,"id":1.0e0,"jsonrpc":"2.0"}\t\n',
    "a carriage return": b'{"jsonrpc":"2.0","method":"a"}\r\n',
    "text beyond ASCII, escaped and not": '{"jsonrpc":"2.0","method":"äö😀\\u00e4\\ud83d\\ude00"}\n'.encode(),
    "a batch": b'[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]\n',
    "numbers that no double holds": b'{"jsonrpc":"2.0","id":123456789012345678901234567890,"result":1e400}\n',
    "a repeated member": b'{"jsonrpc":"2.0","id":1,"id":2,"result":{}}\n',
    "a separator of lines that is none": '{"jsonrpc":"2.0","method":"\u2028\u0085"}\n'.encode(),
    "one of 300 kB": b'{"jsonrpc":"2.0","method":"' + b"x" * 300_000 + b'"}\n',
    "one of 2 MB": b'{"jsonrpc":"2.0","method":"' + "é".encode() * 1_000_000 + b'"}\n',
    "one without an end of line": b'{"jsonrpc":"2.0","method":"last"}',
}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Run]:
    """Start `fixtures/servers/bytes.py` with a directory of ours at /data."""
    need_isolation()
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)

    def begin(*words: str) -> Run:
        mount = Mount(source=str(tmp_path / "data"), target="/data", mode="rw")
        sandbox = Sandbox(mounts=(mount,), reason="test", stop_grace=PATIENCE)  # it ends by itself
        apply_records(tmp_path / "home", [python_record(*words, script="bytes.py", sandbox=sandbox)])
        return Run(command=run_command(tmp_path / "home"))

    return begin


def test_what_a_server_says_arrives_as_it_is(start: Callable[..., Run], tmp_path: Path) -> None:
    said = b"".join(MESSAGES.values())
    (tmp_path / "data" / "said").write_bytes(said)
    with start("say", "/data/said") as run:
        status, out, err = run.end()
    assert (status, err) == (0, b"")
    assert out == said


def test_what_is_no_message_is_counted_at_once_and_again_at_the_end(start: Callable[..., Run], tmp_path: Path) -> None:
    noise = [b"Starting\n", b'{"level":"info"}\n', b"\n", b'{"jsonrpc":"1.0"}\n', b"[]\n", b"\xff\xfe\n"]
    lines = [line for pair in zip(noise, list(MESSAGES.values())[:6], strict=True) for line in pair]
    (tmp_path / "data" / "said").write_bytes(b"".join(lines))
    launch = ""
    with start("say", "/data/said") as run:
        active = json.loads((tmp_path / "home/projects/trial/active.json").read_bytes())
        launch = active["servers"]["echo"]
        counts = counts_path(tmp_path / "home/projects/trial", "echo")
        assert wait_for(lambda: read_counts(counts, launch).noise == 1)
        status, out, err = run.end()
    assert (status, out) == (0, b"".join(list(MESSAGES.values())[:6]))
    assert err.count(b"which is for JSON-RPC only") >= 5
    counted = read_counts(counts, launch)
    assert (counted.sessions, counted.noise, counted.status, counted.abnormal) == (1, 6, 0, 0)


@pytest.mark.parametrize("size", [1, 65_536, 50_000_000])
def test_what_an_application_says_arrives_as_it_is(start: Callable[..., Run], tmp_path: Path, size: int) -> None:
    heard = tmp_path / "data" / "heard"
    said = random.Random(size).randbytes(size)
    with start("hear", "/data/heard") as run:
        assert b"ready" in run.line()
        assert run.process.stdin is not None
        view = memoryview(said)
        while view:
            view = view[run.process.stdin.write(view) :]
        assert wait_for(lambda: heard.stat().st_size == size), "it is passed on without waiting for more"
        assert run.end()[0] == 0
    assert hashlib.sha256(heard.read_bytes()).digest() == hashlib.sha256(said).digest()


def test_each_message_leaves_at_once(start: Callable[..., Run], tmp_path: Path) -> None:
    heard = tmp_path / "data" / "heard"
    with start("hear", "/data/heard") as run:
        run.line()
        for count in range(1, 30):
            run.write({"jsonrpc": "2.0", "method": "x"})
            size = count * (len(json.dumps({"jsonrpc": "2.0", "method": "x"})) + 1)
            assert wait_for(lambda: heard.stat().st_size == size)  # noqa: B023
        assert run.end()[0] == 0


def memory_of_run(run: Run) -> int:
    """Return the bytes that a run and its watchdogs have for themselves."""
    sizes = memory_of(run.watchdogs())
    assert sizes, "nothing was measured"
    return sum(sizes.values())


def test_a_client_that_does_not_read_stops_the_server(start: Callable[..., Run]) -> None:
    with start("flood", "400", "1000000") as run:
        assert run.process.stderr is not None
        said = b""
        while select.select([run.process.stderr], [], [], 1.0)[0]:
            said += os.read(run.process.stderr.fileno(), 65536)
        written = len(said.split())
        assert written <= 4, "it had to wait"
        assert memory_of_run(run) < RUNNER_LIMIT
        taken = sum(len(run.line()) > 1_000_000 for _ in range(400))
        assert taken == 400
        assert memory_of_run(run) < RUNNER_LIMIT + (8 << 20)
        assert run.end()[0] == 0


def test_a_server_that_does_not_read_stops_the_client(tmp_path: Path, start: Callable[..., Run]) -> None:
    (tmp_path / "home2").mkdir(mode=0o700)
    record = python_record(script="bytes.py", sandbox=Sandbox(stop_grace=0.2))
    interpreter = record.argv[0]
    argv = (
        interpreter,
        "-I",
        "-c",
        'import time; print(\'{"jsonrpc":"2.0","method":"r"}\', flush=True); time.sleep(600)',
    )
    apply_records(tmp_path / "home2", [replace(record, argv=argv)])
    with Run(command=run_command(tmp_path / "home2")) as run:
        run.line()
        assert run.process.stdin is not None
        os.set_blocking(run.process.stdin.fileno(), False)
        sent, until = 0, time.monotonic() + 1.0
        while time.monotonic() < until:
            try:
                sent += run.process.stdin.write(b"x" * 65536) or 0
            except BlockingIOError:
                time.sleep(0.05)
        assert sent < 2 << 20
        assert memory_of_run(run) < RUNNER_LIMIT


def test_nothing_is_fetched_and_nothing_of_the_store_is_needed_but_to_read(tmp_path: Path) -> None:
    """In a network name space without so much as a loopback, on a store that is mounted read-only."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    apply_records(home, [python_record()])
    inside = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    alone = ("unshare", "--net", "--mount", "/bin/sh", "-c", inside, str(home))
    if os.geteuid() != 0:
        pytest.skip("only root can make such a place")
    done = subprocess.run(
        [*alone, *run_command(home)],
        input=json.dumps(HELLO).encode() + b"\n",
        env=BARE,
        cwd="/",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "echo"
    assert sorted(path.name for path in home.rglob("*") if path.is_dir()) == ["launch", "projects", "trial"]
