"""A manifest's name, read without the rest of it."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hatchlock.usecases.run import BrokenState, project_name

LINES = [
    "",
    " ",
    "# a",
    "[project]",
    " [project] ",
    "[projects]",
    "[project] # a",
    "name",
    'x = """',
    '"""',
    "[[project]]",
]
VALUES = ['"a"', '"a.b-c_d"', '"a" # b', '"a\\u0062"', "'a'", '"""a"""', '"é"', '"a b"', '""', '"', "1", '"a""b"', ""]


@given(
    st.lists(st.sampled_from(LINES), max_size=5),
    st.lists(
        st.builds("{} = {}".format, st.sampled_from(["name", " name", '"name"', "names"]), st.sampled_from(VALUES))
    ),
    st.sampled_from(["\n", "\r\n"]),
)
@example(above=[], keys=['names = "b"', 'name = "a"'], end="\n")
@example(above=["[[x]]", 'name = "b"'], keys=['name = "a"'], end="\n")
@example(above=[], keys=["name = 'a'"], end="\r\n")
@example(above=[], keys=['name = "a\\u0062"'], end="\n")
def test_it_is_the_one_that_the_whole_manifest_gives(above: list[str], keys: list[str], end: str) -> None:
    text = end.join([*above, "[project]", *keys, ""])
    with contextlib.suppress(tomllib.TOMLDecodeError, KeyError, TypeError), tempfile.TemporaryDirectory() as directory:
        name = str(tomllib.loads(text)["project"]["name"])
        manifest = Path(directory, "hatchlock.toml")
        manifest.write_text(text, encoding="utf-8", newline="")
        assert project_name(manifest) == name


def test_what_init_writes_is_read_without_a_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "hatchlock.toml"
    monkeypatch.setitem(sys.modules, "tomllib", None)
    manifest.write_text('# agents\n\n[project]\n# of acme\nname = "acme-agents"\nnonsense')
    assert project_name(manifest) == "acme-agents"
    manifest.write_text("[project]\nname = 'acme'\n")
    with pytest.raises(ImportError):
        project_name(manifest)


@pytest.mark.parametrize("text", ["", "[project]\n", "[project]\nname = ", "name = 1", 'project = "a"'])
def test_where_it_gives_none_that_is_said(tmp_path: Path, text: str) -> None:
    manifest = tmp_path / "hatchlock.toml"
    manifest.write_text(text)
    with pytest.raises(BrokenState, match="does not give the project's name"):
        project_name(manifest)
