"""What a sandbox stops is explained: by `run`, by `status`, by the error of a probe, with the lines that would permit it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import stat
import textwrap
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.security.denials import Denial, changes_of
from hatchlock.state.denials import Refusal, denials_path, read_denials
from support.links import links_record
from support.links_image import links_image
from support.project import TrialProject
from support.runs import BARE, SERVERS, Run, apply_records, processes_with, python_record, run_command, wait_for
from support.unavailable import need_isolation, unavailable

NARROW = Sandbox(memory="256m", tmp="1m", pids=40, stop_grace=0.3)


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def service() -> Iterator[int]:
    """A service of this machine on loopback, as a database would be."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A file of this machine that no server has been given."""
    directory = tmp_path / "reports"
    directory.mkdir()
    (directory / "q3.csv").write_text("1,2\n")
    return directory / "q3.csv"


def told(record: LaunchRecord, home: Path) -> tuple[str, set[tuple[str, str]]]:
    """Serve a record until it has answered, or ended; return its stderr and what was kept for `status`."""
    apply_records(home, [record])
    with Run(command=run_command(home, server=record.server, project=record.project), env=BARE) as run:
        if "--fail" in record.argv:
            run.wait()
        else:
            run.hello()
            run.call("again")
        _, out, err = run.end()
    assert b"hatchlock" not in out
    # that it is a directory only a traceback says, which may be read after the answer that says the rest
    return err.decode(), {(item.kind, item.what.rstrip("/")) for item in kept(record, home)}


def kept(record: LaunchRecord, home: Path) -> tuple[Refusal, ...]:
    return read_denials(denials_path(home / "projects" / record.project, record.server), record.digest)


def tries(report: Path) -> list[str]:
    return [
        *("--make", "/data/notes", "--write", "/state.db", "--read", str(report)),
        *(
            "--later",
            "/late.txt",
            "--fill",
            "2000000",
            "--threads",
            "60",
            "--look-up",
            "api.example.com",
            "--look-up",
            "localhost",
        ),
    ]


def expected(report: Path) -> set[tuple[str, str]]:
    return {
        *(("write", "/data"), ("write", "/state.db"), ("write", "/late.txt"), ("mount", str(report))),
        *(("space", "1m"), ("processes", "40")),
    }


def permitted(record: LaunchRecord, home: Path) -> LaunchRecord:
    """Return the record with everything that would permit what was stopped, but for what needs volumes or a forwarder."""
    denials = [Denial(kind=item.kind, what=item.what) for item in kept(record, home)]  # type: ignore[arg-type]
    values = changes_of((item for item in denials if item.kind not in {"write", "network"}), record)
    return replace(record, sandbox=replace(record.sandbox, **values))  # type: ignore[arg-type]


def test_a_process_is_told_once_what_was_stopped_and_what_permits_it(home: Path, report: Path) -> None:
    record = python_record(*tries(report), "--write", "/state.db", script="nosy.py", sandbox=NARROW)
    err, found = told(record, home)
    assert found == {*expected(report), ("network", "api.example.com")}
    assert err.count("hatchlock: echo was not allowed to write to /state.db") == 1
    assert '    [servers.echo.sandbox]\n    writable = ["/data"]\n    reason = "…"\n' in err
    file = denials_path(home / "projects" / "trial", "echo")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    open_record = permitted(record, home)
    _, left = told(open_record, home)
    assert {kind for kind, _ in left} == {"write", "network"}


def test_a_process_that_needs_more_memory_is_told_so(home: Path) -> None:
    record = python_record("--memory", "600000000", "--fail", script="nosy.py", sandbox=NARROW)
    err, found = told(record, home)
    assert found == {("memory", "256m")}, err
    assert 'memory = "512m"' in err


def test_nothing_is_told_of_a_server_that_is_content(home: Path, report: Path, service: int) -> None:
    mounts = (Mount(source=str(report.parent), target=str(report.parent)),)
    quiet = ("--write", "/tmp/x", "--read", str(report), "--connect", f"localhost:{service}")
    sandbox = Sandbox(mounts=mounts, network=("host",), stop_grace=0.3, reason="tests")
    err, found = told(python_record(*quiet, script="nosy.py", sandbox=sandbox), home)
    assert found == set()
    assert "hatchlock:" not in err


