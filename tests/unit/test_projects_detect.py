"""Which kind of project a directory holds; and that learning it runs nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import BadSource
from hatchlock.sources.projects.detect import read_project
from hatchlock.sources.projects.problems import BadEntry, BadProjectFile, LeadsOut, MissingProject, UnknownProject
from hatchlock.sources.projects.snapshot import snapshot
from support.source_tree import ROOT
from support.trees import facts_of, plant

FIXTURES = ROOT / "fixtures" / "projects"
PYTHON = {"pyproject.toml": '[project]\nname = "py"\nversion = "1"\n', "py.py": ""}
NODE = {"package.json": {"name": "js"}}


def test_python_comes_before_node_and_the_other_is_named(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, PYTHON | NODE)
    assert facts.ecosystem == "python"
    assert any("also a Node project" in note and "#as=node" in note for note in facts.notes)


def test_node_comes_first_when_only_it_has_something_to_start(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, PYTHON | {"package.json": {"name": "js", "bin": "a.js"}, "a.js": ""})
    assert facts.ecosystem == "node"
    assert any("also a Python project" in note and "#as=python" in note for note in facts.notes)


def test_the_user_decides_otherwise(tmp_path: Path) -> None:
    plant(tmp_path, PYTHON | NODE)
    assert read_project(tmp_path, as_="node").name == "js"
    assert read_project(tmp_path, as_="python").name == "py"
    files = read_project(tmp_path, as_="files")
    assert (files.ecosystem, files.layout, files.requirements) == ("", "files", ())
    with pytest.raises(BadSource, match="no such kind"):
        read_project(tmp_path, as_="ruby")


def test_settings_of_tools_make_no_python_project(tmp_path: Path) -> None:
    files = NODE | {"pyproject.toml": "[tool.ruff]\nline-length = 100\n", "setup.cfg": "[flake8]\nx = 1\n"}
    assert facts_of(tmp_path, files).ecosystem == "node"


def test_a_dockerfile_is_named_and_not_run(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, PYTHON | {"Dockerfile": "FROM scratch\n"})
    assert any(note.startswith("it has a Dockerfile, which is not run") for note in facts.notes)


@pytest.mark.parametrize(
    ("files", "found", "advice"),
    [
        ({"Cargo.toml": "", "src/main.rs": ""}, "Cargo.toml", "url:"),
        ({"go.mod": "", "Dockerfile": ""}, "Dockerfile, go.mod", "Go is not built"),
        ({"Dockerfile": "FROM x\n"}, "Dockerfile", "oci:"),
        ({"server.py": ""}, "server.py", "#as=python"),
        ({"README.md": ""}, "no file that describes a project", "#as=files"),
    ],
)
def test_what_is_no_project_is_told_with_what_can_be_done(
    tmp_path: Path, files: dict[str, Any], found: str, advice: str
) -> None:
    with pytest.raises(UnknownProject) as caught:
        facts_of(tmp_path, files)
    assert found in str(caught.value)
    assert advice in caught.value.hint


def test_python_files_without_metadata_are_python_when_the_user_says_so(tmp_path: Path) -> None:
    facts = facts_of(tmp_path / "My Tool", {"server.py": "if __name__ == '__main__':\n    pass\n"}, as_="python")
    assert (facts.name, facts.version, facts.import_root, facts.needs_build) == ("my-tool", "0", ".", "")


def test_as_node_without_a_package_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownProject) as caught:
        facts_of(tmp_path, PYTHON, as_="node")
    assert "package.json" in caught.value.hint


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingProject):
        read_project(tmp_path / "nowhere")


def test_metadata_that_is_ignored_does_not_count(tmp_path: Path) -> None:
    with pytest.raises(UnknownProject):
        facts_of(tmp_path, NODE | {".gitignore": "package.json\n"})


@pytest.mark.parametrize("name", ["pyproject.toml", "package.json", "setup.py", "requirements.txt"])
def test_metadata_is_not_read_through_a_link_that_leads_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / name).symlink_to("../outside")
    with pytest.raises(LeadsOut):
        read_project(tmp_path / "p")


def test_nor_is_that_of_the_workspace(tmp_path: Path) -> None:
    plant(tmp_path, {"secret": "{}", "repo/app/package.json": {"name": "app"}})
    (tmp_path / "repo" / "package.json").symlink_to("../secret")
    with pytest.raises(LeadsOut):
        read_project(tmp_path / "repo" / "app", workspace_root=tmp_path / "repo")


def test_a_pipe_in_the_place_of_metadata_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "package.json")
    with pytest.raises(BadEntry):
        read_project(tmp_path)


def test_metadata_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes(b'{"name": "caf\xe9"}')
    with pytest.raises(BadProjectFile, match="no UTF-8"):
        read_project(tmp_path)


def test_the_python_workspace_of_the_fixtures() -> None:
    root = FIXTURES / "python-workspace"
    facts = read_project(root / "packages" / "server", workspace_root=root)
    assert facts.layout == "pyproject.toml (hatchling), ../../uv.lock"
    assert (facts.name, facts.version, facts.import_root) == ("weather-server", "0.3.1", "src")
    assert facts.requirements == ("path:../core", "pypi:mcp<2,>=1.9")
    assert facts.pins == {"pypi:anyio": ("4.6.0",), "pypi:mcp": ("1.9.4",)}
    assert (facts.needs_build, facts.notes) == ("", ())
    assert len(snapshot(root / "packages" / "server").files) == 3


def test_the_typescript_workspace_of_the_fixtures() -> None:
    root = FIXTURES / "typescript-workspace"
    server = read_project(root / "packages" / "server", workspace_root=root)
    assert server.layout == "package.json (member of a workspace in pnpm-workspace.yaml), ../../pnpm-lock.yaml"
    assert server.requirements == ("npm:zod@^3.23.8", "path:../core")
    assert server.pins == {"npm:zod": ("3.23.8",)}
    assert server.needs_build == "its entry dist/main.js is made by `npm run build`"
    assert server.scripts == {"notes-server": "dist/main.js"}
    assert server.requires_node == ">=20"
    core = read_project(root / "packages" / "core", workspace_root=root)
    assert (core.name, core.needs_build, core.scripts) == ("@notes/core", "", {"core": "index.js"})


TRAP = "import pathlib; pathlib.Path({!r}).write_text('run')\n"


def test_nothing_of_a_project_is_ever_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = str(tmp_path / "witness")
    trap, shell = TRAP.format(witness), f"echo run > {witness}"
    files: dict[str, Any] = {
        "setup.py": trap + "from setuptools import setup\nsetup(name='trap', packages=['trap'], version=compute())\n",
        "pyproject.toml": """
            [project]
            name = "trap"
            dynamic = ["version", "dependencies"]
            [tool.setuptools.dynamic]
            version = { attr = "trap.__version__" }
            [build-system]
            requires = []
            build-backend = "backend"
            backend-path = ["."]
            """,
        "backend.py": trap,
        "conftest.py": trap,
        "sitecustomize.py": trap,
        "trap/__init__.py": trap + "__version__ = str(1)\n",
        "package.json": {
            "name": "trap",
            "bin": "a.js",
            "scripts": dict.fromkeys(["preinstall", "install", "prepare"], shell),
        },
        "a.js": f"require('fs').writeFileSync({witness!r}, 'run')",
        ".npmrc": "script-shell=./a.js\n",
        ".gitattributes": "* filter=trap\n",
        "Makefile": f"all:\n\t{shell}\n",
        "Dockerfile": f"FROM scratch\nRUN {shell}\n",
    }
    root = plant(tmp_path / "trap", files)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    plant(root, {".git/hooks/post-index-change": f"#!/bin/sh\n{shell}\n"})
    (root / ".git/hooks/post-index-change").chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", shell], cwd=root, check=True)
    monkeypatch.chdir(root)

    def no_program(*_: object, **__: object) -> None:
        pytest.fail("a program was started")

    monkeypatch.setattr(subprocess, "Popen", no_program)
    monkeypatch.setattr(os, "posix_spawn", no_program)
    for as_ in ("", "python", "node", "files"):
        read_project(root, as_=as_)
    snapshot(root)
    assert not Path(witness).exists()
