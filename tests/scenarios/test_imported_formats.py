"""Files of other tools, from the command line to a server that answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.imports import IMPORTS
from support.project import TrialProject
from support.runs import SERVERS
from support.unavailable import need_isolation

TOKEN = "ghp_0f1e2d3c4b5a69788796a5b4c3d2e1f0ABCD"
MANIFEST = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[defaults]
runtime = "process"
"""


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    return TrialProject(tmp_path, MANIFEST)


def test_a_bundle_that_claude_desktop_has_unpacked_answers_again(project: TrialProject) -> None:
    need_isolation()
    support = project.user_home / "Claude"
    bundle = support / "Claude Extensions/local.echo"
    bundle.mkdir(parents=True)
    shutil.copy(SERVERS / "echo.py", bundle)
    config = {"command": "python3", "args": ["${__dirname}/echo.py", "--stderr", "${user_config.team}"]}
    server = {"type": "python", "entry_point": "echo.py", "mcp_config": config}
    asked = {"team": {"type": "string", "title": "Team", "description": "Whose", "required": True}}
    manifest = {"manifest_version": "0.3", "name": "echo", "version": "1.0.0", "server": server, "user_config": asked}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    settings = support / "Claude Extensions Settings/local.echo.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"isEnabled": True, "userConfig": {"team": "research"}}))

    done = project.ok("import", str(bundle))
    assert "hatchlock.toml: 1 server added" in done.out
    assert 'command = ["python", "./echo.py", "--stderr", "research"]' in project.manifest.read_text()
    project.ok("up", "--yes", "--no-probe")
    assert "echo" in project.tools("echo")
    assert project.steps() == []
    assert "1 already there" in project.ok("import", str(bundle)).out


def test_a_compose_file_leaves_no_token_behind(project: TrialProject) -> None:
    shutil.copytree(IMPORTS / "compose", project.directory / "stack")
    (project.directory / "stack/dotenv").rename(project.directory / "stack/.env")
    done = project.ok("import", "stack/compose.yaml")
    assert TOKEN not in done.said + project.manifest.read_text()
    assert "stack/compose.yaml:91: `db`: nothing says that it is an MCP server" in done.said
    assert 'context = "./stack/notes"' in project.manifest.read_text()
    assert 'secret = "file:./stack/notes/api-key.txt"' in project.manifest.read_text()
    project.ok("validate")


def test_a_plugin_is_named_by_its_directory(project: TrialProject) -> None:
    shutil.copytree(IMPORTS / "claude-plugin", project.directory / "plugin")
    done = project.ok("import", "plugin", "--dry-run")
    for name in ("deploy", "tracker", "lookup"):
        assert f"+ server:{name} " in done.out
    assert "3 servers would be added" in done.out


def test_broken_files_are_said_with_their_lines_and_change_nothing(project: TrialProject) -> None:
    broken = {
        "compose.yaml": ("services:\n  mcp: [\n", "3: it is no YAML"),
        "environments.json": ('{"lab": {"packages": [{}]}}', "1: lab.packages[0]: `name` is missing"),
        ".finch-mcp": ("runtime:\n  command: it's\n", "2: runtime.command: its words cannot be told apart"),
        "kit.mcpb": ("no archive", " it is no MCP bundle: it is no zip archive that can be read"),
    }
    for name, (content, _) in broken.items():
        (project.directory / name).write_text(content)
    done = project.fails("import", *broken)
    for name, (_, said) in broken.items():
        assert f"{name}:{said}" in done.err
    assert done.err.count("hint: mend the file, or leave it out of the import; it was not changed") == len(broken)
    assert project.manifest.read_text() == MANIFEST
