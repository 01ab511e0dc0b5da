"""Where each application keeps its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS

HOME = Path("/home/someone")


@pytest.mark.parametrize("platform", ["linux", "darwin", "freebsd14"])
def test_the_users_files_are_where_the_applications_look(platform: str) -> None:
    assert CLIENTS["claude-code"].user_path(HOME, {}, platform) == HOME / ".claude.json"
    assert CLIENTS["cursor"].user_path(HOME, {}, platform) == HOME / ".cursor/mcp.json"


def test_claude_code_can_be_told_another_directory() -> None:
    environ = {"CLAUDE_CONFIG_DIR": "/srv/claude"}
    assert CLIENTS["claude-code"].user_path(HOME, environ, "linux") == Path("/srv/claude/.claude.json")
    assert CLIENTS["cursor"].user_path(HOME, environ, "linux") == HOME / ".cursor/mcp.json"
    assert CLIENTS["claude-code"].user_path(HOME, {"CLAUDE_CONFIG_DIR": ""}, "linux") == HOME / ".claude.json"


def test_a_projects_files_are_inside_the_project() -> None:
    files = {name: client.project_path(Path("/p")) for name, client in CLIENTS.items()}
    assert files == {"claude-code": Path("/p/.mcp.json"), "cursor": Path("/p/.cursor/mcp.json")}


@pytest.mark.parametrize("name", CLIENTS)
def test_every_record_is_complete(name: str) -> None:
    client = CLIENTS[name]
    assert client.name == name
    assert client.title
    assert set(client.notes) == {"user", "project"}
    assert "linux" in client.user_files
