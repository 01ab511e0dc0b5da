"""What commands leave in the audit log, of a project whose servers are programs that every machine has."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hatchlock.process import owner
from hatchlock.state.auditlog import audit_path, read_audit
from support.cats import CAT, CATS, CatProject, apply, start
from support.runs import HELLO, SERVERS, wait_for
from support.small_disk import small_disk

SECRET = "hunter2-is-no-good-password"


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    return CatProject(tmp_path, CAT)


def entries(project: CatProject, *events: str) -> list[dict[str, Any]]:
    found = read_audit(project.store)
    assert found.damaged == 0
    return [dict(entry) for entry in found.entries if entry["event"] in events or not events]


def launch(project: CatProject, server: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    command = project.launch_command(server)
    return subprocess.run(command, input=stdin, capture_output=True, env=project.env, cwd="/", timeout=60, check=False)


def test_who_locks_plans_and_applies_is_written_down_with_digests(project: CatProject) -> None:
    project.ok("lock")
    project.ok("plan")
    project.ok("apply", "--yes", "--no-probe")
    project.ok("apply", "--yes", "--no-probe")
    assert [entry["event"] for entry in entries(project)] == [
        *("lock", "plan", "apply.start", "apply.end", "apply.unchanged")
    ]
    locked, planned, begun, ended, same = entries(project)
    assert locked["before"] == ""
    assert locked["lock"] == planned["lock"] == begun["lock"] == same["lock"]
    assert "create server:cat" in begun["steps"]
    assert (ended["outcome"], ended["failed"], ended["launch"]) == ("done", [], project.active())
    assert all(entry["who"]["uid"] == os.getuid() for entry in entries(project))
    assert (audit_path(project.store).stat().st_mode & 0o777) == 0o600


def test_it_outlives_the_project(project: CatProject) -> None:
    apply(project)
    project.write(CATS)
    apply(project)
    project.ok("rollback", "--yes", "--allow-mass-removal")
    project.ok("destroy", "--yes")
    ends = [entry["event"] for entry in entries(project) if entry["event"].endswith(".end")]
    assert ends == ["apply.end", "apply.end", "rollback.end", "destroy.end"]
    assert entries(project, "rollback.start")[0]["command"] == "rollback 1"


def test_an_apply_that_cannot_be_written_down_is_refused_and_nothing_is_done(project: CatProject) -> None:
    project.ok("lock")
    project.ok("plan")
    shutil.rmtree(project.store / "audit")
    (project.store / "audit").write_text("")
    done = project.fails("apply", "--yes", "--no-probe")
    assert "audit log" in done.err
    assert "nothing was done" in done.err
    assert project.active() == {}
    assert "not written into the audit log" in project.real("plan").err


def test_a_session_has_its_start_its_end_and_how_it_ended(project: CatProject) -> None:
    apply(project)
    assert launch(project, "cat", json.dumps(HELLO).encode() + b"\n").returncode == 0
    begun, ended = entries(project, "run.start", "run.end")
    assert (begun["project"], begun["server"]) == ("trial", "cat")
    assert begun["launch"] == project.active()["cat"]
    assert (ended["session"], ended["exit"]) == (begun["session"], 0)
    assert "who" not in ended


def test_a_server_is_served_although_that_cannot_be_written_down(project: CatProject) -> None:
    apply(project)
    shutil.rmtree(project.store / "audit")
    (project.store / "audit").write_text("")
    line = json.dumps(HELLO).encode() + b"\n"
    done = launch(project, "cat", line)
    assert (done.returncode, done.stdout) == (0, line)
    assert b"not written into the audit log" in done.stderr


def test_a_session_that_was_killed_is_told_of_by_the_next_one(project: CatProject) -> None:
    apply(project)
    with start(project, "run", "cat") as session:
        session.wait()  # its stdin is at its end
    command = project.launch_command("cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=project.env) as killed:
        assert killed.stdin is not None
        assert killed.stdout is not None
        killed.stdin.write(json.dumps(HELLO).encode() + b"\n")
        killed.stdin.flush()
        killed.stdout.readline()
        assert wait_for(lambda: entries(project, "run.start")[1:])  # it is written while messages pass already
        pid = int(entries(project, "run.start")[-1]["who"]["pid"])
        os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: not owner(pid))
    launch(project, "cat", b"")
    assert wait_for(lambda: entries(project, "run.killed"))  # its watchdog may have been first, and still be at it
    (told,) = entries(project, "run.killed")
    assert (told["server"], told["pid"], told["launch"]) == ("cat", pid, project.active()["cat"])


def test_a_secret_is_named_and_its_value_is_nowhere(project: CatProject) -> None:
    project.write(CAT + '\n[servers.cat.env]\nTOKEN = { secret = "env:MY_TOKEN" }\n')
    project.env["MY_TOKEN"] = SECRET
    apply(project)
    assert launch(project, "cat", b"").returncode == 0
    kept = project.real("secret", "set", "acme")
    assert kept.status != 0  # nobody has typed one
    subprocess.run(
        project.command("secret", "set", "acme"),
        input=SECRET,
        text=True,
        env=project.env,
        check=True,
        capture_output=True,
    )
    assert entries(project, "run.start")[0]["secrets"] == {"TOKEN": "env:MY_TOKEN"}
    assert [entry["secret"] for entry in entries(project, "secret.set")] == ["acme"]
    assert SECRET not in audit_path(project.store).read_text()


def test_calls_are_written_down_where_the_project_wants_that(project: CatProject) -> None:
    server = json.dumps(["/usr/bin/python3", str(SERVERS / "echo.py")])
    project.write(
        f'[project]\nname = "trial"\naudit = "calls"\n\n[servers.echo]\ncommand = {server}\nisolation = "best-effort"\n'
        f'[servers.echo.sandbox]\nmounts = [{{ source = "{SERVERS}", target = "{SERVERS}" }}]\nreason = "its code"\n'
    )
    apply(project)
    asked = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": SECRET}},
    }
    done = launch(project, "echo", b"".join(json.dumps(item).encode() + b"\n" for item in (HELLO, asked)))
    assert SECRET.encode() in done.stdout
    (begun,) = entries(project, "run.start")  # it is written while messages pass already, and calls with them
    (called,) = entries(project, "call")
    (ended,) = entries(project, "run.end")
    assert (called["tool"], called["outcome"]) == ("echo", "done")
    assert begun["session"] == called["session"] == ended["session"]
    assert 0 < called["seconds"] < 60
    assert SECRET not in audit_path(project.store).read_text()


def test_logs_show_it(project: CatProject) -> None:
    apply(project)
    project.ok("plan")
    shown = project.ok("logs", "--audit").out.splitlines()
    assert [line.split("  ")[1] for line in shown] == ["lock", "apply.start", "apply.end", "plan"]
    assert all("  trial  by " in line for line in shown)
    document = project.ok("logs", "--audit", "--json", "--since", "1h").document
    assert [entry["event"] for entry in document["entries"]] == ["lock", "apply.start", "apply.end", "plan"]
    assert document["damaged"] == 0
    assert project.ok("logs", "--audit", "--since", "1h", "-n", "2").out.splitlines() == shown[-2:]
    assert project.ok("logs", "--audit", "--project", "other").out == ""
    project.fails("logs", "--audit", "--since", "never", status=64)
    project.fails("logs", "--since", "1h", status=64)


def test_an_edit_of_it_is_told_with_its_place_and_what_was_kept_of_it_is_compared(project: CatProject) -> None:
    apply(project)
    project.ok("plan")
    whole = project.ok("logs", "--audit", "--verify").out
    assert whole.startswith("4 entries, each as it was written behind the one before it\nlast hash: ")
    kept = whole.split()[-1]
    project.ok("plan")
    document = project.ok("logs", "--audit", "--verify", "--expect", kept, "--json").document
    assert (document["entries"], document["breaks"], document["expected"]) == (5, [], True)
    path = audit_path(project.store)
    path.write_bytes(path.read_bytes().replace(b'"outcome":"done"', b'"outcome":"none"'))
    done = project.run("logs", "--audit", "--verify")
    assert done.status == 2
    assert done.out.startswith("audit.ndjson:4 (2")
    document = project.run("logs", "--audit", "--verify", "--json", "--expect", "0" * 64).document
    assert [(item["line"], item["kind"]) for item in document["breaks"]] == [(4, "changed")]
    assert document["expected"] is False
    for words in (["--verify"], ["--audit", "--expect", kept], ["--audit", "--verify", "--expect", "x"]):
        project.fails("logs", *words, status=64)


def test_a_full_disk_ends_no_session(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    project = CatProject(tmp_path, CAT)
    with small_disk(project.store, "4m"):
        apply(project)
        with contextlib.suppress(OSError), (project.store / "filling").open("wb") as file:
            while file.write(bytes(4096)):
                file.flush()
        line = json.dumps(HELLO).encode() + b"\n"
        done = launch(project, "cat", line)
        assert (done.returncode, done.stdout) == (0, line)
