"""`.finch-mcp` files as servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.finch import FINCH
from hatchlock.migrate.model import Reading
from support import imports

FILE = imports.IMPORTS / "finch/web-search/.finch-mcp"


def one(text: str, *, directory: Path, name: str = ".finch-mcp") -> Reading:
    reading = imports.read(FINCH, directory / name, text.encode())
    imports.manifest(reading)
    return reading


def python_project(directory: Path) -> Path:
    (directory / "pyproject.toml").write_text(
        '[project]\nname = "kit"\nversion = "1"\n[project.scripts]\nkit = "kit:main"\n'
    )
    (directory / "kit.py").write_text("def main(): ...\n")
    return directory


def fields(reading: Reading) -> dict[str, Any]:
    (server,) = reading.servers
    return imports.fields(reading, server.name)


def test_the_project_is_a_server() -> None:
    reading = imports.read(FINCH, FILE)
    assert imports.fields(reading, "web-search") == {
        "source": f"path:{FILE.parent}",
        "allow-build": ["@acme/web-search"],
        "command": ["node", "dist/index.js", "--stdio"],
        "env": {
            "NODE_ENV": "production",
            "SEARCH_API_KEY": {"secret": "keyring:SEARCH_API_KEY"},
            "REGION": {"secret": "env:REGION"},
        },
        "startup-timeout": 60,
    }
    imports.manifest(reading)
    assert "0a1b2c3d" not in repr(reading)


def test_what_was_never_used_is_said_with_its_line() -> None:
    reading = imports.read(FINCH, FILE)
    assert imports.left(reading) == [
        "3: `dependencies.installAll`: the lock has what the project and its build need",
        (
            "4: `dependencies.include`: the lock has what the project and its build need; "
            "what is missing there belongs into its devDependencies"
        ),
        (
            "6: `dependencies.preInstall`: the lock has what the project and its build need, "
            "and no command runs before or instead of that"
        ),
        "9: `build.command`: finch-mcp never used it; `allow-build` runs the project's own build",
        (
            "12: `workingDir`: finch-mcp never used it; a project is started where it lies, "
            "or name that directory instead"
        ),
        "19: `mcp.bufferSize`: finch-mcp never used it, and a server needs no proxy here",
        "20: `registry`: finch-mcp does not know it either",
    ]
    assert "finch-mcp never used runtime.command; here it is what is started" in reading.servers[0].notes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".finch-mcp", "runtime:\n  env: {MODE: fast}\n"),
        (".finch-mcp", '{"runtime": {"env": {"MODE": "fast"}}}'),
        (".finch-mcp", '[runtime.env]\nMODE = "fast"\n'),
        (".finch-mcp.yml", '[runtime.env]\nMODE = "fast"\n'),
        (".finch-mcp.toml", '[runtime.env]\nMODE = "fast"\n'),
        (".finch-mcp.json", '{"runtime": {"env": {"MODE": "fast"}}}'),
    ],
)
def test_each_form_is_read(tmp_path: Path, name: str, text: str) -> None:
    reading = one(text, directory=python_project(tmp_path), name=name)
    assert fields(reading) == {"source": f"path:{tmp_path}", "env": {"MODE": "fast"}}
    is_read_there = name in {".finch-mcp", ".finch-mcp.yml"}
    assert any("does not read it" in note for note in reading.servers[0].notes) is not is_read_there


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("poetry run python -m kit", ["python", "-m", "kit"]),
        ("uv run kit --stdio", ["kit", "--stdio"]),
        ("kit", ["kit"]),
        ("kit && other", None),
        ("kit --api-key sk-0a1b2c3d4e5f60718293", None),
        ("npm start", None),
    ],
)
def test_a_command_is_carried_over_where_it_is_one_program(
    tmp_path: Path, command: str, expected: list[str] | None
) -> None:
    reading = one(f'runtime: {{command: "{command}"}}', directory=python_project(tmp_path))
    assert fields(reading).get("command") == expected
    assert [item.partition(":")[0] for item in imports.left(reading)] == ([] if expected else ["1"])
    assert "sk-0a1b" not in repr(imports.left(reading))


def test_a_script_of_npm_is_what_it_starts(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(
        '{"name": "kit", "version": "1.0.0", "scripts": {"start": "node server.js"}}'
    )
    (tmp_path / "server.js").write_text("")
    reading = one("runtime: {command: npm run start}", directory=tmp_path)
    assert fields(reading) == {"source": f"path:{tmp_path}", "command": ["node", "server.js"]}


def test_a_directory_that_is_no_project_is_used_as_files(tmp_path: Path) -> None:
    assert fields(one("{}", directory=tmp_path)) == {"source": f"path:{tmp_path}#as=files"}


@pytest.mark.parametrize(
    ("name", "data", "shown"),
    [
        (".finch-mcp", b"runtime: [\n", ".finch-mcp:2: it is no YAML"),
        (".finch-mcp.toml", b"runtime = \n", ".finch-mcp.toml:1: it is not valid TOML"),
        (".finch-mcp", b"a: 1\nruntime: {command: [x]}\n", ".finch-mcp:2: runtime.command: it must be a text"),
        (".finch-mcp", b"mcp:\n  startupTimeout: soon\n", ".finch-mcp:2: mcp.startupTimeout: it must be a number"),
        (".finch-mcp", b"runtime:\n  command: it's\n", ".finch-mcp:2: runtime.command: its words cannot be told apart"),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(name: str, data: bytes, shown: str) -> None:
    with pytest.raises(Unreadable) as problem:
        FINCH.read(Path(name), data)
    assert f"{problem.value.place}: {problem.value}".startswith(shown)


@pytest.mark.parametrize(
    ("name", "is_one"), [(".finch-mcp", True), (".finch-mcp.yaml", True), ("finch-mcp.yaml", False)]
)
def test_it_is_known_by_its_name(name: str, *, is_one: bool) -> None:
    assert FINCH.matches(Path("/x") / name, b"") is is_one
