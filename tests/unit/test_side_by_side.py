"""Two versions of a stranger's text beside each other."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.cli.layout import printable
from hatchlock.cli.side_by_side import side_by_side

LINES = st.lists(st.text("ab \u202e\x1b[", max_size=8), max_size=12).map("\n".join)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def test_what_differs_stands_on_both_sides_and_what_is_far_from_it_does_not() -> None:
    before = "a\nb\nc\nd\ne\nold\nf"
    after = before.replace("old", "new \u202e") + "\nmore"
    assert side_by_side(before, after, indent="").splitlines() == [
        "  …                          |   …",
        "  c                          |   c",
        "  d                          |   d",
        "  e                          |   e",
        "- old                        | + new \\u202e",
        "  f                          |   f",
        "                             | + more",
    ]


def test_a_long_line_goes_on_below() -> None:
    shown = side_by_side("x" * 30, "y" * 30, indent="").splitlines()
    assert shown == [f"- {'x' * 26} | + {'y' * 26}", f"- {'x' * 4}{' ' * 22} | + {'y' * 4}"]


def test_a_text_alone_is_shown_whole() -> None:
    assert side_by_side("", "a\nb") == "    + a\n    + b"
    assert side_by_side("a\n", "") == "    - a\n    -"


@given(LINES, LINES)
def test_nothing_that_differs_is_left_out_and_nothing_moves_the_cursor(before: str, after: str) -> None:
    shown = side_by_side(before, after)
    assert all(line.isprintable() for line in shown.split("\n"))
    old, new = set(before.split("\n")), set(after.split("\n"))
    for line in old ^ new:
        assert printable(line).strip()[:20] in shown


def test_very_long_texts_take_no_time_and_hide_nothing() -> None:
    same = ["0,"] * 5000
    before, after = "\n".join(["a", "b", *same, "c", "d"]), "\n".join(["a", "x", "y", *same, "c", "d"])
    began = time.process_time()
    shown = side_by_side(before, after, indent="").splitlines()
    assert time.process_time() - began < 2  # some 7 s otherwise
    assert shown[0].split() == ["a", "|", "a"]
    assert ["-", "b", "|", "+", "x"] in [line.split() for line in shown]
    assert len(shown) < 10


@pytest.mark.parametrize("size", [0, 3, 2000])
@pytest.mark.parametrize(("old", "new"), [(["p"], ["q", "r"]), ([], ["q"]), (["p"], [])])
def test_what_long_texts_begin_and_end_with_is_the_same(old: list[str], new: list[str], size: int) -> None:
    start, end = (["s"] * size, ["e"] * size)
    shown = side_by_side("\n".join([*start, *old, *end]), "\n".join([*start, *new, *end]), indent="").splitlines()
    marked = [line for line in shown if line.startswith("-") or "| +" in line]
    assert size == 0 or len(marked) == max(len(old), len(new))
    assert len(shown) <= 9
