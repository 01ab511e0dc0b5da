"""A container engine: the one that answers, else a private one for this session."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import pytest

from hatchlock.engines.locate import EngineNotFound, answers, find_engine
from support.unavailable import unavailable

_PATIENCE = 60.0

# Docker has 31 networks by default, and counts the bridges that engines before it left on this machine. Several engines are
# here at once, and two that look for a free range in the same instant find the same.
_RANGE = f"172.{24 + os.getpid() % 8}.0.0/16"
_ADDRESSES = (
    "--default-address-pool",
    "base=172.17.0.0/16,size=16",
    "--default-address-pool",
    f"base={_RANGE},size=24",
)


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Yield the address of an engine, `unix://…`; tests delete what they make and touch nothing else."""
    try:
        yield find_engine(os.environ)
    except EngineNotFound:
        yield from _private()


def _private() -> Iterator[str]:
    directory = Path(tempfile.mkdtemp(prefix="hatchlock-engine-"))
    with OwnEngine(directory) as started:
        yield started.address
    shutil.rmtree(directory, ignore_errors=True)


class OwnEngine:
    """A Docker engine of our own below a directory, which can be killed and started again; a context manager.

    `prefix` begins the command that starts it.
    """

    def __init__(self, directory: Path, *options: str, data: Path | None = None, prefix: Sequence[str] = ()) -> None:
        self.directory = directory
        self.address = f"unix://{directory}/sock"
        self._data = data or directory / "data"
        self._options = options
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE)
        unmount_below(self.directory)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        dockerd = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin")
        if dockerd is None or os.geteuid() != 0:
            unavailable("no container engine answers, and none can be started: that needs root and dockerd")
        command = [
            *(*self._prefix, dockerd, "--data-root", str(self._data), "--exec-root", f"{self.directory}/exec"),
            *("--host", self.address, "--pidfile", f"{self.directory}/pid", *_ADDRESSES, *self._options),
        ]
        with (self.directory / "log").open("ab") as log, _one_starts():
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            self._process = process
            is_up = wait_until(lambda: process.poll() is not None or answers(self.address))
        if not is_up or process.poll() is not None:
            unavailable(f"dockerd does not start: {last_line(self.directory / 'log')}")

    def kill(self) -> None:
        """Kill it as `kill -9` does, and its containerd, which the next one would wait for."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_PATIENCE)
        containerd = self.directory / "exec" / "containerd" / "containerd.pid"
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(containerd.read_text()), signal.SIGKILL)
        containerd.unlink()


@contextlib.contextmanager
def _one_starts() -> Iterator[None]:
    """Let runs of tests start engines one after the other: each makes this machine's chains of iptables anew."""
    with (Path(tempfile.gettempdir()) / f"hatchlock-tests-dockerd-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wait_until(done: Callable[[], bool], *, patience: float = _PATIENCE) -> bool:
    """Ask again and again, up to `patience` seconds, and return whether `done` came true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.05)
    return False


def last_line(log: Path) -> str:
    """Return what an engine said last."""
    return (log.read_text(errors="replace").splitlines() or ["it says nothing"])[-1]


def unmount_below(directory: Path) -> None:
    """Unmount what an engine leaves behind, such as the mount of its network namespaces."""
    mounts = Path("/proc/self/mounts")
    points = [line.split()[1] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    for point in reversed([point for point in points if point.startswith(f"{directory}/")]):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
