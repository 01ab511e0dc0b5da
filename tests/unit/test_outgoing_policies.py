"""What administrators deploy: only the servers of the lock start, by what starts them and not by a name."""

from __future__ import annotations

import json

from hatchlock.clients.shape import Address, Start
from hatchlock.migrate.outgoing.policies import claude_settings, devcontainer, vscode_policy, without_home

START = Start(command="/home/ada/.local/share/hatchlock/bin/hatchlock", args=("run", "--project", "acme", "time"))
TRACKER = Address(url="https://mcp.example.com/mcp", headers={"Authorization": "Bearer ${T}"})


def test_claude_code_starts_nothing_else() -> None:
    assert json.loads(claude_settings([START, TRACKER])) == {
        "allowManagedMcpServersOnly": True,
        "allowedMcpServers": [
            {"serverCommand": [START.command, *START.args]},
            {"serverUrl": "https://mcp.example.com/mcp"},
        ],
    }


def test_vs_code_starts_nothing_else_and_is_told_so_in_a_text() -> None:
    document = json.loads(vscode_policy([START, TRACKER]))
    assert document["ChatMCP"] == "all"
    assert json.loads(document["ChatAllowedMcpServers"]) == [
        {"serverCommand": [START.command, *START.args]},
        {"serverUrl": "https://mcp.example.com/mcp"},
    ]
    assert "McpGalleryServiceUrl" not in document
    gallery = "https://registry.example.com"
    assert json.loads(vscode_policy([], gallery=gallery))["McpGalleryServiceUrl"] == gallery


def test_a_launcher_below_the_home_directory_is_everybodys() -> None:
    assert without_home(START, "/home/ada") == Start(
        command="${HOME}/.local/share/hatchlock/bin/hatchlock", args=START.args
    )
    assert without_home(START, "/home/ad") == START
    assert without_home(TRACKER, "/home/ada") == TRACKER


def test_a_dev_container_has_servers_and_what_makes_them_start() -> None:
    entry = {"type": "stdio", "command": "hatchlock", "args": ["run", "time"]}
    assert json.loads(devcontainer({"time": entry}, (), created="hatchlock apply --yes")) == {
        "customizations": {"vscode": {"mcp": {"servers": {"time": entry}}}},
        "postCreateCommand": {"hatchlock": "hatchlock apply --yes"},
    }
    asked = {"type": "promptString", "id": "T", "description": "T", "password": True}
    assert json.loads(devcontainer({"time": entry}, [asked], created="")) == {
        "customizations": {"vscode": {"mcp": {"inputs": [asked], "servers": {"time": entry}}}}
    }
