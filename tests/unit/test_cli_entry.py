"""The command line of applications' entries, which is served by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.cli.entry import Entry, entry_of

LOADED = """
import json, sys
from hatchlock.cli.main import main
status = main(["run", "--home", sys.argv[1], "--project", "trial", "echo"])
print(json.dumps([status, sorted(sys.modules)]))
"""


def test_what_apply_writes_is_known() -> None:
    assert entry_of(["run", "--project", "p", "s"]) == Entry(home=None, project="p", server="s")
    assert entry_of(["run", "--home", "/h", "--project", "p", "s"]) == Entry(home="/h", project="p", server="s")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "s"],
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


def test_nothing_that_parses_is_loaded_and_errors_are_sentences(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    done = subprocess.run([sys.executable, "-c", LOADED, str(home)], capture_output=True, text=True, check=True)
    status, loaded = json.loads(done.stdout)
    assert status == 1
    assert "has nothing applied for the project 'trial'" in done.stderr
    assert "\nhint: " in done.stderr
    assert {"argparse", "hatchlock.cli.parser", "hatchlock.cli.commands"}.isdisjoint(loaded)
