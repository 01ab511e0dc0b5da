"""A container engine: the one that answers, else a private one for this session."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hatchlock.engines.locate import EngineNotFound, answers, find_engine
from support.unavailable import unavailable

_PATIENCE = 60.0


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """Yield the address of an engine, `unix://…`; tests delete what they make and touch nothing else."""
    try:
        yield find_engine(os.environ)
    except EngineNotFound:
        yield from _private()


def _private() -> Iterator[str]:
    dockerd = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin")
    if dockerd is None or os.geteuid() != 0:
        unavailable("no container engine answers, and none can be started: that needs root and dockerd")
    directory = Path(tempfile.mkdtemp(prefix="hatchlock-engine-"))
    address = f"unix://{directory}/sock"
    command = [
        *(dockerd, "--data-root", f"{directory}/data", "--exec-root", f"{directory}/exec"),
        *("--host", address, "--pidfile", f"{directory}/pid"),
    ]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        if not wait_until(lambda: process.poll() is not None or answers(address)) or process.poll() is not None:
            unavailable(f"dockerd does not start: {_last_line(directory / 'log')}")
        yield address
    finally:
        process.terminate()
        process.wait(_PATIENCE)
        _unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)


def wait_until(done: Callable[[], bool], *, patience: float = _PATIENCE) -> bool:
    """Ask again and again, up to `patience` seconds, and return whether `done` came true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.05)
    return False


def _last_line(log: Path) -> str:
    return (log.read_text(errors="replace").splitlines() or ["it says nothing"])[-1]


def _unmount_below(directory: Path) -> None:
    """An engine leaves the mount of its network namespaces behind."""
    mounts = Path("/proc/self/mounts")
    points = [line.split()[1] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    for point in reversed([point for point in points if point.startswith(f"{directory}/")]):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
