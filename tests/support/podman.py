"""Podman as a service that speaks Docker's API, of our own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomlkit

from hatchlock.engines.locate import answers
from support.engine import last_line, unmount_below, wait_until
from support.unavailable import unavailable

_PATIENCE = 60.0


@pytest.fixture(scope="session")
def podman() -> Iterator[str]:
    """Yield the address of a Podman with a store of its own, `unix://…`."""
    with own_podman() as address:
        yield address


@contextlib.contextmanager
def own_podman(*prefix: str) -> Iterator[str]:
    """Yield the address of one, which a command with this beginning starts."""
    program, runtime = shutil.which("podman"), shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or runtime is None or os.geteuid() != 0:
        unavailable("Podman cannot be started: that needs root, podman and runc")
    directory = Path(tempfile.mkdtemp(prefix="hatchlock-podman-"))
    settings = directory / "containers.conf"
    settings.write_text(_settings())
    address = f"unix://{directory}/sock"
    command = [
        *(
            *prefix,
            program,
            "--root",
            f"{directory}/root",
            "--runroot",
            f"{directory}/run",
            "--tmpdir",
            f"{directory}/tmp",
        ),
        *("--runtime", runtime),  # crun refuses the hybrid layout of control groups
        *("system", "service", "--time=0", address),
    ]
    with (directory / "log").open("wb") as log:
        # where it is started its monitor leaves a file of a container that met its limit of memory
        environ = {**os.environ, "CONTAINERS_CONF": str(settings)}
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=directory, env=environ)
    try:
        if not wait_until(lambda: process.poll() is not None or answers(address)) or process.poll() is not None:
            unavailable(f"podman does not start: {last_line(directory / 'log')}")
        yield address
    finally:
        process.terminate()
        process.wait(_PATIENCE)
        unmount_below(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _settings() -> str:
    """Return this machine's settings with locks in the engine's own directory.

    Otherwise all of root's have them in one file in /dev/shm, and each that starts for the first time gives them all free:
    then two containers of another one may have the same.
    """
    usual = Path("/usr/share/containers/containers.conf")
    settings = tomlkit.parse(usual.read_text() if usual.exists() else "")
    settings.setdefault("engine", tomlkit.table())["lock_type"] = "file"
    return tomlkit.dumps(settings)
