"""Hatch packages in directories: their metadata, their files, their tools, and what they need from other directories."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.sources.hatch.local import NoHatchPackage, read_directory
from hatchlock.sources.hatch.problems import BadHatchMetadata
from hatchlock.sources.hatch.together import HatchConflict
from hatchlock.sources.hatch.validation import Validation, validate
from support.hatch_registry import hatch_metadata
from support.source_tree import ROOT

FIXTURES = ROOT / "fixtures" / "hatch"
SERVER = "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('x')\n@mcp.tool()\ndef greet(): ...\n"
WRAPPER = "from server import mcp\n"
GOOD = sorted(
    path.parent.relative_to(FIXTURES).as_posix()
    for path in FIXTURES.rglob("hatch_metadata.json")
    if "trouble" not in path.parts or path.parent.name in {"liba_pkg", "libb_pkg"}
)

Write = Callable[..., Path]


def fixture(name: str) -> Validation:
    return validate(FIXTURES / name, shown=name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a package, and returns its directory."""

    def write(name: str, *needs: tuple[str, str], version: str = "1.0.0", **other: Any) -> Path:
        files: Mapping[str, str | None] = other.pop("files", {})
        kinds = {"hatch": [{"name": text, "version_constraint": constraint} for text, constraint in needs]}
        kinds |= other.pop("dependencies", {})
        directory = tmp_path / str(other.pop("directory", name))
        directory.mkdir(parents=True, exist_ok=True)
        document = hatch_metadata(name, version, dependencies=kinds) | other
        usual = {"hatch_metadata.json": json.dumps(document, indent=2), "server.py": SERVER, "wrapper.py": WRAPPER}
        for file, text in {**usual, **files}.items():
            if text is not None:
                (directory / file).write_text(text)
        return directory

    return write


def line_of(directory: Path, text: str, *, before: int = 0) -> int:
    """The line of a package's metadata, counted from 1, that has a text."""
    lines = (directory / "hatch_metadata.json").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line) - before


def problems(directory: Path) -> list[str]:
    return [f"{item.place or item.address}: {item}" for item in validate(directory, shown=directory.name).problems]


@pytest.mark.parametrize("name", GOOD)
def test_a_right_package_has_no_problems(name: str) -> None:
    assert fixture(name).problems == ()


def test_validating_asks_no_network_and_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fixture("dependencies/transitive_dep_pkg").problems == ()
    assert list(tmp_path.iterdir()) == []


def test_the_packages_in_directories_are_found_through_others() -> None:
    found = fixture("dependencies/transitive_dep_pkg")
    assert found.local == ("docker_dep_pkg 1.0.0", "python_dep_pkg 1.0.0", "system_dep_pkg 1.0.0")


def test_a_circle_of_directories_is_shown_as_the_way_around_it() -> None:
    (problem,) = fixture("trouble/circular_dep_pkg").problems
    assert str(problem) == (
        "dependencies.hatch[0]: it leads in a circle: circular_dep_pkg → circular_dep_pkg_b → circular_dep_pkg"
    )
    line = line_of(FIXTURES / "trouble/circular_dep_pkg_b", '"../circular_dep_pkg"', before=1)
    assert str(problem.place) == f"trouble/circular_dep_pkg_b/hatch_metadata.json:{line}"
    assert problem.hint


def test_a_package_that_needs_itself_is_a_circle(write: Write) -> None:
    assert "dependencies.hatch[0]: it leads in a circle: a → a" in problems(write("a", ("../a", ">=1.0")))[0]


def test_the_version_in_a_directory_is_compared_with_the_constraint() -> None:
    (problem,) = fixture("trouble/version_conflict_pkg").problems
    assert "../../basic/base_pkg is base_pkg 1.0.0, and ==2.0.0 is wanted" in str(problem)


def test_version_0_5_0_is_not_at_least_1_0_0(write: Write) -> None:
    write("old", version="0.5.0")
    assert "../old is old 0.5.0, and >=1.0.0 is wanted" in problems(write("app", ("../old", ">=1.0.0")))[0]


def test_a_directory_that_is_not_there_is_named() -> None:
    (problem,) = fixture("trouble/invalid_dep_pkg").problems
    assert isinstance(problem, BadHatchMetadata)
    assert str(problem) == "dependencies.hatch[0]: there is no directory ../nonexistent_pkg"
    line = line_of(FIXTURES / "trouble/invalid_dep_pkg", "../nonexistent_pkg", before=1)
    assert str(problem.place) == f"trouble/invalid_dep_pkg/hatch_metadata.json:{line}"


