"""What is shown while a command works: on a real terminal, and without one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from hatchlock.cli.progress import shortened

# Shows what it is told on stdin, a line of Python each.
PROGRAM = """
import sys
import time
import hatchlock.cli.progress as module
from hatchlock.cli.ui import Ui
from hatchlock.events import Event
module._NOTICED, module._LONG = 0.15, 0.3
with module.Progress(shown=True) as progress:
    ui = Ui(progress=progress)
    for line in sys.stdin:
        exec(line)
"""
CLEAR = "\r\x1b[K"
PATIENCE = 60.0


@dataclass
class Terminal:
    """A program on a terminal: what it showed, and what stands in the last line by now."""

    own: int
    program: subprocess.Popen[str]
    shown: str = ""

    def tell(self, *lines: str) -> None:
        assert self.program.stdin
        for line in lines:
            self.program.stdin.write(f"{line}\n")
        self.program.stdin.flush()

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.own, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.own], [], [], seconds)
        if not ready:
            return False
        try:
            self.shown += os.read(self.own, 1 << 16).decode()
        except OSError:  # the other side is closed
            return False
        return True

    def until(self, pattern: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.line):
            assert time.monotonic() < deadline, f"never {pattern!r}: {self.shown!r}"
            self.read(0.1)
        return self.line

    @property
    def line(self) -> str:
        """The line at the foot, as it stands."""
        return self.shown.rpartition("\n")[2].rpartition(CLEAR)[2]

    def end(self) -> str:
        assert self.program.stdin
        self.program.stdin.close()
        while self.read(PATIENCE):
            pass
        assert self.program.wait(PATIENCE) == 0
        return self.shown.replace("\r\n", "\n")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    own, theirs = pty.openpty()
    fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {**os.environ, "TERM": "xterm"}
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=env, text=True
    )
    os.close(theirs)
    yield Terminal(own, program)
    program.kill()
    program.communicate()
    os.close(own)


def event(name: str, address: str = "", message: str = "", **data: str | int) -> str:
    return f"ui.event(Event(name={name!r}, address={address!r}, message={message!r}, data={data!r}))"


def width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def test_steps_that_take_long_are_shown_and_gone_before_anything_else_is_said(terminal: Terminal) -> None:
    terminal.tell(event("plan.start", create=3), event("step.start", "env:a"), event("step.start", "server:b"))
    terminal.until(r"^  0 of 3 done; env:a \d+ s, server:b \d+ s$")
    terminal.tell(event("step.done", "env:a", "create"))
    terminal.until(r"^  1 of 3 done; server:b \d+ s$")
    terminal.tell(event("step.done", "server:b", "create"))
    shown = terminal.end()
    # each line that stays begins where ours was taken away
    assert f"{CLEAR}  env:a  created\n" in shown
    assert f"{CLEAR}  server:b  created\n" in shown
    assert shown.endswith("created\n")


def test_bytes_are_shown_of_how_many(terminal: Terminal) -> None:
    terminal.tell(event("fetch.start", message="2 files", files=2))
    terminal.until(r"fetching 2 files \d+ s")
    terminal.tell(event("fetch.progress", files=2, bytes=1_500_000, of_bytes=4_000_000))
    terminal.until(r"^  fetching 2 files \(1.5 MB of 4.0 MB\) \d+ s$")
    terminal.tell(event("fetch.done", files=2))
    terminal.until("^$")
    assert terminal.end().endswith(CLEAR)


def test_what_is_quick_is_never_shown_and_the_line_is_not_drawn_for_nothing(terminal: Terminal) -> None:
    quick = [event("step.start", "env:quick"), event("step.done", "env:quick", "create")]
    # quick, however long the machine lets it wait
    terminal.tell("module._NOTICED = 60", *quick, "module._NOTICED = 0.15", event("step.start", "env:slow"))
    terminal.until("env:slow")
    time.sleep(0.5)
    terminal.read(0.1)
    drawn = terminal.shown.split(CLEAR)
    assert all(one != other for one, other in pairwise(drawn)), "it is drawn again when it says something else"
    assert "env:quick 0 s" not in terminal.end()


def test_the_line_fits_a_terminal_that_is_made_narrow_and_wide_again(terminal: Terminal) -> None:
    terminal.tell(event("step.start", f"env:{'x' * 30}"), event("step.start", f"env:{'宽' * 30}"))
    assert width(terminal.until("宽")) == 79
    terminal.resize(40)
    terminal.tell(event("step.start", "env:more"))
    narrow = terminal.until("^.{1,39}$")
    assert width(narrow) <= 39
    assert narrow.endswith("…")
    terminal.resize(200)
    terminal.until(r"env:more \d+ s")
    terminal.resize(3)
    assert width(terminal.until("^.{1,2}$")) <= 2


def test_what_has_no_end_of_its_own_ends_with_the_next_words(terminal: Terminal) -> None:
    terminal.tell(event("verify.start", "image:a", "for linux"))
    terminal.until("checking image:a for linux")
    terminal.tell(event("verify.start", "image:b"))
    assert "image:a" not in terminal.until("checking image:b")
    terminal.tell("ui.say('Delete this? [y/N]')")
    while "Delete this" not in terminal.shown:
        assert terminal.read(PATIENCE)
    time.sleep(0.4)
    terminal.read(0.1)
    assert terminal.line == "", "a question is not drawn over"
    terminal.end()


def test_a_strangers_name_is_no_control_sequence(terminal: Terminal) -> None:
    terminal.tell(event("fetch.start", "oci:a\x1b]0;owned\x07\nb", digest="d"))
    assert terminal.until("owned").isprintable()
    terminal.end()


@pytest.mark.parametrize("variables", [{}, {"TERM": "dumb"}])
def test_without_a_terminal_only_what_takes_very_long_says_so_once(variables: dict[str, str]) -> None:
    words = [
        "module._LONG = 60",  # quick, however long the machine lets it wait
        event("step.start", "env:slow"),
        event("step.start", "env:quick"),
        event("step.done", "env:quick", "create"),
        "module._LONG = 0.3",
    ]
    told = "while not all(item.is_told for item in progress._items.values()): time.sleep(0.01)"
    lines = [*words, told, event("step.done", "env:slow", "create", seconds=9)]
    command = [sys.executable, "-c", PROGRAM]
    if variables:  # a terminal that can do nothing
        own, theirs = pty.openpty()
        program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env={**os.environ, **variables}, text=True
        )
        os.close(theirs)
        said = Terminal(own, program)
        said.tell(*lines)
        text = said.end()
        os.close(own)
    else:
        done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True)
        text = done.stderr
    lines = text.splitlines()
    assert (lines[0], lines[2:]) == ("  env:quick  created", ["  env:slow  created (9.0 s)"])
    assert re.fullmatch(r"  env:slow \d+ s, and goes on", lines[1])


@pytest.mark.parametrize(
    ("line", "columns", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("宽宽", 4, "宽宽"),
        ("宽宽", 3, "宽…"),
        ("a宽宽", 4, "a宽…"),
        ("宽宽", 2, "…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
        ("", 0, ""),
    ],
)
def test_a_line_is_cut_by_the_columns_that_it_takes(line: str, columns: int, shown: str) -> None:
    assert shortened(line, columns) == shown
