"""What a sandboxed process finds, started by root and by an ordinary user: one look around from inside for each profile."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from support.everybodys import copy_ourselves, everybodys_directory
from support.runs import BARE, SERVERS
from support.unavailable import need_isolation, unavailable

ROOT = os.geteuid() == 0
PYTHON = "/usr/bin/python3.11"
MEBI = 1 << 20
DRIVER = """
import os, sys
from hatchlock.launch import LaunchRecord
from hatchlock.serve.command import run_command
record = LaunchRecord.from_json(sys.stdin.buffer.read())
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.exit(run_command(record, record.argv, environ=os.environ))
"""
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that an ordinary user can read, with our own code and a program that is setuid root."""
    need_isolation()
    if not Path(PYTHON).exists():
        unavailable(f"an ordinary user needs a Python that it can read: {PYTHON}")
    with everybodys_directory() as directory:
        copy_ourselves(directory / "source")
        shutil.copy(SERVERS / "peek.py", directory / "peek.py")
        (directory / "peek.py").chmod(0o755)
        shutil.copy("/usr/bin/id", directory / "id")
        (directory / "id").chmod(0o4755)
        yield directory


@pytest.fixture(scope="module")
def socket_outside() -> Iterator[str]:
    name = f"hatchlock-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        yield name


def look(place: Path, socket_outside: str, *, by: str, size: int = 0, **profile: Any) -> Facts:
    """Return what `fixtures/servers/peek.py` finds under a profile."""
    if by == "root" and not ROOT:
        pytest.skip("only root can start a server as root does")
    mounts = (Mount(source=str(place / "id"), target="/data/id"),)
    record = LaunchRecord(
        project="trial",
        server="peek",
        runtime="process",
        argv=(PYTHON, "-I", str(place / "peek.py"), socket_outside, "/data/id", str(size)),
        key="0" * 64,
        read_only_paths=(str(place / "peek.py"),),
        sandbox=Sandbox(mounts=mounts, reason="test", **profile),
    )
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
    command = [*(user if ROOT and by == "user" else ()), PYTHON if by == "user" else sys.executable, "-c", DRIVER]
    env = {**BARE, "PYTHONPATH": str(place / "source")}
    done = subprocess.run(command, input=record.to_json(), env=env, cwd="/", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module", params=["root", "user"])
def facts(request: pytest.FixtureRequest, place: Path, socket_outside: str) -> Facts:
    return look(place, socket_outside, by=request.param)


def test_it_is_a_user_without_any_privilege_and_can_get_none(facts: Facts) -> None:
    none = dict.fromkeys(("CapEff", "CapPrm", "CapBnd", "CapAmb"), "0" * 16)
    assert facts["status"] == {**none, "NoNewPrivs": "1", "Seccomp": "2"}
    assert facts["uid"] == 10001
    assert facts["groups"] in ([], [10001])
    assert facts["setuid"] == "10001"


def test_no_mount_knows_setuid_or_devices_and_only_temporary_ones_can_be_written_to(facts: Facts) -> None:
    assert all("nosuid" in options for options in facts["mounts"].values())
    devices = {point for point, options in facts["mounts"].items() if "nodev" not in options}
    assert devices <= {
        f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "pts", "console")
    }
    writable = {point for point, options in facts["mounts"].items() if "rw" in options} - devices
    assert writable == {"/proc", "/dev/shm", "/tmp", "/home/hatchlock"}
    assert facts["written"]["/x"] == "EROFS"


def test_new_namespaces_keyrings_mounts_and_programs_for_the_kernel_are_refused(facts: Facts) -> None:
    assert facts["calls"] == dict.fromkeys(("unshare", "clone", "keyctl", "mount", "bpf"), "EPERM")


def test_what_the_machine_tells_of_itself_and_of_others_is_covered(facts: Facts) -> None:
    # what started it has no variables, should it be another user's or not
    assert set(facts["read"].values()) <= {"EACCES", "ENOENT", "EPERM", "empty"}
    assert facts["written"].pop("/dev/shm/x") == "done"
    assert set(facts["written"].values()) <= {"EACCES", "ENOENT", "EPERM", "EROFS"}


def test_there_is_nothing_of_the_machine_but_its_programs(facts: Facts) -> None:
    assert set(facts["top"]) - {"bin", "sbin", "lib", "lib32", "lib64", "libx32"} == {
        *("data", "dev", "etc", "home", "proc", "tmp", "usr")
    }
    assert set(facts["devices"]) <= {
        *("console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"),
        *("tty", "urandom", "zero"),
    }
    assert facts["host"] == "hatchlock"
    assert len(facts["processes"]) == 2
    assert facts["shared memory"] == 0


def test_nothing_is_inherited_and_nothing_listens(facts: Facts) -> None:
    assert facts["descriptors"] == [0, 1, 2]
    assert facts["abstract"] == "ECONNREFUSED"
    assert facts["core"] == [1, 1]


@pytest.mark.parametrize("by", ["root", "user"])
def test_a_root_that_may_be_written_to_has_a_size(place: Path, socket_outside: str, by: str) -> None:
    found = look(place, socket_outside, by=by, size=3 * MEBI, read_only=False, tmp="1m")
    assert found["filled"] <= MEBI


def test_an_ordinary_users_sandbox_makes_no_users_even_without_a_filter(place: Path, socket_outside: str) -> None:
    found = look(place, socket_outside, by="user", seccomp="unconfined", run_as="host")
    assert found["status"]["Seccomp"] == "0"
    assert {found["calls"][name] for name in ("unshare", "clone")} <= {"ENOSPC", "EPERM"}
    assert found["uid"] == (65534 if ROOT else os.getuid())


def test_no_program_is_started_from_where_it_can_write(facts: Facts) -> None:
    assert facts["started"] == {"/tmp": "EACCES", "/home/hatchlock": "EACCES", "/dev/shm": "EACCES"}


def test_where_that_cannot_be_had_it_is_isolated_all_the_same(place: Path) -> None:
    # one mount name space less than it takes: bubblewrap has one itself
    few = 'echo 1 >/proc/sys/user/max_mnt_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'
    ask = "import os; from hatchlock.engines.process import isolation_system as ask; print(ask(os.environ).no_programs)"
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if ROOT else ()
    inside = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "/bin/sh", "-c", few, "sh")
    env = {**BARE, "PYTHONPATH": str(place / "source")}
    done = [
        subprocess.run([*user, *wrapped, PYTHON, "-c", ask], env=env, capture_output=True, text=True, check=True).stdout
        for wrapped in ((), inside)
    ]
    assert done == ["True\n", "False\n"]
