"""Words of the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hatchlock.cli.health_views import noise_words
from hatchlock.cli.help import COMMANDS, overview
from hatchlock.cli.parser import parse
from hatchlock.errors import UsageError


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


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        ("try --runtime proces x", "--runtime: 'proces' is none of process, container", "did you mean 'process'?"),
        ("env lst", "ACTION: 'lst' is none of list, show", "did you mean 'list'?"),
        ("audit --fail-on x", "--fail-on: 'x' is none of error, warning, note, never", "see `hatchlock audit --help`"),
        ("probe --timeout soon time", "--timeout: 'soon' is no number of seconds", "see `hatchlock probe --help`"),
        ("logs time -n x", "-n/--lines: 'x' is no number", "see `hatchlock logs --help`"),
        ("serve time --port 99999", "--port: '99999' is no port", "see `hatchlock serve --help`"),
        ("quarantine time --reason", "--reason: its value is missing", "see `hatchlock quarantine --help`"),
        ("exec time python -V", "a command line stands behind `--`", "hatchlock exec time -- python -V"),
        ("exec time --runtim process", "`hatchlock exec` has no option --runtim", "did you mean --runtime?"),
        ("secret", "ACTION is missing", "see `hatchlock secret --help`"),
        ("status time", "`status` tells of all servers at once: it takes no 'time'", "hatchlock status, or"),
    ],
)
def test_a_wrong_word_is_named_with_what_it_could_be(words: str, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as wrong:
        parse(words.split())
    assert str(wrong.value) == what
    assert wrong.value.hint.startswith(hint)


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_server_and_a_group_at_once_are_said_to_be_too_many(command: str) -> None:
    words = [sys.executable, "-m", "hatchlock", command, "--group", "dev", "time"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert done.stderr.startswith("error: name a server or a group, and not both\n")
