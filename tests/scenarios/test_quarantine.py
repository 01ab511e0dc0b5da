"""`quarantine` of servers that run: everything of them is gone at once, what they wrote is known, nobody starts them again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.cli.main import main
from hatchlock.engines.trees import children_of, freeze, kill, names_of
from hatchlock.files import private_directory
from hatchlock.launch import Endpoint, LaunchRecord, Mount, Sandbox
from hatchlock.state.quarantine import Quarantine, begin_quarantine, quarantine_of
from hatchlock.state.sessions import running
from support.ports import free_port
from support.runs import BARE, Run, apply_records, processes_with, python_record, run_command, wait_for
from support.standing import ended, kept, started, web_record
from support.unavailable import need_isolation


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def tag() -> Iterator[str]:
    """A word in the command line of this test's server."""
    word = f"tag-{secrets.token_hex(6)}"
    yield word
    assert wait_for(lambda: processes_with(word) == []), "something is left"


def apply(home: Path, tag: str, *servers: str, **fields: Any) -> list[LaunchRecord]:
    records = [python_record("--stderr", tag, server=server, **fields) for server in servers]
    apply_records(home, records)
    return records


def command(home: Path, *words: str, status: int = 0) -> tuple[str, str]:
    """Run a command of hatchlock without a manifest, and return what it printed and said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = main(["--home", str(home), "--project", "trial", "-C", str(home), *words])
    assert found == status, out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


def bare_path(home: Path) -> dict[str, str]:
    """Return an environment in which no bubblewrap works."""
    program = private_directory(home / "nobwrap") / "bwrap"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return {**BARE, "PATH": f"{program.parent}:{BARE['PATH']}"}


def start(home: Path, server: str, env: dict[str, str] = BARE) -> Run:
    run = Run(command=run_command(home, server), env=env)
    run.hello()
    return run


@pytest.mark.parametrize("isolation", ["required", "best-effort"])
def test_everything_of_a_running_server_is_gone_and_another_one_runs_on(home: Path, tag: str, isolation: str) -> None:
    shared = private_directory(home.parent / "shared")
    (shared / "mine").write_text("not the server's")
    sandbox = Sandbox(mounts=(Mount(source=str(shared), target="/tmp/shared"),))
    apply(home, tag, "bad", "good", isolation=isolation, sandbox=sandbox if isolation == "required" else Sandbox())
    env = BARE if isolation == "required" else bare_path(home)
    with start(home, "bad", env) as first, start(home, "bad", env) as second, start(home, "good", env) as good:
        first.attempt("write", "/tmp/loot" if isolation == "required" else "loot")
        first.attempt("escape", "600")
        log = home / "projects" / "trial" / "logs" / "bad.log"
        assert wait_for(lambda: tag in log.read_text()), "what it says on stderr comes by another way than its answers"
        pids = [first.process.pid, second.process.pid]
        document = json.loads(command(home, "quarantine", "bad", "--reason", "it lies", "--json")[0])
        assert (document["sessions"], document["undone"]) == (sorted(pids), [])
        assert document["processes"] >= 2
        assert first.wait() == second.wait() == -signal.SIGKILL
        assert good.call("echo", text="still here") == "still here"
        assert [session.server for session in running(home / "projects" / "trial")] == ["good"]
        kept = Path(document["quarantine"]["kept"])
        report = json.loads((kept / "report.json").read_text())
        if isolation == "required":
            written = {item["path"]: item["sha256"] for item in report["processes"][0]["written"]}
            assert written["/tmp/loot"] == hashlib.sha256(b"was here").hexdigest()
            assert "/tmp/shared/mine" not in written, "what is mounted is not what it wrote"
        assert (report["reason"], report["undone"]) == ("it lies", [])
        assert tag in (kept / "bad.log").read_text()
        assert (kept / "launch.json").is_file()
        modes = [path.stat().st_mode & 0o777 for path in (kept, kept / "report.json", kept / "bad.log")]
        assert modes == [0o700, 0o600, 0o600]


def test_it_is_refused_until_it_is_released(home: Path, tag: str) -> None:
    apply(home, tag, "echo")
    out, _ = command(home, "quarantine", "echo", "--reason", " a\n\u202eb")
    assert ": a \\u202eb\n" in out
    assert "nothing of it ran" in out
    with Run(command=run_command(home)) as run:
        status, out_bytes, err = run.end()
    assert (status, out_bytes) == (3, b"")
    assert b"echo is in quarantine since " in err
    assert b"hatchlock quarantine --release echo" in err
    for refused in (("probe", "echo"), ("serve", "echo"), ("exec", "echo", "--", "true")):
        _, said = command(home, *refused, status=3)
        assert "echo is in quarantine" in said
    listed = json.loads(command(home, "quarantine", "--json")[0])["quarantine"]
    assert [(item["server"], item["reason"]) for item in listed] == [("echo", "a \u202eb")]
    out, _ = command(home, "quarantine", "--release", "echo")
    assert "echo may be started again" in out
    with start(home, "echo") as again:
        assert again.end()[0] == 0
    assert list((home / "projects" / "trial" / "quarantine" / "echo").glob("2*/report.json")), "what was kept stays"
    _, said = command(home, "quarantine", "--release", "echo", status=1)
    assert "echo is not in quarantine" in said
    assert command(home, "quarantine")[1].startswith("no server of trial is in quarantine")


def test_whoever_looked_before_the_marker_was_there_is_refused_when_the_session_is_known(home: Path, tag: str) -> None:
    """Between the first look of `run` and its session's file somebody may put the server into quarantine."""
    (record,) = apply(home, tag, "echo", secrets={})
    from hatchlock.security.secrets.values import Secrets
    from hatchlock.serve.secrets import remembered
    from hatchlock.state.quarantine import InQuarantine

    root = home / "projects" / "trial"
    begin_quarantine(root, Quarantine(server="echo", at="2026-11-28T00:00:00Z", by="me@here"))
    with pytest.raises(InQuarantine), remembered(record, Secrets(), home):
        pytest.fail("it was started")
    assert running(root) == ()


