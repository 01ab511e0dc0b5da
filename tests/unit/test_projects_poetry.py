"""Poetry's words for versions mean in the lock what they mean to poetry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from hatchlock.sources.projects.poetry import poetry_specifier, python_marker


@pytest.mark.parametrize(
    ("constraint", "yes", "no"),
    [
        ("^1.2.3", "1.2.3 1.9", "1.2.2 2.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1"),
        ("^0", "0.9", "1.0"),
        ("^1", "1.0 1.99", "2.0 0.9"),
        ("^2.0.0rc1", "2.0.0 2.5", "3.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.3"),
        ("~1.2", "1.2 1.2.9", "1.3"),
        ("~1", "1.9", "2.0"),
        ("1.2.*", "1.2 1.2.5", "1.3"),
        ("1.x", "1.9", "2.0"),
        ("*", "0.1 99", ""),
        ("", "1", ""),
        ("1.2.3", "1.2.3", "1.2.4"),
        ("=1.2.3", "1.2.3", "1.2.4"),
        ("v1.2", "1.2", "1.3"),
        (">=1.2,<2", "1.5", "2.0"),
        (">=1.2 <2", "1.5", "2.0 1.1"),
        (">= 1.2, < 2.0, != 1.5", "1.4", "1.5 2.0"),
        ("~=1.4.2", "1.4.9", "1.5"),
        ("^1.2 || ^2.0", "1.2 2.9", "3.0 1.1"),
        ("^1.2|^2", "1.2 2.9", "3.0"),
        ("1.2.3 || ^1.3", "1.2.3 1.4", "2.0"),
        ("<2 || >=2", "1 3", ""),
        (">=3 || *", "1 3", ""),
    ],
)
def test_a_constraint_takes_what_poetry_takes(constraint: str, yes: str, no: str) -> None:
    specifier = SpecifierSet(poetry_specifier(constraint)[0])
    assert [version for version in yes.split() if version not in specifier] == []
    assert [version for version in no.split() if version in specifier] == []


@pytest.mark.parametrize(
    ("constraint", "exact"),
    [("^1.2 || ^2.0", True), ("^1 || ^3", False), ("^3.8", True), ("!=1 || ^2", False), ("^3 || ^1", False)],
)
def test_alternatives_with_a_gap_are_said_to_be_wider(constraint: str, exact: bool) -> None:
    assert poetry_specifier(constraint)[1] is exact


@pytest.mark.parametrize("constraint", ["what", "^", ">=1.2;", "^a.b", "||^", "<>1"])
def test_what_has_no_meaning_is_refused(constraint: str) -> None:
    with pytest.raises(ValueError):
        poetry_specifier(constraint)


@given(st.text(alphabet="^~<>=!|,. *x0123456789av-", max_size=12))
def test_every_text_is_translated_or_refused(constraint: str) -> None:
    try:
        SpecifierSet(poetry_specifier(constraint)[0])
        python_marker(constraint)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("constraint", "yes", "no"),
    [
        ("<3.12", "3.11.9", "3.12.0"),
        ("^3.10", "3.10.0 3.13.1", "3.9.9"),
        ("3.11.*", "3.11.4", "3.12.0 3.10.1"),
        (">=3.9,<3.11 || >=3.12", "3.10.1 3.12.0", "3.11.5 3.8.1"),
        ("!=3.11.2", "3.11.3", "3.11.2"),
        ("!=3.11.*", "3.12.1", "3.11.2"),
    ],
)
def test_a_condition_on_the_interpreter_becomes_a_marker(constraint: str, yes: str, no: str) -> None:
    marker = Marker(python_marker(constraint))

    def holds(version: str) -> bool:
        minor = ".".join(version.split(".")[:2])
        return marker.evaluate({"python_full_version": version, "python_version": minor})

    assert [version for version in yes.split() if not holds(version)] == []
    assert [version for version in no.split() if holds(version)] == []
