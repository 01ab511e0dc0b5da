"""What `probe` and `status` say of servers: everything that they offer, who uses them, what has happened. Real sessions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from hatchlock.cli.main import main
from hatchlock.paths import Home
from hatchlock.state.counts import Counts, add_counts, counts_path
from hatchlock.state.denials import Refusal, denials_path, remember_denial
from hatchlock.usecases.launcher import write_launcher
from support.cats import CAT, CATS, CatProject
from support.cats import apply as apply_project
from support.runs import HELLO, Run, apply_records, python_record, wait_for
from support.terminal import at_terminal
from support.unavailable import need_isolation

EVIL = "Does\u202e it.\x1b[2J\nSecond line"


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


def result(value: Any) -> str:
    return '{"jsonrpc":"2.0","id":<id>,"result":' + json.dumps(value) + "}"


def serve(home: Path, directory: Path, *servers: str, **replies: Any) -> None:
    """Apply servers that say these words, without a manifest."""
    capabilities: dict[str, object] = {"tools": {}, "prompts": {}, "resources": {}}
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": capabilities,
        "serverInfo": {"name": "says", "version": "2"},
        "instructions": "Be kind.\nAlways\u2066.",
    }
    tool = '{"jsonrpc":"2.0","id":<id>,"result":{"tools":[{"name":"act","description":%s},{"name":"twice","name":"twice"}]}}'
    words = {
        "initialize": [result(hello)],
        "tools/list": [tool % json.dumps(EVIL)],
        "prompts/list": [result({"prompts": [{"name": "ask"}]})],
        "resources/list": [result({"resources": [{"name": "file", "uri": "file:///x"}]})],
        **{name.replace("_", "/"): value for name, value in replies.items()},
    }
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    (directory / "replies.json").write_text(json.dumps(words))
    home.mkdir(mode=0o700, exist_ok=True)
    records = [python_record(str(directory / "replies.json"), script="scripted.py", server=name) for name in servers]
    shown = [(*record.read_only_paths, str(directory)) for record in records]
    from dataclasses import replace

    apply_records(home, [replace(record, read_only_paths=paths) for record, paths in zip(records, shown, strict=True)])
    write_launcher(Home(root=home, is_default=False))


def command(home: Path, *words: str, status: int = 0) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = main(["--home", str(home), "--project", "trial", "-C", str(home), *words])
    assert found == status, out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


def test_probe_shows_everything_and_nothing_harmful(tmp_path: Path) -> None:
    home = tmp_path / "home"
    serve(home, tmp_path / "srv", "one", first=["noise on stdout", "more of it"])
    lines = command(home, "probe", "one")[0].splitlines()
    assert lines[0] == "server    says 2"
    assert lines[1] == "protocol  2025-06-18"
    assert lines[2].startswith("tools     2, answered in ")
    assert lines[3:] == [
        "  act: Does\\u202e it.\\u001b[2J",
        "  twice (no hash: a member name is repeated)",
        "prompts   1",
        "  ask",
        "resources 1",
        "  file file:///x",
        "instructions",
        "  Be kind.",
        "  Always\\u2066.",
        "noise     2 lines on stdout that are no messages: see its log",
    ]


def test_probe_prints_one_document_of_one_server_and_one_of_several(tmp_path: Path) -> None:
    home = tmp_path / "home"
    serve(home, tmp_path / "srv", "one", "two")
    document = json.loads(command(home, "probe", "one", "--json")[0])
    assert document["tools"][0] == {"name": "act", "description": EVIL}
    assert document["instructions"] == "Be kind.\nAlways\u2066."
    hashes = document["hashes"]["tools"]
    assert [len(item["sha256"]) for item in hashes] == [64, 0]
    assert (document["called"], document["failed"], document["skipped"], document["error"]) == ("", False, False, None)
    serve(home, tmp_path / "ill", "two", initialize=["!exit 3"])
    several = json.loads(command(home, "probe", "--json", status=1)[0])["probes"]
    assert [(item["name"], item["error"] and item["error"]["code"]) for item in several] == [
        ("one", None),
        ("two", "probe-failed"),
    ]


def test_a_tool_is_called_and_its_failure_is_a_status(tmp_path: Path) -> None:
    home = tmp_path / "home"
    fine, bad = ({"content": [{"type": "text", "text": text}], "isError": text == "no"} for text in ("yes\x07", "no"))
    serve(home, tmp_path / "srv", "one", tools_call=[result(fine)])
    assert command(home, "probe", "one", "--call", "act", "--args", '{"a": 1}')[0].splitlines()[-1] == (
        "called    yes\\u0007"
    )
    serve(home, tmp_path / "srv", "one", tools_call=[result(bad)])
    assert command(home, "probe", "one", "--call", "act", status=1)[0].splitlines()[-1] == "failed    no"
    health = json.loads((home / "projects" / "trial" / "probes" / "one.json").read_text())["health"]
    assert health == "healthy", "it answers; what the tool was given may have been wrong"
    for words, said in (
        (["one", "--call", "act", "--args", "{a"], "--args is no JSON: "),
        (["one", "--call", "act", "--args", "[1]"], "--args is no JSON object"),
        (["one", "--args", "{}"], "--args is for a tool, and none is named"),
        (["--call", "act"], "--call is about one server"),
    ):
        assert said in command(home, "probe", *words, status=64)[1]


def test_a_tool_that_it_has_not_is_said_to_be_none_with_the_one_that_is_meant(tmp_path: Path) -> None:
    home = tmp_path / "home"
    unknown = {"content": [{"type": "text", "text": "Unknown tool"}], "isError": True}
    serve(home, tmp_path / "srv", "one", tools_call=[result(unknown)])
    out, err = command(home, "probe", "one", "--call", "atc", status=1)
    assert out.splitlines()[-1] == "failed    Unknown tool"
    assert err == "server:one: it has no tool 'atc'\n\nhint: did you mean 'act'?\n"
    found = json.loads(command(home, "probe", "one", "--call", "nope", "--json", status=1)[0])["error"]
    assert (found["code"], found["hint"]) == ("no-such-tool", "`hatchlock probe one` lists its tools")


def test_apply_probes_as_the_manifest_says(tmp_path: Path) -> None:
    """`cat` answers nothing: where it is not to be probed nothing fails, and a timeout of its own is its own."""
    project = CatProject(tmp_path, CAT + "probe = false\n")
    project.ok("lock")
    assert "server:cat  answered" not in project.ok("apply", "--yes").err
    project.edit("probe = false", 'probe = { timeout = 0.01, call = "act" }')
    project.edit('"-u"', '"-u", "-v"')
    project.ok("lock")
    said = project.fails("apply", "--yes").err
    assert "it does not answer as an MCP server: no answer within 0.01 s" in said


def test_status_says_who_uses_a_server_and_what_has_happened(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CATS)
    apply_project(project)
    root, active = project.store / "projects" / "trial", project.active()
    more = Counts(sessions=4, abnormal=2, killed=1, noise=3, unauthorized=5, status=7, ended="2026-11-28T00:00:00Z")
    add_counts(counts_path(root, "cat"), active["cat"], more)
    for kind, what in (("network", "a.test:443"), ("network", "b.test:443"), ("memory", "512m"), ("write", "/data")):
        refusal = Refusal(kind=kind, what=what, at="", when="2026-11-28T00:00:00Z")
        remember_denial(denials_path(root, "cat"), active["cat"], refusal)
    with Run(command=project.launch_command("cat"), env=project.env) as run:
        assert wait_for(lambda: any((root / "sessions").glob("*.json")))
        found = {item["name"]: item for item in project.ok("status", "--json").document["servers"]}
        (session,) = found["cat"]["sessions"]
        file = next((root / "sessions").glob("*.json"))
        left = file.read_bytes()
        assert (session["pid"], session["application_pid"]) == (run.process.pid, os.getpid())
        assert (session["generation"], session["is_current"]) == (1, True)
        assert session["since"].endswith("Z")
        denied = {"destinations": 2, "limits": 1, "writes": 1, "others": 0, "authentication": 5}
        assert found["cat"]["denied"] == denied
        assert found["cat"]["counts"]["noise"] == 3
        assert (found["two"]["sessions"], found["two"]["quarantine"]) == ([], None)
        text = project.ok("status").out
        assert f"IN USE BY\ncat  {session['application']} (process {os.getpid()}) since {session['since']}\n" in text
        assert (
            "SINCE IT WAS APPLIED\ncat  4 sessions ended, 2 of them failed, 1 of them killed, 3 lines on stdout that are no"
            " messages, 2 destinations denied, 1 limit hit, 1 write refused, 5 failed authentication\n"
        ) in text
        assert "the last session ended with status 7" in project.ok("status", "-v").out
        project.edit('"-u"', '"-u", "-v"')
        apply_project(project)
        (session,) = project.ok("status", "--json").document["servers"][0]["sessions"]
        assert (session["generation"], session["is_current"]) == (1, False)
        text = project.ok("status").out
        assert f"AS IT WAS BEFORE\ncat: {session['application']} (process {os.getpid()}) since " in text
        assert ", as generation 1 started it" in text
        assert text.count(f"(process {os.getpid()})") == 1, "one session is told of in one place"
    assert wait_for(lambda: not file.exists()), "its watchdog has removed it"
    file.write_bytes(left)  # as a power cut leaves it
    assert project.ok("status", "--json").document["servers"][0]["sessions"] == []


def test_a_quarantine_is_in_plan_and_status_and_apply_starts_nothing(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CATS)
    apply_project(project)
    with Run(command=project.launch_command("cat"), env=project.env) as run:
        run.write(HELLO)
        # before, `run` may just look whether bubblewrap works: no watchdog ends that, and quarantine after ten seconds
        assert run.line()
        project.ok("quarantine", "cat", "--reason", "it purrs")
        assert run.wait() == -signal.SIGKILL
    assert "! server:cat  it is in quarantine since " in project.ok("plan").out + project.ok("plan").err
    status = project.ok("status", "--json").document["servers"][0]
    assert (status["quarantine"]["reason"], status["detail"][:20]) == ("it purrs", "in quarantine since ")
    assert (status["sync"], status["health"]) == ("synced", "failed"), "nobody can start it"
    assert status["said"] == f"it cannot start: it is {status['detail']}"
    project.edit('["/bin/cat", "-u"]', '["/bin/cat", "-v"]')
    project.ok("lock")
    said = project.ok("apply", "--yes").err
    assert "server:cat  not probed: cat is in quarantine" in said
    project.ok("destroy", "--yes", "--allow-destructive")
    apply_project(project)
    assert "in quarantine" in project.ok("status").out, "destroy is no release"
    project.ok("quarantine", "--release", "cat")
    assert "in quarantine" not in project.ok("status").out


@pytest.mark.parametrize("words", [("probe", "cat"), ("apply", "--yes")], ids=" ".join)
def test_whoever_waits_for_a_server_sees_that(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One that does not answer has half a minute by default."""
    silent = '[servers.cat]\ncommand = ["/bin/sleep", "100"]\nstartup-timeout = 2\n'
    project = CatProject(tmp_path, f"{CAT.partition('[servers')[0]}{silent}")
    project.ok("lock")
    if words[0] == "probe":
        apply_project(project)
    seen = at_terminal(project.command(*words), [], cwd=project.directory, env={**project.env, "CI": ""})
    assert "asking server:cat 1 s" in seen.shown
    assert "no answer within 2 s" in seen.shown
