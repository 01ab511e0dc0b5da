"""Debian's versions, against dpkg, and what manifests say of them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hatchlock.address import BadSource
from hatchlock.sources.debian.declared import declared_deb
from hatchlock.sources.debian.versions import BadDebVersion, DebVersion

ORDERED = [
    *("0~~", "0~~a", "0~", "0", "0a", "0+", "0.1", "1~rc1-1", "1-0~deb1", "1-1", "1-1+b1", "1-1.1", "1-10", "1.0-1"),
    *("1.09-1", "1.10~beta-1", "1.10-1~bpo1", "1.10-1", "1.10a-1", "1.10+dfsg-1", "2.36-9+deb12u10", "10-1", "1:0.1-1"),
]
TEXTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", "0:", "1:"]),
    st.sampled_from("0129"),
    st.text("01a~+.-z", max_size=6),
)


def test_the_order_is_that_of_the_policy() -> None:
    assert sorted(ORDERED, key=DebVersion.parse) == ORDERED


@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg is not here")
@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS)
def test_random_versions_compare_as_dpkg_compares_them(first: str, second: str) -> None:
    try:
        ours = DebVersion.parse(first), DebVersion.parse(second)
    except BadDebVersion:
        assume(False)
    relation = "lt" if ours[0] < ours[1] else "eq" if ours[0] == ours[1] else "gt"
    done = subprocess.run(["dpkg", "--compare-versions", first, relation, second], check=False)
    assert done.returncode == 0, (first, relation, second)


def test_what_dpkg_calls_equal_is_equal_and_keeps_its_own_text() -> None:
    short, long = DebVersion.parse("1.0"), DebVersion.parse("0:1.0-0")
    assert short == long
    assert hash(short) == hash(long)
    assert (str(short), str(long)) == ("1.0", "0:1.0-0")


@pytest.mark.parametrize(
    "text", ["", "1_0", "a:1", "1.0-", "-1", "1 0", f"{2**31}:1", "ä", "9" * 5000, "1." + "9" * 5000]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(BadDebVersion) as caught:
        DebVersion.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ("git", ["1", "1:2.39.5-0+deb12u2"], []),
        ("git>=1:2.30", ["1:2.30", "1:2.39.5-0+deb12u2"], ["2.31", "1:2.29-1", "1:2.30~rc1"]),
        ("git=1:2.39.5-0+deb12u2", ["1:2.39.5-0+deb12u2"], ["1:2.39.5-0+deb12u1", "2.39.5-0+deb12u2"]),
        ("curl==7.88.1", ["7.88.1-10+deb12u8", "7.88.1", "1:7.88.1-1"], ["7.88.1+dfsg-1", "7.88.2-1"]),
        ("curl==0:7.88.1-10", ["7.88.1-10"], ["1:7.88.1-10", "7.88.1-11"]),
        ("x1>=1,<<2", ["1", "1.9-1"], ["2~rc1-1+", "2", "0.9"][1:]),
        ("x1 > 1, < 2", ["1-1", "1.5"], ["1", "2"]),
        ("x1!=1.5-1", ["1.5-2"], ["1.5-1"]),
        ("x1<=2", ["2", "1"], ["2-1"]),
    ],
)
def test_bounds_hold_what_they_say(spec: str, inside: list[str], outside: list[str]) -> None:
    _, bounds = declared_deb(spec)
    assert [text for text in inside if not bounds.contains(DebVersion.parse(text), prereleases=False)] == []
    assert [text for text in outside if bounds.contains(DebVersion.parse(text), prereleases=False)] == []


def test_bounds_are_written_as_they_were_without_synonyms_and_blanks() -> None:
    name, bounds = declared_deb("g++ > 4:10, < 4:13")
    assert (name, str(bounds)) == ("g++", ">>4:10,<<4:13")
    assert declared_deb(f"{name}{bounds}") == (name, bounds)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("Git", "lower case: git"),
        ("libc6:amd64", "the architecture is that of the platform"),
        ("git>=", "no bound"),
        ("git~=1.2", "no name"),
        ("git>=1_2", "no version of a Debian package"),
        ("a", "no name"),
        ("git>=1,", "'' is no bound"),
        ("../git", "no name"),
    ],
)
def test_what_is_no_requirement_says_why(spec: str, why: str) -> None:
    with pytest.raises(BadSource) as caught:
        declared_deb(spec)
    assert why in str(caught.value)
    assert caught.value.text == f"deb:{spec}"
    assert "deb:NAME" in caught.value.hint