def test_a_directory_without_metadata_is_no_dependency(write: Write, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (found,) = problems(write("app", ("../plain", ">=1.0.0")))
    assert found.endswith("dependencies.hatch[0]: ../plain has no metadata")


def test_a_bare_name_is_a_registrys_whatever_directory_lies_there(write: Write) -> None:
    write("thing", directory="app/thing", version="0.1.0")
    found = validate(write("app", ("thing", ">=1.0.0")))
    assert found.package.facts.dependencies == ("hatch:thing>=1.0.0",)
    assert (found.local, found.problems) == ((), ())


def test_a_broken_package_below_is_reported_with_its_own_file(write: Write) -> None:
    line = line_of(write("lib", licence={"name": "MIT"}), '"licence"')
    assert problems(write("app", ("../lib", ">=1.0.0"))) == [f"lib/hatch_metadata.json:{line}: licence: unknown key"]


def test_a_diamond_of_a_registrys_package_is_shown_with_both_ways() -> None:
    (problem,) = fixture("trouble/diamond/app_pkg").problems
    assert isinstance(problem, HatchConflict)
    assert str(problem) == (
        "no version of hatch:core_pkg is all that is wanted:\n"
        "  app_pkg → liba_pkg → hatch:core_pkg>=2.0.0\n"
        "  app_pkg → libb_pkg → hatch:core_pkg<=1.0.0"
    )


def test_a_diamond_of_directories_is_shown_with_both_ways(write: Write) -> None:
    write("core", version="2.0.0")
    write("liba", ("../core", ">=2.0.0"))
    write("libb", ("../core", "<=1.0.0"))
    found = problems(write("app", ("../liba", ">=1.0.0"), ("../libb", ">=1.0.0")))
    assert "../core is core 2.0.0, and <=1.0.0 is wanted" in found[0]
    ways = "\n  app → liba → hatch:../core>=2.0.0\n  app → libb → hatch:../core<=1.0.0"
    assert found[1:] == [f": no version of hatch:core is all that is wanted:{ways}"]


def test_a_directory_and_a_registrys_package_of_one_name_have_to_agree(write: Write) -> None:
    write("core", version="1.0.0")
    write("liba", ("../core", ">=1.0.0"))
    write("libb", ("core", ">=2.0.0"))
    (found,) = problems(write("app", ("../liba", ">=1.0.0"), ("../libb", ">=1.0.0")))
    assert "liba → hatch:../core>=1.0.0 (1.0.0)" in found
    assert "libb → hatch:core>=2.0.0" in found


def test_a_diamond_of_python_packages_is_shown_with_both_ways(write: Write) -> None:
    for name, constraint in (("liba", ">=2.0"), ("libb", "<=1.26")):
        write(name, dependencies={"python": [{"name": "numpy", "version_constraint": constraint}]})
    (found,) = problems(write("app", ("../liba", ">=1.0.0"), ("../libb", ">=1.0.0")))
    assert "app → liba → pypi:numpy>=2.0" in found
    assert "app → libb → pypi:numpy<=1.26" in found


def test_a_diamond_that_agrees_is_none(write: Write) -> None:
    write("core", version="1.5.0")
    write("liba", ("../core", ">=1.0.0"))
    write("libb", ("../core", "<=2.0.0"))
    assert problems(write("app", ("../liba", ">=1.0.0"), ("../libb", ">=1.0.0"))) == []


def test_two_directories_with_a_package_of_one_name_exclude_each_other(write: Write) -> None:
    write("core")
    write("core", directory="other")
    (found,) = problems(write("app", ("../core", ">=1.0.0"), ("../other", ">=1.0.0")))
    assert "core in other is not used: core/hatch_metadata.json is of a package of that name, too" in found


# Files and tools


def test_the_tools_are_found_however_they_are_declared() -> None:
    found = fixture("basic/tools_pkg")
    assert (found.problems, found.undeclared) == ((), ())


def test_a_declared_tool_that_the_server_does_not_have_is_a_problem_with_its_line(write: Write) -> None:
    tools = [{"name": name, "description": "…"} for name in ("greet", "greets")]
    directory = write("app", tools=tools)
    (problem,) = validate(directory, shown="app").problems
    assert str(problem) == "tools[1].name: server.py has no tool 'greets'"
    assert problem.hint == "did you mean 'greet'?"
    line = line_of(directory, '"greets"')
    assert str(problem.place) == f"app/hatch_metadata.json:{line}"


def test_a_tool_that_the_metadata_does_not_name_is_a_note(write: Write) -> None:
    source = SERVER + "@mcp.tool()\nasync def later(): ...\n"
    found = validate(write("app", files={"server.py": source}))
    assert (found.undeclared, found.problems) == (("later",), ())
    assert "server.py has tools that the metadata does not name: later" in found.notes


def test_before_metadata_1_2_1_a_missing_tool_is_a_note(write: Write) -> None:
    directory = write(
        "app", package_schema_version="1.2.0", entry_point="server.py", tools=[{"name": "x", "description": ""}]
    )
    found = validate(directory)
    assert found.problems == ()
    assert "server.py has no tool 'x'" in found.notes


@pytest.mark.parametrize(
    ("source", "is_right"),
    [
        ("from server import mcp", True),
        ("from server import other, mcp as inner", True),
        ("def make():\n    from server import mcp\n    return mcp", True),
        ("import server", False),
        ("from server import other", False),
        ("from servers import mcp", False),
        ("# from server import mcp", False),
    ],
)
def test_a_wrapper_imports_mcp_from_the_server(write: Write, source: str, is_right: bool) -> None:
    found = problems(write("app", files={"wrapper.py": source}))
    assert bool(found) is not is_right
    assert all("wrapper.py does not import `mcp` from server.py" in text for text in found)


def test_a_file_that_is_no_python_is_a_problem_with_its_line(write: Write) -> None:
    found = problems(write("app", files={"server.py": SERVER + "def broken(:\n", "wrapper.py": "x = \0"}))
    assert found[0].startswith("app/wrapper.py: it is no Python: ")
    assert found[1].startswith("app/server.py:5: it is no Python: ")


@pytest.mark.parametrize("schema", ["1.1.0", "1.2.0", "1.2.1", "1.2.2"])
def test_the_files_of_every_version_have_to_be_there(write: Write, schema: str) -> None:
    is_single = schema < "1.2.1"
    entry = "servr.py" if is_single else {"mcp_server": "servr.py", "hatch_mcp_server": "wrapr.py"}
    directory = write("app", package_schema_version=schema, entry_point=entry)
    if schema == "1.1.0":
        document = json.loads((directory / "hatch_metadata.json").read_text())
        del document["dependencies"]
        (directory / "hatch_metadata.json").write_text(json.dumps(document))
    with pytest.raises(HatchlockError) as caught:
        validate(directory)
    errors = caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,)
    assert [str(error).partition(": ")[2] for error in errors] == [
        "'servr.py' is not there",
        "'wrapr.py' is not there",
    ][: len(errors)]
    assert len(errors) == 2 - is_single
    assert errors[0].hint == "did you mean 'server.py'?"


