"""What `tools = { allow, deny }` does where people look: plan, status, and `probe` with and without a call."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.project import TrialProject
from support.runs import SERVERS
from support.unavailable import need_isolation

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64"]

[servers.shelf]
command = ["/usr/bin/python3", "/server/shelf.py", "/server/shelf.json"]
tools = { allow = ["get_*", "nope", "put_noet"], deny = ["get_key", "get_kye", "delete_*"] }

[servers.shelf.sandbox]
mounts = [{ source = "./server", target = "/server" }]
reason = "its code"
"""
NAMES = ("get_time", "get_key", "put_note")


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    project = TrialProject(tmp_path, MANIFEST)
    server = project.directory / "server"
    server.mkdir(mode=0o755)
    shutil.copy(SERVERS / "shelf.py", server)
    tools = [{"name": name, "description": f"About {name}."} for name in NAMES]
    (server / "shelf.json").write_text(json.dumps({"pages": [json.dumps(tools)]}))
    project.ok("lock")
    return project


def test_a_rule_that_matches_no_pinned_tool_is_a_note_of_plan_and_status(project: TrialProject) -> None:
    probed = project.ok("apply", "--yes").err
    assert "note: server:shelf: tools.allow: 'put_noet' matches no tool; did you mean 'put_note'?\n" in probed
    assert "matches no" not in project.ok("plan").out, "nobody knows for good"
    project.ok("pin")
    applied = project.ok("apply", "--yes").err
    told = [
        "tools.allow: 'nope' matches no pinned tool; `hatchlock probe shelf` lists its tools",
        "tools.allow: 'put_noet' matches no pinned tool; did you mean 'put_note'?",
        "tools.deny: 'get_kye' matches no pinned tool; did you mean 'get_key'?",
    ]
    shown = project.ok("plan").out, project.ok("status").out
    for what in told:
        assert applied.count(f"note: server:shelf: {what}\n") == 1
        assert all(text.count(f"! server:shelf  {what}") == 1 for text in shown)
    assert applied.count("matches no") == 3
    assert not any("delete_" in text for text in (*shown, applied)), "what is denied may still come"
    project.edit(
        'allow = ["get_*", "nope", "put_noet"], deny = ["get_key", "get_kye", "delete_*"]', 'deny = ["get_key"]'
    )
    assert "matches no" not in project.ok("plan").out


def test_probe_says_what_clients_are_not_offered_and_calls_nothing_of_it(project: TrialProject) -> None:
    project.ok("apply", "--yes", "--no-probe")
    lines = project.ok("probe", "shelf").out.splitlines()
    assert "  get_time: About get_time." in lines
    assert "  get_key (not offered: tools.deny): About get_key." in lines
    assert "  put_note (not offered: tools.allow): About put_note." in lines
    assert "rules     tools.allow: 'nope' matches no tool" in lines
    found = project.ok("probe", "shelf", "--json").document
    assert found["withheld"] == {"get_key": "deny", "put_note": "allow"}
    assert {"rule": "deny", "pattern": "get_kye"} in found["unmatched"]

    before = project.ok("status", "--json").document["servers"][0]["counts"]["sessions"]
    denied = project.fails("probe", "shelf", "--call", "get_key", status=3)
    assert "server:shelf: a tool 'get_key' is offered to nobody: tools.deny\n" in denied.err
    assert "hint: it is in the manifest's tools.deny; a change there counts after `hatchlock apply`" in denied.err
    assert "tools.allow" in project.fails("probe", "shelf", "--call", "put_note", status=3).err
    refused = project.run("probe", "shelf", "--call", "put_note", "--json")
    assert (refused.status, refused.document["error"]["code"]) == (3, "withheld-tool")
    after = project.ok("status", "--json").document["servers"][0]["counts"]["sessions"]
    assert after == before, "it was not even started"
    project.ok("pin")
    project.ok("apply", "--yes", "--no-probe")
    assert "did you mean 'get_time'?" in project.fails("probe", "shelf", "--call", "gettime", status=3).err


def test_the_manifest_may_have_a_tool_called_that_no_client_is_offered(project: TrialProject) -> None:
    project.edit("[servers.shelf.sandbox]", '[servers.shelf.probe]\ncall = "put_note"\n\n[servers.shelf.sandbox]')
    said = project.run("apply", "--yes")
    assert "its tool put_note fails" in said.err, "it was called, and has no code"
    assert "hint: see `hatchlock logs shelf`\n" in said.err, "and nobody can call it by hand"
