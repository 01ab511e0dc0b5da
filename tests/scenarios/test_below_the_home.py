"""Paths below the home of whoever runs the command: one lock for all who have the same files there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.project import TrialProject
from support.unavailable import need_isolation

MANIFEST = """
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"]

[defaults]
runtime = "process"

[servers.echo]
source = "path:~/tools/echo#as=files"
command = "echo.sh"

[servers.own]
command = "~/tools/echo/echo.sh"
"""


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


def person(root: Path, name: str) -> TrialProject:
    project = TrialProject(root / name, MANIFEST)
    tool = project.user_home / "tools" / "echo"
    tool.mkdir(parents=True)
    (tool / "echo.sh").write_text("#!/bin/sh\nexec cat\n")
    (tool / "echo.sh").chmod(0o755)
    return project


def test_two_people_have_one_lock_and_each_runs_what_is_in_their_own_home(tmp_path: Path) -> None:
    ann, bob = person(tmp_path, "ann"), person(tmp_path, "bob")
    ann.ok("lock")
    text = ann.lock.read_text()
    assert 'location = "~/tools/echo"' in text
    assert str(tmp_path) not in text
    shutil.copy(ann.lock, bob.lock)
    bob.ok("lock", "--check")
    assert f"not pinned: {bob.user_home}/tools/echo/echo.sh is a program" in bob.ok("plan").out
    bob.ok("apply", "--yes", "--no-probe")
    assert "Nothing to do" in bob.ok("plan").out
    (bob.user_home / "tools/echo/echo.sh").write_text("#!/bin/sh\nexit 0\n")
    assert "path:echo: ~/tools/echo changed since it was locked" in bob.fails("plan").err
    bob.ok("lock")
    assert bob.lock.read_text() != text
    ann.ok("lock", "--check")