def test_an_entry_point_does_not_lead_out_of_the_package(write: Write, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(SERVER)
    directory = write("app", files={"server.py": None})
    (directory / "server.py").symlink_to("../outside.py")
    with pytest.raises(BadHatchMetadata, match=r"'server.py' is a link that leads out of the package"):
        validate(directory)


def test_a_directory_is_no_entry_point(write: Write) -> None:
    directory = write("app", files={"server.py": None})
    (directory / "server.py").mkdir()
    with pytest.raises(BadHatchMetadata, match=r"'server.py' is no file"):
        validate(directory)


def test_a_directory_that_is_no_package_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoHatchPackage, match=r"has no hatch_metadata.json"):
        validate(tmp_path)
    with pytest.raises(NoHatchPackage, match="there is no directory"):
        validate(tmp_path / "nothing")


def test_metadata_2_0_0_without_a_name_is_called_as_its_directory(write: Write, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "versions" / "v2_0_0", tmp_path / "My Weather-Kit")
    path = tmp_path / "My Weather-Kit" / "hatch_metadata.json"
    document = json.loads(path.read_text())
    del document["name"], document["version"]
    path.write_text(json.dumps(document))
    facts = read_directory(path.parent).facts
    assert (facts.name, facts.version) == ("my_weather_kit", "0")
    assert read_directory(path.parent, name="given", version="3").facts.version == "3"
