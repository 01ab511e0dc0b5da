"""`add` of what people paste, as they paste it. Nothing of it has to be resolved, so no index is asked."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.project import TrialProject

EMPTY = '[project]\nname = "trial"\nplatforms = ["linux/amd64"]\n'
TOKEN = "abcdefgh12345678"
TRACKER = {
    "command": "npx",
    "args": ["mcp-remote", "https://h.example/mcp", "--header", f"Authorization: Bearer {TOKEN}"],
}
CAT: dict[str, Any] = {"command": "/bin/cat", "args": ["-u"], "env": {"LEVEL": "info"}, "disabled": False}


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    return TrialProject(tmp_path, EMPTY)


def test_several_servers_are_added_at_once_and_no_token_is_anywhere(project: TrialProject) -> None:
    done = project.ok("add", json.dumps({"mcpServers": {"tracker": TRACKER, "cat": CAT}}), "--runtime", "process")
    assert done.out.splitlines()[0] == "hatchlock.toml: + server:tracker, + server:cat"
    assert "next: hatchlock secret set tracker-authorization --project trial" in done.err
    assert "note: server:cat: not carried over: `disabled`" in done.err
    servers = tomllib.loads(project.manifest.read_text())["servers"]
    assert servers["tracker"] == {
        "url": "https://h.example/mcp",
        "headers": {"Authorization": {"secret": "keyring:tracker-authorization", "format": "Bearer {}"}},
    }
    assert servers["cat"] == {"command": "/bin/cat", "args": ["-u"], "runtime": "process", "env": {"LEVEL": "info"}}
    for path in (project.manifest, project.lock):
        assert TOKEN not in path.read_text()
    assert TOKEN not in done.said


def test_what_is_pasted_may_come_from_stdin_and_have_a_name(project: TrialProject) -> None:
    text = json.dumps({"url": "https://h.example/mcp"})
    command = project.command("add", "-", "--name", "mine", "--client", "cursor")
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, env=project.env, cwd=project.directory, check=False
    )
    assert done.returncode == 0, done.stderr
    assert tomllib.loads(project.manifest.read_text())["servers"] == {
        "mine": {"url": "https://h.example/mcp", "clients": ["cursor"]}
    }
    empty = subprocess.run(
        project.command("add", "-"),
        input="\n",
        capture_output=True,
        text=True,
        env=project.env,
        cwd=project.directory,
        check=False,
    )
    assert (empty.returncode, "stdin is empty" in empty.stderr) == (64, True)


def test_a_command_that_adds_to_an_application_adds_here(project: TrialProject) -> None:
    project.ok("add", "--", "claude", "mcp", "add", "-t", "http", "tracker", "https://h.example/mcp")
    project.ok("add", "codex mcp add other --url https://h.example/other")
    assert set(tomllib.loads(project.manifest.read_text())["servers"]) == {"tracker", "other"}


def test_if_one_cannot_be_added_none_is(project: TrialProject) -> None:
    bad = {"command": "npx", "args": ["x", "--token", TOKEN]}
    done = project.run("add", json.dumps({"mcpServers": {"cat": CAT, "bad": bad}}, indent=1))
    assert done.status == 1
    assert "pasted:13: `bad`: argument 2 of the server looks like a secret" in done.err
    assert TOKEN not in done.said
    assert project.manifest.read_text() == EMPTY
    assert not project.lock.exists()


def test_one_name_is_for_one_server(project: TrialProject) -> None:
    done = project.run("add", json.dumps({"mcpServers": {"tracker": TRACKER, "cat": CAT}}), "--name", "x")
    assert done.status == 64
    assert "--name is for one server, and these are 2: tracker, cat" in done.err


def test_where_it_runs_is_nothing_that_a_pasted_address_is_told(project: TrialProject) -> None:
    project.ok("add", "claude mcp add -t http tracker https://h.example/mcp", "--runtime", "process")
    assert tomllib.loads(project.manifest.read_text())["servers"] == {"tracker": {"url": "https://h.example/mcp"}}


@pytest.mark.parametrize("words", [("uvx", "time"), ("npx", "-y", "@x/y"), ("npx -y @x/y",)])
def test_a_command_line_in_the_place_of_a_source_is_told_where_it_stands(
    project: TrialProject, words: tuple[str, ...]
) -> None:
    done = project.run("add", *words)
    assert done.status in {1, 64}
    assert f"hint: hatchlock add -- {' '.join(words)}\n" in done.err


def test_a_script_is_the_one_of_the_directory_where_the_command_was_typed(project: TrialProject) -> None:
    (project.directory / "mine.py").write_text("")
    project.ok("add", "--", "bash", "mine.py")
    found = tomllib.loads(project.manifest.read_text())["servers"]["mine"]
    here = str(project.directory)
    assert (found["args"], found["cwd"]) == (["mine.py"], here)
    assert [mount["source"] for mount in found["sandbox"]["mounts"]] == [here]


def test_a_script_that_is_not_found_is_said(project: TrialProject) -> None:
    done = project.ok("add", "--", "/usr/bin/python3", "nowhere.py")
    assert "note: server:nowhere: nowhere.py is not found from where it starts: write its path in full" in done.err
