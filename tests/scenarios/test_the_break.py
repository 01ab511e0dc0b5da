"""A server that pins itself and nothing else breaks by itself; one whose whole closure is locked does not."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

from support.project import TrialProject
from support.source_tree import ROOT

pytestmark = pytest.mark.network

LINE = 'exclude-newer = "2026-07-20"'


def _mcp(project: TrialProject) -> str:
    lock = tomllib.loads(project.lock.read_text())
    (version,) = (package["version"] for package in lock["package"] if package["name"] == "mcp")
    return str(version)


def _apply(project: TrialProject) -> tuple[int, str]:
    # `TrialProject.run` takes a traceback for one of our own; this is the server's, quoted
    command = project.command("apply", "--yes")
    done = subprocess.run(
        command, cwd=project.directory, env=project.env, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_pinned_server_breaks_with_what_came_later_and_works_with_what_was_there(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "pinned-only-itself" / "hatchlock.toml").read_text()
    project = TrialProject(tmp_path, text, name="pinned-only-itself")
    project.ok("lock")
    assert _mcp(project) == "1.28.1"
    project.ok("apply", "--yes")
    assert sorted(project.tools("time")) == ["convert_time", "get_current_time"]

    # the lock remembers what was there, also when nobody says the date any more
    project.edit(LINE, "")
    project.ok("lock")
    assert _mcp(project) == "1.28.1"
    project.ok("apply", "--yes")

    project.ok("lock", "--upgrade")
    assert int(_mcp(project).partition(".")[0]) > 1
    status, said = _apply(project)
    assert status == 1
    assert "cannot import name 'McpError'" in said

    project.edit("[servers.time]", f"{LINE}\n[servers.time]")
    project.ok("lock")
    assert _mcp(project) == "1.28.1"
    project.ok("apply", "--yes")
    assert project.tools("time")