def test_a_damaged_state_saves_nobody(home: Path, tag: str) -> None:
    apply(home, tag, "echo")
    with start(home, "echo") as run:
        (home / "projects" / "trial" / "active.json").write_text("{")
        command(home, "quarantine", "echo")
        assert run.wait() == -signal.SIGKILL
    root = home / "projects" / "trial"
    (root / "quarantine" / "echo" / "quarantine.json").write_text("{")
    assert str(quarantine_of(root, "echo")) == "in quarantine but the file that says why cannot be read"
    (root / "active.json").unlink()
    apply(home, tag, "echo")
    with Run(command=run_command(home)) as again:
        assert again.end()[0] == 3


def test_what_stands_still_after_a_quarantine_that_was_killed_goes_with_the_next(home: Path, tag: str) -> None:
    apply(home, tag, "echo")
    with start(home, "echo") as run:
        freeze({run.process.pid})
        out, _ = command(home, "quarantine", "echo")
        assert f"process {run.process.pid}" in out
        assert run.wait() == -signal.SIGKILL


def test_an_unknown_server_is_an_error_with_its_hint(home: Path, tag: str) -> None:
    apply(home, tag, "echo")
    _, said = command(home, "quarantine", "ehco", status=1)
    assert "did you mean echo?" in said
    _, said = command(home, "quarantine", "--release", status=64)
    assert "which server?" in said


def test_an_engine_that_is_gone_is_said_and_the_server_is_refused_all_the_same(home: Path, tag: str) -> None:
    engine = f"unix://{home}/nobody"
    apply(home, tag, "box", runtime="container", engine=engine, image="none:1", read_only_paths=())
    _, said = command(home, "quarantine", "box", status=1)
    assert said.count("! not done: ") == 1
    assert "its containers may still run" in said
    with Run(command=run_command(home, "box")) as run:
        assert run.end()[0] == 3


def test_a_server_that_stays_ends_and_is_started_neither_by_hand_nor_by_its_keeper(home: Path) -> None:
    with ended(home):
        record = web_record()
        keeper = started(home, record)
        before = kept(home / "projects" / "trial")
        cut = json.loads(command(home, "quarantine", "web", "--json")[0])
        assert {keeper.pid, before.run} <= set(cut["sessions"])
        assert (cut["undone"], cut["quarantine"]["stopped"]) == ([], True)
        assert wait_for(lambda: processes_with(str(home)) == [])  # watchdogs see it, and end
        for words in (["start", "web"], ["restart", "web"]):
            assert "web is in quarantine" in command(home, *words, status=3)[1]
        with Run(command=run_command(home, "web")) as run:
            assert run.end()[0] == 3
        command(home, "quarantine", "--release", "web")
        command(home, "start", "web")
        assert kept(home / "projects" / "trial").url == keeper.url


def test_what_serves_a_server_over_http_is_killed_with_its_keeper_and_waited_for_by_nobody(home: Path) -> None:
    with ended(home):
        record = python_record(server="echo", endpoint=Endpoint(host_port=free_port()))
        keeper = started(home, record)
        before = kept(home / "projects" / "trial", "echo")
        cut = json.loads(command(home, "quarantine", "echo", "--json")[0])
        assert set(cut["sessions"]) == {keeper.pid, before.run}
        assert (cut["processes"], cut["undone"]) == (0, [])


def test_it_is_written_down_who_did_it(home: Path, tag: str) -> None:
    apply(home, tag, "echo")
    command(home, "quarantine", "echo", "--reason", "why not")
    lines = [json.loads(line) for line in (home / "audit" / "audit.ndjson").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["quarantine.start", "quarantine.end"]
    assert (lines[0]["server"], lines[0]["reason"], lines[0]["who"]["uid"]) == ("echo", "why not", os.getuid())


def test_a_tree_of_processes_is_found_stopped_and_killed_by_name() -> None:
    import subprocess

    script = "import os,time\nif os.fork() == 0:\n    os.setsid()\n    os.fork()\ntime.sleep(600)"
    with subprocess.Popen(["/usr/bin/env", "sh", "-c", f"exec python3 -c '{script}' & exec sleep 600"]) as leader:
        assert wait_for(lambda: len(children_of({leader.pid})) == 3)
        frozen = freeze({leader.pid})
        stopped = [Path(f"/proc/{pid}/stat") for pid in (*frozen, leader.pid)]
        assert wait_for(lambda: {path.read_text().rpartition(")")[2].split()[0] for path in stopped} == {"T"})
        kill((*names_of({leader.pid}).values(), *frozen.values()))
    assert wait_for(lambda: not names_of(frozen))
