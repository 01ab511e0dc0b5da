"""Every example is a manifest that this version takes, and its directories are projects that need no build."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hatchlock.address import Kind, Source
from hatchlock.manifest.load import load
from hatchlock.sources.hatch.declared import declared_hatch
from hatchlock.sources.projects.detect import read_project
from hatchlock.sources.projects.path_reference import PathReference
from hatchlock.usecases.hatch_packages import validate_package
from support.project import TrialProject
from support.source_tree import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/hatchlock.toml"))
# Its base is made where the example is run.
INTENDED = {"mixed": ["environments.mixed.base"]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid_and_gives_no_reason_to_warn_that_is_not_intended(example: Path) -> None:
    loaded = load(example / "hatchlock.toml")
    assert loaded.manifest.project.name == example.name
    assert [warning.key for warning in loaded.warnings] == INTENDED.get(example.name, [])
    assert (example / "README.md").read_text().startswith("# ")
    for server in loaded.manifest.servers.values():
        source = Source.parse(str(server.source))
        if source.kind is Kind.HATCH:
            directory = example / declared_hatch(source.spec).path
            assert validate_package(directory, shown=str(directory)).package.facts.name == directory.name
        for mount in server.sandbox.mounts:
            assert (example / mount.source).is_dir()
        if source.kind is Kind.PATH:
            facts = read_project(example / PathReference.parse(source.spec).path)
            assert facts.needs_build == ""
            assert facts.scripts


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "server", "tool"), [("npm-server", "files", "read_file"), ("path-server", "dice", "roll")]
)
def test_an_example_does_what_its_page_says(tmp_path: Path, name: str, server: str, tool: str) -> None:
    project = TrialProject(tmp_path, name=name)
    shutil.copytree(ROOT / "examples" / name, project.directory, dirs_exist_ok=True)
    project.ok("lock")
    project.ok("apply", "--yes")
    assert tool in project.tools(server)
    assert project.steps() == []
    project.ok("lock", "--check")