def test_node_is_understood_as_well(home: Path, service: int) -> None:
    node = shutil.which("node")
    if node is None:
        unavailable("there is no node")
    argv = (node, str(SERVERS / "nosy.js"), "write", "/data", "connect", f"127.0.0.1:{service}", "listen", "80")
    record = python_record(server="nosy")
    record = replace(record, argv=(*argv, "own", "/tmp"), read_only_paths=(*record.read_only_paths, node))
    _, found = told(record, home)
    assert found == {
        ("write", "/data"),
        ("network", f"localhost:{service}"),
        ("system-call", "listen on port 80"),
        ("system-call", "change the owner of /tmp"),
    }


@pytest.mark.engine
def test_a_container_is_told_the_same(home: Path, report: Path, engine: str) -> None:
    project = f"trial-{secrets.token_hex(4)}"
    with links_image(engine) as image:
        record = links_record(engine, image, project, *tries(report), script="nosy.py", sandbox=NARROW)
        _, found = told(record, home)
        assert found == {*expected(report), ("network", "")}
        hungry = links_record(
            engine, image, project, "--memory", "600000000", "--fail", script="nosy.py", sandbox=NARROW
        )
        err, found = told(hungry, home)
        assert found == {("memory", "256m")}
        assert 'memory = "512m"' in err


_LATE = """
import sys, time
from hatchlock.cli.main import main
from hatchlock.engines.api import Engine
start = Engine.start
Engine.start = lambda *given: (start(*given), time.sleep(2))
sys.exit(main())
"""
"""`hatchlock` on a machine on which a server has done a lot before it is known that it was started."""


def learnt(record: LaunchRecord, home: Path, directory: Path, *program: str) -> dict[str, object]:
    apply_records(home, [record])
    python = run_command(home)[0]
    command = [python, *(program or ("-m", "hatchlock")), "--home", str(home), "--project", record.project]
    with Run(command=[*command, "run", record.server, "--learn", str(directory)]) as run:
        run.hello()
        time.sleep(1)  # it is looked at ten times a second
        run.end()
    document: dict[str, object] = json.loads((directory / "observed.json").read_bytes())
    return document


def nosiness(service: int) -> list[str]:
    return [
        *("--make", "/data/notes", "--write", "/data/notes/today", "--write", "/tmp/x", "--look-up", "t.example.com"),
        *("--connect", "api.example.com:8443", "--connect", "192.0.2.7:80", "--connect", f"localhost:{service}"),
        *("--memory", "80000000", "--threads", "10"),
    ]


def check_learnt(found: dict[str, object], service: int, *, written: list[str]) -> None:
    assert found["connections"] == ["192.0.2.7:80", "api.example.com:8443", f"localhost:{service}"]
    assert found["lookups"] == ["t.example.com"]
    assert found["written"] == written
    assert found["unknown"] == []
    assert isinstance(found["memory"], int)
    assert 80_000_000 < found["memory"] < 200_000_000
    assert isinstance(found["processes"], int)
    assert 11 <= found["processes"] <= 16


@pytest.mark.skipif(os.geteuid() != 0, reason="the namespaces of others are entered by root only")
def test_what_a_process_tries_is_learnt_and_nothing_is_left(home: Path, tmp_path: Path, service: int) -> None:
    tag = secrets.token_hex(6)
    record = python_record(*nosiness(service), "--look-up", f"{tag}.example.com", script="nosy.py")
    found = learnt(record, home, tmp_path / "learnt")
    lookups = found["lookups"]
    assert isinstance(lookups, list)
    lookups.remove(f"{tag}.example.com")
    check_learnt(found, service, written=["/data/notes/today"])
    assert not Path("/data/notes").exists()
    assert kept(record, home) == ()
    assert wait_for(lambda: processes_with(tag) == [])


