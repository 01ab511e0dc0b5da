"""Variables in the texts of compose files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.migrate.interpolation import Filled, filled

KNOWN = {"A": "x", "EMPTY": "", "HOST": "db"}


@pytest.mark.parametrize(
    ("text", "value", "names", "missing", "defaults"),
    [
        ("plain", "plain", (), (), ()),
        ("$A-${A}", "x-x", ("A", "A"), (), ()),
        ("$$A $${A}", "$A ${A}", (), (), ()),
        ("${B}", "", ("B",), ("B",), ()),
        ("a$B.c", "a.c", ("B",), ("B",), ()),
        ("${B:-y}", "y", ("B",), (), ("B",)),
        ("${A:-y}", "x", ("A",), (), ()),
        ("${EMPTY:-y}", "y", ("EMPTY",), (), ("EMPTY",)),
        ("${EMPTY-y}", "", ("EMPTY",), (), ()),
        ("${B-}", "", ("B",), (), ("B",)),
        ("${B:?say it}", "", ("B",), ("B",), ()),
        ("${A:?say it}", "x", ("A",), (), ()),
        ("${A:+on}${B:+on}", "on", ("A", "B"), (), ()),
        ("${B:-${C:-z}}", "z", ("B",), (), ("B", "C")),
        ("${B:-${C}}", "", ("B",), ("C",), ("B",)),
        ("${A:-${C}}", "x", ("A",), (), ()),
        ("http://${HOST}:${PORT:-80}/{x}", "http://db:80/{x}", ("HOST", "PORT"), (), ("PORT",)),
        ("$1 ${1} ${A/x/y} $", "$1 ${1} ${A/x/y} $", (), (), ()),
        ("${A:-" * 5000 + "}" * 5000, "x" + "}" * 4950, ("A",), (), ()),
    ],
)
def test_a_text_is_filled(
    text: str, value: str, names: tuple[str, ...], missing: tuple[str, ...], defaults: tuple[str, ...]
) -> None:
    found = filled(text, KNOWN)
    assert (found.value, found.names, found.missing, found.defaults) == (value, names, missing, defaults)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("${B}", ()),
        ("${B:?say it}${C?}", ("B", "C")),
        ("${A:?say it}", ()),
        ("${EMPTY:?say it}", ("EMPTY",)),
        ("${EMPTY?say it}", ()),
        ("${B:-${C:?say it}}", ("C",)),
        ("${A:-${C:?say it}}", ()),
    ],
)
def test_what_nothing_starts_without_is_known(text: str, needed: tuple[str, ...]) -> None:
    assert filled(text, KNOWN).needed == needed


@pytest.mark.parametrize(
    ("text", "around"),
    [
        ("Bearer ${B}!", ("Bearer ", "!")),
        ("${B:-${C}}", ("", "")),
        ("$A$B", ("", "")),
        ("x${B:-{}}y", ("x", "}y")),
    ],
)
def test_what_stands_around_the_only_variable_is_told(text: str, around: tuple[str, str]) -> None:
    assert filled(text, KNOWN).around == around


@given(st.text(alphabet="${}:-?+AB x", max_size=30))
def test_any_text_is_read_to_its_end(text: str) -> None:
    assert isinstance(filled(text, KNOWN), Filled)


@given(st.text(max_size=40).filter(lambda text: "$" not in text))
def test_a_text_without_variables_is_itself(text: str) -> None:
    assert filled(text, KNOWN) == Filled(value=text)
