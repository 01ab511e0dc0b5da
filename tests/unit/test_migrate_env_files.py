"""Files of variables that entries name: what looks like a secret stays there, and is referred to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.migrate.applications import read_application
from hatchlock.migrate.env_files import file_variables
from hatchlock.migrate.model import Proposed, Secret

TOKEN = "ghp_0123456789abcdefABCDEF0123456789abcd"
VARIABLES = f"""
# what the server needs
GITHUB_TOKEN={TOKEN}
LOG_LEVEL=info
API_URL="https://api.example.com/v1"
COST='$A'
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "keys.env").write_text(VARIABLES)
    return tmp_path


def read(client: str = "vscode", directory: str = "", **entry: Any) -> Proposed:
    found = CLIENTS[client]
    root = "servers" if client == "vscode" else "mcpServers"
    data = json.dumps({root: {"a": {"command": "uvx", "args": ["mcp-server-fetch"], **entry}}}, indent=1).encode()
    (server,) = read_application(found, data, file="mcp.json", directory=directory).reading.servers
    return server


@pytest.mark.parametrize("client", ["vscode", "cursor"])
def test_secrets_name_the_file_and_nothing_of_them_is_copied(home: Path, client: str) -> None:
    server = read(client, envFile="~/keys.env", env={"LOG_LEVEL": "debug"})
    place = f"file:{home}/keys.env"
    assert server.fields["env"] == {"LOG_LEVEL": "debug", "API_URL": "https://api.example.com/v1"}
    assert set(server.secrets) == {
        Secret(table="env", key="GITHUB_TOKEN", reference=f"{place}#GITHUB_TOKEN"),
        Secret(table="env", key="COST", reference=f"{place}#COST"),
    }
    assert server.fields["sandbox"]["network"] == ["api.example.com:443"]
    assert not server.client_fields
    assert not server.left
    assert TOKEN not in repr(server)


def test_a_container_gets_those_that_its_line_hands_on(home: Path) -> None:
    line = ["run", "-i", "--rm", "-e", "GITHUB_TOKEN", "ghcr.io/team/server:1"]
    server = read(command="docker", args=line, envFile="${userHome}/keys.env")
    assert server.secrets == (Secret(table="env", key="GITHUB_TOKEN", reference=f"file:{home}/keys.env#GITHUB_TOKEN"),)
    assert "env" not in server.fields


def test_a_file_of_a_project_begins_where_the_project_is(home: Path) -> None:
    for written in ("${workspaceFolder}/keys.env", "keys.env", "./keys.env"):
        assert file_variables(written, directory=str(home)).is_read


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("${workspaceFolder}/.env", "${workspaceFolder}/.env is known to the application alone"),
        (".env", ".env is known to the application alone"),
        ("~/none.env", "~/none.env is not there"),
        ("~/a#b.env", "no reference can name ~/a#b.env, which has one of #{} in it"),
        ("~/broken.env", "~/broken.env:2: it is no line of a dotenv file, so its variables are not carried over"),
        ("~/bytes.env", "~/bytes.env cannot be read: it is not UTF-8"),
    ],
)
def test_a_file_that_says_nothing_is_named_with_its_line_and_stays(home: Path, written: str, why: str) -> None:
    (home / "broken.env").write_text(f"A=1\nsomething {TOKEN}\n")
    (home / "bytes.env").write_bytes(b"A=\xff\n")
    server = read(envFile=written)
    assert server.client_fields == {"envFile": written}
    (left,) = server.left
    assert left.what.startswith(f"`envFile`: {why}; what it holds reaches hatchlock alone")
    assert left.line == 8
    assert TOKEN not in left.what


def test_an_application_that_reads_no_such_file_is_not_helped_to_one(home: Path) -> None:
    server = read("claude-code", envFile="~/keys.env")
    assert "env" not in server.fields
    assert "no field of Claude Code's entries" in server.left[0].what


def test_the_workspace_of_a_file_of_a_project_is_the_project(home: Path) -> None:
    project = home / "project"
    project.mkdir()
    (project / "package.json").write_text("{}")
    (project / "server.js").write_text("")
    told: dict[str, Any] = {"command": "node", "args": ["${workspaceFolder}/server.js", "${workspaceFolder}"]}
    server = read(**told, cwd="${workspaceFolder}", directory=str(project))
    assert server.fields["source"] == f"path:{project}"
    assert (server.fields["command"], server.fields["args"]) == (["node", "server.js"], ["."])
    assert not server.left
    (left,) = read_application(
        CLIENTS["vscode"], json.dumps({"servers": {"x": told}}).encode(), file="mcp.json"
    ).reading.left
    assert "argument 1 holds a variable" in left.what
