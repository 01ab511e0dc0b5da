"""Words of the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hatchlock.cli.health_views import noise_words
from hatchlock.cli.help import COMMANDS, overview


def test_no_column_runs_into_the_next_one() -> None:
    lines = overview().splitlines()
    for commands in COMMANDS.values():
        for name, (what, example) in commands.items():
            (line,) = [line for line in lines if line.split()[:1] == [name] and line.endswith(example)]
            assert f"  {name}  " in f"{line}"
            assert f"{what}  " in line


def test_one_line_is_one_line() -> None:
    assert noise_words(1) == "1 line on stdout that is no message"
    assert noise_words(2) == "2 lines on stdout that are no messages"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["plan", "--help"], ["schema"]], ids=" ".join)
def test_a_reader_that_has_gone_is_no_traceback(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "hatchlock", *words], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in {0, 1}  # argparse itself does not mind
