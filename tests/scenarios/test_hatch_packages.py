"""`validate PATH` and `new PATH`, as people run them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client

from hatchlock.sources.hatch.server_code import implied_requirements
from hatchlock.usecases.hatch_packages import new_package, validate_package
from support.cats import tree
from support.project import TrialProject
from support.source_tree import ROOT

FIXTURES = ROOT / "fixtures" / "hatch"


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    """Without a manifest: neither command needs one."""
    return TrialProject(tmp_path)


def greeting(python: str, directory: Path, file: str) -> str:
    """Start a server as Hatch does, `python DIRECTORY/FILE`, and call its tool."""

    async def ask() -> str:
        parameters = StdioServerParameters(command=python, args=[str(directory / file)])
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            assert [tool.name for tool in (await session.list_tools()).tools] == ["greet"]
            result = await session.call_tool("greet", {"name": "Anna"})
            return str(result.content[0].model_dump()["text"])

    return anyio.run(ask)


@pytest.mark.parametrize("file", ["server.py", "entry.py"])
def test_a_new_package_validates_and_runs(project: TrialProject, file: str) -> None:
    done = project.ok("new", "weather_kit")
    directory = project.directory / "weather_kit"
    assert sorted(path.name for path in directory.iterdir()) == [
        "README.md",
        "entry.py",
        "hatch_metadata.json",
        "server.py",
    ]
    assert "+ weather_kit/server.py" in done.out
    assert project.ok("validate", "weather_kit").out == (
        "weather_kit 0.1.0 is valid: metadata 1.2.2, 1 tool, 1 dependency\n"
    )
    assert greeting(sys.executable, directory, file) == "Hello, Anna!"


@pytest.mark.network
def test_a_new_package_runs_with_the_newest_sdk_that_its_metadata_allows(tmp_path: Path) -> None:
    new_package(tmp_path / "weather_kit")
    facts = validate_package(tmp_path / "weather_kit", shown="weather_kit").package.facts
    (needed,) = facts.dependencies
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", needed.removeprefix("pypi:")], check=True, timeout=300)
    assert greeting(python, tmp_path / "weather_kit", "server.py") == "Hello, Anna!"


def test_a_new_package_needs_nothing_that_it_does_not_declare(tmp_path: Path) -> None:
    new_package(tmp_path / "weather_kit")
    package = validate_package(tmp_path / "weather_kit", shown="weather_kit").package
    assert package.implied == ()
    undeclared = replace(package.facts, dependencies=())
    assert implied_requirements(undeclared, package.server_source) == ("pypi:mcp>=2",)


def test_new_overwrites_nothing(project: TrialProject) -> None:
    directory = project.directory / "weather_kit"
    directory.mkdir()
    (directory / "README.md").write_text("mine")
    (directory / "server.py").symlink_to("nowhere")
    done = project.fails("new", "weather_kit")
    assert "weather_kit has README.md, server.py already, and `new` overwrites nothing" in done.err
    assert sorted(path.name for path in directory.iterdir()) == ["README.md", "server.py"]
    assert (directory / "README.md").read_text() == "mine"


def test_new_takes_the_name_of_the_directory_if_packages_may_have_it(project: TrialProject) -> None:
    done = project.fails("new", "My-Weather Kit")
    assert "'My-Weather Kit' is no name of a Hatch package" in done.err
    assert "did you mean --name my_weather_kit?" in done.err
    assert list(project.directory.iterdir()) == []
    project.ok("new", "My-Weather Kit", "--name", "my_weather_kit")
    metadata = json.loads((project.directory / "My-Weather Kit" / "hatch_metadata.json").read_text())
    assert metadata["name"] == "my_weather_kit"


def test_new_in_the_directory_where_one_is(project: TrialProject) -> None:
    place = project.directory / "weather_kit"
    place.mkdir()
    project.ok("new", ".", cwd=place)
    assert project.ok("validate", ".", cwd=place).out.startswith("weather_kit 0.1.0 is valid")
    assert project.ok("validate", "hatch_metadata.json", cwd=place).out.startswith("weather_kit 0.1.0 is valid")
    assert project.ok("-C", str(place), "validate", ".", cwd=project.root).out.startswith("weather_kit")


def test_validate_says_every_mistake_with_its_line_and_changes_nothing(project: TrialProject) -> None:
    shutil.copytree(FIXTURES, project.directory / "packages")
    before = tree(project.root)
    done = project.fails("validate", "packages/trouble/circular_dep_pkg")
    assert "packages/trouble/circular_dep_pkg_b/hatch_metadata.json:23: dependencies.hatch[0]" in done.err
    assert "circular_dep_pkg → circular_dep_pkg_b → circular_dep_pkg" in done.err
    done = project.fails("validate", "packages/trouble/diamond/app_pkg")
    assert "app_pkg → liba_pkg → hatch:core_pkg>=2.0.0" in done.err
    assert "app_pkg → libb_pkg → hatch:core_pkg<=1.0.0" in done.err
    assert tree(project.root) == before


def test_validate_of_a_package_as_a_document(project: TrialProject) -> None:
    found = project.ok("validate", str(FIXTURES / "dependencies" / "transitive_dep_pkg"), "--json").document
    assert found == {
        "format_version": 1,
        "valid": True,
        "package": "transitive_dep_pkg",
        "version": "1.0.0",
        "metadata": "1.2.1",
        "tools": ["say"],
        "undeclared_tools": [],
        "dependencies": [
            "hatch:../docker_dep_pkg!=2.0.0",
            "hatch:../python_dep_pkg>=1.0.0",
            "hatch:../system_dep_pkg==1.0.0",
        ],
        "local_packages": ["docker_dep_pkg 1.0.0", "python_dep_pkg 1.0.0", "system_dep_pkg 1.0.0"],
        "notes": ["mcp_server.py imports what the package does not declare so: pypi:mcp>=1.2,<2 added"],
    }
    wrong = project.run("validate", str(FIXTURES / "trouble" / "version_conflict_pkg"), "--json")
    assert (wrong.status, wrong.document["error"]["code"]) == (1, "bad-hatch-metadata")


def test_validate_of_what_is_no_package_says_so(project: TrialProject) -> None:
    assert ". has no hatch_metadata.json" in project.fails("validate", ".").err
    assert "there is no directory nothing" in project.fails("validate", "nothing").err


def test_validate_without_a_path_is_about_the_manifest(project: TrialProject) -> None:
    project.write('[project]\nname = "trial"\nplatforms = ["linux/amd64"]\n')
    assert project.ok("validate").out == "hatchlock.toml is valid: 0 servers\n"


@pytest.mark.parametrize("command", ["new", "validate"])
def test_no_name_is_no_directory(project: TrialProject, command: str) -> None:
    assert "'' names no directory" in project.fails(command, "", status=64).err
    assert list(project.directory.iterdir()) == []
