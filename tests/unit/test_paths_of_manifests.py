"""Paths that a manifest has: one spelling for all who mean the same, and where they are on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.address import ImageReference, Transport
from hatchlock.manifest.load import loads
from hatchlock.paths import joined_path, normal_path, placed


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("server", "./server"),
        ("./a/../b/", "./b"),
        (".", "."),
        ("../a", "../a"),
        ("/a//b", "/a/b"),
        ("~/a//b/", "~/a/b"),
        ("~/a/..", "~"),
        ("~", "~"),
        ("~/../other", "~/../other"),
        ("./~/a", "./~/a"),
        ("~other/a", "./~other/a"),
    ],
)
def test_those_who_mean_the_same_have_one_spelling(written: str, normal: str) -> None:
    assert normal_path(written) == normal
    assert normal_path(normal) == normal


@pytest.mark.parametrize(
    ("directory", "written", "joined"),
    [
        ("./a", "../b", "./b"),
        ("~/code/tool", "../lib", "~/code/lib"),
        ("~/code", "../../b", "~/../b"),
        ("~/code", "/b", "/b"),
        (".", "~/b", "./~/b"),
        ("/a", "~/b", "/a/~/b"),
    ],
)
def test_what_a_project_names_is_beside_it_and_its_tilde_is_a_name(directory: str, written: str, joined: str) -> None:
    assert joined_path(directory, written) == joined


def test_a_home_is_that_of_whoever_runs_the_command() -> None:
    here = {"directory": Path("/project"), "home": Path("/home/ann")}
    assert placed("~/a", **here) == Path("/home/ann/a")
    assert placed("~", **here) == Path("/home/ann")
    assert placed("./~/a", **here) == Path("/project/~/a")
    assert placed("/a", **here) == Path("/a")


@pytest.mark.parametrize("source", ["path:~/code", "hatch:~/kit>=1", "oci:~/images/base:1", "oci:~/images/base"])
def test_sources_may_be_below_the_home(source: str) -> None:
    text = f'[project]\nname = "a"\n[servers.a]\nsource = "{source}"\n'
    assert str(loads(text, shown="hatchlock.toml").manifest.servers["a"].source) == source


def test_a_layout_may_be_below_the_home() -> None:
    found = ImageReference.parse("~/images/base:1")
    assert (found.transport, found.repository, found.tag, str(found)) == (
        Transport.LAYOUT,
        "~/images/base",
        "1",
        "~/images/base:1",
    )
