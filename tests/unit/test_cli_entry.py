"""The command lines of applications' entries, which are served by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.cli.entry import Entry, entry_of

LOADED = """
import json, sys
from hatchlock.cli.main import main
status = main(["run", *sys.argv[1:], "echo"])
print(json.dumps([status, sorted(sys.modules)]))
"""


def test_what_apply_writes_is_known() -> None:
    assert entry_of(["run", "--project", "p", "s"]) == Entry(home=None, project="p", server="s")
    assert entry_of(["run", "--home", "/h", "--project", "p", "s"]) == Entry(home="/h", project="p", server="s")
    assert entry_of(["run", "s"]) == Entry(home=None, project=None, server="s")


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "--help"],
        ["run", "s", "--dev"],
        ["run", "--project", "p", "--dev"],
        ["run", "--project", "--dev", "s"],
        ["run", "--home", "-v", "--project", "p", "s"],
        ["run", "--project", "p", "s", "--dev"],
        ["probe", "--project", "p", "s"],
        ["run", "--project", "p"],
    ],
)
def test_every_other_command_line_is_parsed(words: list[str]) -> None:
    assert entry_of(words) is None


@pytest.mark.parametrize("where", ["named", "here"])
def test_nothing_that_parses_is_loaded_and_errors_are_sentences(tmp_path: Path, where: str) -> None:
    home, below = tmp_path / "home", tmp_path / "project" / "below"
    home.mkdir(mode=0o700)
    below.mkdir(parents=True)
    (below.parent / "hatchlock.toml").write_text('[project]\nname = "trial"\n')
    words = ["--home", str(home), "--project", "trial"] if where == "named" else []
    command = [sys.executable, "-c", LOADED, *words]
    environ = {**os.environ, "HATCHLOCK_HOME": str(home)}
    done = subprocess.run(command, cwd=below, env=environ, capture_output=True, text=True, check=True)
    status, loaded = json.loads(done.stdout)
    assert status == 1
    assert f"the store {home} has nothing applied for the project 'trial'" in done.stderr
    assert "\nhint: " in done.stderr
    assert {"argparse", "hatchlock.cli.parser", "hatchlock.cli.commands"}.isdisjoint(loaded)


def test_where_there_is_no_manifest_a_project_has_to_be_named(tmp_path: Path) -> None:
    home, gone = tmp_path / "home", tmp_path / "gone"
    home.mkdir(mode=0o700)
    gone.mkdir()
    environ = {**os.environ, "HATCHLOCK_HOME": str(home)}
    command = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", sys.executable, "-c", LOADED]
    done = subprocess.run(command, cwd=gone, env=environ, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0] == 64
    assert "there is no hatchlock.toml in / or above it" in done.stderr
    assert "name it with --project" in done.stderr
