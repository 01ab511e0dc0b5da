"""A file of an application that is broken, gone or read-only: what `client` and `destroy` say of it, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cats import CatProject, apply

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = ["cursor", "codex"]

[servers.cat]
command = ["/bin/cat"]
"""


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    made = CatProject(tmp_path, MANIFEST)
    cursor(made).parent.mkdir()
    cursor(made).write_text('{"mcpServers": {"gh": {"command": "npx", "args": ["-y", "@acme/gh"]}}}\n')
    apply(made)
    return made


def cursor(project: CatProject) -> Path:
    return project.user_home / ".cursor" / "mcp.json"


def halve(path: Path) -> str:
    """Leave a file as somebody does who saves it half-way, and return what was in it."""
    whole = path.read_text()
    path.write_text(whole.rstrip().removesuffix("}"))
    return whole


def test_a_broken_file_is_said_with_its_line_whatever_is_asked_of_it(project: CatProject) -> None:
    halve(cursor(project))
    for words in (
        ("list",),
        ("list", "--server", "cat"),
        ("list", "--by", "server"),
        ("show", "cursor"),
        ("show", "cursor", "cat"),
        ("diff",),
        ("restore", "cursor", "--yes"),
        ("restore", "cursor", "cat", "--yes"),
        ("restore", "cursor", "--dry-run"),
    ):
        done = project.fails("client", *words)
        assert f"{cursor(project)}:1:" in done.out + done.err, done.said
        assert "hint: mend the file by hand" in done.err, done.said
    assert "lists no server" in project.fails("client", "show", "codex", "dog").err


def test_restore_does_what_it_can_and_says_the_rest(project: CatProject) -> None:
    project.edit('"codex"]', '"codex"]\n[clients.cursor]\nscope = "project"')
    apply(project)
    theirs = project.directory / ".cursor" / "mcp.json"
    halve(cursor(project))
    cursor(project).write_text(cursor(project).read_text() + '"hatchlock trial"')
    done = project.run("client", "restore", "cursor", "--yes", "--json")
    assert (done.status, done.document["done"]) == (1, ["client:cursor/cat"])
    assert [item["address"] for item in done.document["problems"]] == ["client:cursor@user"]
    assert not theirs.exists()


def test_nothing_is_restored_into_a_file_that_is_gone(project: CatProject) -> None:
    cursor(project).unlink()
    done = project.fails("client", "restore", "cursor", "--yes")
    assert f"{cursor(project)}, which it was written into, is gone" in done.err
    assert "this project" in project.fails("client", "restore", "zed", "cat", "--yes").err
    assert json.loads(project.run("client", "restore", "zed", "--json").out)["error"]["code"] == "nothing-to-restore"
