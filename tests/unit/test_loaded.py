"""What waits to do commands for other tests: a command is there as in a process that has just been started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from support.loaded import can_be_loaded, run_loaded

FACTS = """
import json, os, signal, sys, tempfile, threading, time
facts = {
    "words": sys.argv[1:],
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "mask": os.umask(0),
    "zone": time.tzname,
    "temporary": tempfile.gettempdir(),
    "open": sorted(os.listdir("/proc/self/fd")),
    "handlers": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)],
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "stdin": sys.stdin.read(),
    "terminal": [stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "encodings": [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "threads": threading.active_count(),
}
print(json.dumps(facts))
print("said", file=sys.stderr)
threading.Timer(0.05, print, ["after all"]).start()
sys.exit(7)
"""


def environment(**variables: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables


def test_a_program_finds_what_it_would_find_if_it_had_just_been_started(tmp_path: Path) -> None:
    env = environment(TZ="Asia/Tokyo", HOME="/nowhere", TMPDIR=str(tmp_path))
    if not can_be_loaded((), env):
        pytest.skip("this system has no descriptors of processes")
    words = ("first", "é", "")
    started = subprocess.run(
        [sys.executable, "-c", FACTS, *words],
        cwd=tmp_path,
        env=env,
        umask=0o027,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    for _ in range(2):
        loaded = run_loaded(words, cwd=tmp_path, env=env, umask=0o027, program=FACTS)
        assert facts(loaded) == facts(started)
        assert (loaded.returncode, loaded.stderr) == (7, "said\n")


def facts(done: subprocess.CompletedProcess[str]) -> Any:
    first, *others = done.stdout.splitlines()
    assert others == ["after all"]
    return json.loads(first)


def run(program: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_loaded((), cwd=Path("/"), env=environment(), program=program, **options)


def test_its_end_is_told_however_it_comes() -> None:
    assert run("pass").returncode == 0
    assert run("import os; os._exit(3)").returncode == 3
    assert run("import os; os.kill(os.getpid(), 9)").returncode == -signal.SIGKILL
    failed = run("raise LookupError('lost')")
    assert failed.returncode == 1
    assert failed.stderr.endswith("LookupError: lost\n")
    with pytest.raises(subprocess.TimeoutExpired):
        run("import time; time.sleep(60)", timeout=0.2)


def test_one_does_not_wait_for_another_nor_see_what_it_did(tmp_path: Path) -> None:
    waiting = f"import pathlib, sys, time; sys.stray = True\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.02)"
    each = [threading.Thread(target=run, args=(waiting,)) for _ in range(2)]
    for thread in each:
        thread.start()
    assert [run("import sys; print(hasattr(sys, 'stray'))").stdout for _ in range(2)] == ["False\n"] * 2
    (tmp_path / "go").touch()
    for thread in each:
        thread.join()


def test_the_order_of_sets_is_another_the_next_time() -> None:
    program = "print(list({f'a{number}' for number in range(40)}))"
    assert len({run(program).stdout for _ in range(2)}) == 2


@pytest.mark.parametrize("name", ["PYTHONPATH", "LC_ALL", "LANG", "LD_PRELOAD"])
def test_what_decides_on_how_python_starts_needs_a_start(name: str) -> None:
    assert can_be_loaded(["plan"], environment()) == hasattr(os, "pidfd_open")
    assert not can_be_loaded(["plan"], environment(**{name: "other"}))
    assert not can_be_loaded(["run", "echo"], environment())
