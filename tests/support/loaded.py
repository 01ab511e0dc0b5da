"""Commands of hatchlock as processes of their own that need not load anything first.

To load what a command needs takes a third of a second of a processor, and more than what most commands of the tests do. So
processes that have loaded it wait, and fork one for each command: it has its own directory, environment, mask, streams and
end, as if it had just been started. They are two, asked by turns, because the order of a set is that of the process: what
depends on it comes out differently the second time.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["can_be_loaded", "run_loaded"]

_PROGRAM = Path(__file__).with_name("loaded_program.py")
_AT_THE_START = ("PYTHON", "LC_", "LANG", "LD_")
_BY_TURNS = 2
_PATIENCE = 300.0
_MOMENT = 0.01
_HATCHLOCK = "import sys; from hatchlock.cli.main import main; sys.exit(main())"


def can_be_loaded(words: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a command comes to the same in a process that has been there before it.

    It does not where its environment decides on how Python starts, and where it is about the start: a server's.
    """
    ours = {name: value for name, value in env.items() if name.startswith(_AT_THE_START)}
    return hasattr(os, "pidfd_open") and ours == _start_variables() and not {"run", "serve", "exec", "try"} & {*words}


def run_loaded(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    umask: int = -1,
    timeout: float = _PATIENCE,
    program: str = _HATCHLOCK,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it left, as `subprocess.run` does of `python -m hatchlock`.

    Args:
        words: What follows the program's name.
        cwd: Its directory.
        env: Its environment.
        umask: Its mask; negative for ours.
        timeout: After how many seconds it is killed.
        program: What is done instead, as by `python -c`.

    Raises:
        subprocess.TimeoutExpired: It was.
    """
    order = {
        "program": program,
        "words": words,
        "cwd": os.fspath(cwd),
        "env": dict(env),
        "umask": _mask() if umask < 0 else umask,
    }
    pipes = {name: os.pipe() for name in ("out", "err", "report")}
    silence = os.open(os.devnull, os.O_RDONLY)
    passed = [silence, *(written for _, written in pipes.values())]
    try:
        _next().send(json.dumps(order).encode(), passed)
    finally:
        for descriptor in passed:
            os.close(descriptor)
    read = {name: end for name, (end, _) in pipes.items()}
    try:
        said = _everything(read, words, time.monotonic() + timeout)
    finally:
        for descriptor in read.values():
            os.close(descriptor)
    out, err = (said[name].decode().replace("\r\n", "\n").replace("\r", "\n") for name in ("out", "err"))
    return subprocess.CompletedProcess(words, int(said["report"].split()[1]), out, err)


def _everything(read: Mapping[str, int], words: Sequence[str], deadline: float) -> Mapping[str, bytes]:
    said = dict.fromkeys(read, b"")
    with selectors.DefaultSelector() as open_ends:
        for name, descriptor in read.items():
            open_ends.register(descriptor, selectors.EVENT_READ, name)
        while open_ends.get_map():
            for key, _ in open_ends.select(max(_MOMENT, deadline - time.monotonic())):
                data = os.read(key.fd, 1 << 16)
                said[key.data] += data
                if not data:
                    open_ends.unregister(key.fd)
            if time.monotonic() > deadline and said["report"]:  # who is to be killed may not have been told yet
                os.kill(int(said["report"].split()[0]), signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), deadline)
    return said


class _Waiting:
    """A process that has loaded everything; it ends with us."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={"PATH": os.defpath, **_start_variables()},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self._end)

    def send(self, order: bytes, descriptors: list[int]) -> None:
        socket.send_fds(self._orders, [order], descriptors)

    def _end(self) -> None:
        self._orders.close()
        self._process.wait()


def _by_turns() -> Iterator[_Waiting]:
    return itertools.cycle([_Waiting() for _ in range(_BY_TURNS)])


class _Turns:
    lock = threading.Lock()
    waiting: Iterator[_Waiting] | None = None


def _next() -> _Waiting:
    with _Turns.lock:
        if _Turns.waiting is None:
            _Turns.waiting = _by_turns()
        return next(_Turns.waiting)


def _start_variables() -> dict[str, str]:
    """Return what of our environment decides on how a Python that we start does, except what is for us alone."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_AT_THE_START) and not name.startswith("PYTHON")
    }


def _mask() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Umask:")), 8)