@pytest.mark.engine
@pytest.mark.skipif(os.geteuid() != 0, reason="the namespaces of others are entered by root only")
def test_what_a_container_tries_is_learnt(home: Path, tmp_path: Path, service: int, engine: str) -> None:
    project = f"trial-{secrets.token_hex(4)}"
    with links_image(engine) as image:
        record = links_record(engine, image, project, *nosiness(service), script="nosy.py")
        found = learnt(record, home, tmp_path / "learnt", "-c", _LATE)
    check_learnt(found, service, written=["/data/notes/today"])


MANIFEST = """
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[servers.notes]
command = ["/usr/bin/python3", "/opt/tools/nosy.py", "--make", "/data/notes", "--fail"]
runtime = "process"

[servers.notes.sandbox]
mounts = [{ source = "./tools", target = "/opt/tools" }]
reason = "its program"
"""


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="the server's program is the system's Python")
def test_whoever_tells_of_it_says_the_same(tmp_path: Path) -> None:
    """A tool that fails says why in its answer, and a probe, a trial, the log and `status` say what would help."""
    declared = MANIFEST.replace('"--make", "/data/notes", "--fail"', '"--later", "/etc/x"')
    declared = declared.replace("servers.notes", "servers.nosy")  # as `try` calls it
    trial = TrialProject(tmp_path, declared)
    (trial.directory / "tools").mkdir()
    shutil.copy(SERVERS / "nosy.py", trial.directory / "tools")
    trial.ok("up", "--yes")
    probed = trial.run("probe", "nosy", "--call", "again")
    mount = ("--mount", "./tools:/opt/tools")
    program = (*mount, "--", "/usr/bin/python3", "/opt/tools/nosy.py", "--later", "/etc/x")
    tried = trial.run("try", "--probe", "--call", "again", *program)
    assert (probed.status, tried.status) == (1, 1), probed.said + tried.said
    said = textwrap.dedent(probed.err.partition("its sandbox has stopped:\n")[2])

    assert said.startswith("nosy was not allowed to write to /etc/x; look for an option or a variable by which it ")
    assert said.strip() in textwrap.dedent(tried.err.partition("its sandbox has stopped:\n")[2])
    assert tried.err.count("was not allowed to write") == 1
    assert said in trial.ok("logs", "nosy").out
    assert said in trial.ok("status").out
    [stopped] = trial.run("probe", "nosy", "--call", "again", "--json").document["stopped"]
    assert (stopped["kind"], stopped["what"]) == ("write", "/etc/x")


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="the server's program is the system's Python")
def test_what_is_said_is_what_helps(tmp_path: Path) -> None:
    trial = TrialProject(tmp_path, MANIFEST)
    (trial.directory / "tools").mkdir()
    shutil.copy(SERVERS / "nosy.py", trial.directory / "tools")
    done = trial.fails("up", "--yes")
    said = "its sandbox stopped it: notes was not allowed to write to /data/"
    assert said in done.err
    [lines] = re.findall(r"hint: .*:\n((?:    .*\n?)+)", done.err)
    assert tomllib.loads(lines) == {"servers": {"notes": {"sandbox": {"writable": ["/data"]}}}}

    [server] = trial.ok("status", "--json").document["servers"]
    [stopped] = server["stopped"]
    # that it is a directory may be said by what is read later
    assert (stopped["kind"], stopped["what"].rstrip("/")) == ("write", "/data")
    assert tomllib.loads(stopped["permit"]) == tomllib.loads(lines)

    before = trial.manifest.read_bytes(), trial.lock.read_bytes()
    learnt = trial.ok("probe", "notes", "--learn", "--call", "again").out
    assert (trial.manifest.read_bytes(), trial.lock.read_bytes()) == before
    limits = {"memory": "64m", "pids": 16} if os.geteuid() == 0 else {}
    assert tomllib.loads(learnt) == {"servers": {"notes": {"sandbox": {"writable": ["/data/notes"], **limits}}}}

    trial.edit('reason = "its program"', 'writable = ["/data"]\nreason = "its program"')
    trial.ok("up", "--yes")
    assert "STOPPED" not in trial.ok("status").out
    assert list(trial.store.glob("projects/trial/denials/*")) == []
