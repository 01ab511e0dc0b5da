"""`docs/security.md` has a row for every point of both pages, each with a command that there is and the checks that answer it."""

from __future__ import annotations

import re
import shlex

import pytest

from hatchlock.cli.help import COMMANDS
from hatchlock.cli.parser import parse
from hatchlock.security.audit.catalogue import CHECKS
from hatchlock.security.audit.points import CHECKLIST, POINTS
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = {
    cells[0]: cells
    for line in PAGE.splitlines()
    if re.match(r"\| [CFH]\d+ \|", line)
    for cells in [[cell.strip() for cell in line.strip("| ").split(" | ")]]
}
_COMMAND = re.compile(r"`hatchlock ([^`]+)`")
_CHECK = re.compile(r"`([a-z-]+)`")


def test_the_points_are_all_of_both_pages() -> None:
    numbers = {"C": 8, "F": 22, "H": 33}
    assert list(POINTS) == [f"{page}{number}" for page, most in numbers.items() for number in range(1, most + 1)]
    assert len(CHECKLIST) == 8


def test_every_point_has_one_row_and_every_row_a_point() -> None:
    assert list(ROWS) == list(POINTS)
    assert len(re.findall(r"^\| [CFH]\d+ \|", PAGE, re.MULTILINE)) == len(POINTS)


@pytest.mark.parametrize("point", POINTS)
def test_a_row_says_something_in_every_column(point: str) -> None:
    cells = ROWS[point]
    assert len(cells) == 4
    assert all(len(cell) >= len("limits") for cell in cells[1:]), cells
    assert len(cells[2]) > 40


@pytest.mark.parametrize("point", POINTS)
def test_the_commands_of_a_row_exist_with_their_options(point: str) -> None:
    commands = [shlex.split(text) for text in _COMMAND.findall(ROWS[point][3])]
    assert commands
    for words in commands:
        assert words[0] in {name for group in COMMANDS.values() for name in group}
        own = words[: words.index("--")] if "--" in words else words
        assert parse(own).command == words[0]


@pytest.mark.parametrize("point", POINTS)
def test_a_row_names_the_checks_that_answer_its_point(point: str) -> None:
    shown = ROWS[point][3]
    bracketed = re.search(r"`hatchlock audit[^`]*` \(([^)]*)\)", shown)
    named = _CHECK.findall(bracketed[1]) if bracketed else []
    assert sorted(named) == sorted(check.id for check in CHECKS if point in check.points)


def test_what_is_not_done_yet_is_said_where_no_check_can_say_it_holds() -> None:
    never = {"scanned"}
    for check in CHECKS:
        if check.id in never:
            assert all("not yet" in ROWS[point][2].lower() for point in check.points)
