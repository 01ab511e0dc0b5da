"""Servers of plugins of Claude Code, and of dev containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.file_text import Unparsable
from hatchlock.errors import HatchlockError
from hatchlock.migrate.claude_plugin import CLAUDE_PLUGIN
from hatchlock.migrate.devcontainer import DEVCONTAINER
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.model import Reading
from support import imports

ROOT = imports.IMPORTS / "claude-plugin"
CONTAINER = imports.IMPORTS / "devcontainer/.devcontainer/devcontainer.json"


def plugin(directory: Path, servers: object, **more: object) -> Reading:
    path = directory / ".claude-plugin/plugin.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"name": "kit", "mcpServers": servers, **more}, indent=1))
    reading = imports.read(CLAUDE_PLUGIN, path)
    imports.manifest(reading)
    return reading


def test_a_plugin_has_the_servers_that_it_declares_and_those_of_its_file() -> None:
    reading = imports.read(CLAUDE_PLUGIN, ROOT / ".claude-plugin/plugin.json")
    assert [item.name for item in reading.servers] == ["deploy", "tracker", "lookup"]
    assert imports.fields(reading, "deploy") == {
        "source": f"path:{ROOT}",
        "command": ["node", "servers/deploy.js"],
        "args": ["--region", "eu-1"],
        "env": {
            "DEPLOY_TOKEN": {"secret": "keyring:DEPLOY_TOKEN"},
            "STATE": "/data/state.json",
            "TEAM": "core",
        },
        "sandbox": {"writable": ["/data"], "reason": "the plugin keeps its data there"},
    }
    assert imports.fields(reading, "tracker") == {
        "url": "https://mcp.tracker.example.com/mcp",
        "headers": {"Authorization": {"secret": "keyring:Authorization", "format": "Bearer {}"}},
    }
    assert imports.left(reading) == [
        "5: `TEAM`: it has its default now, whatever the variable ACME_TEAM says",
        "13: `alwaysAllow`: the plugin is the application's",
        "20: `leaky`: it gets a secret as an argument, which everybody on this machine can read",
        "24: `nothing`: it neither starts a server nor has the address of one",
    ]
    imports.manifest(reading)


def test_its_file_of_servers_is_read_alone_too() -> None:
    reading = imports.read(CLAUDE_PLUGIN, ROOT / ".mcp.json")
    assert imports.fields(reading, "lookup") == {
        "source": "pypi:acme-lookup==2.1",
        "env": {"LOOKUP_API_KEY": {"secret": "env:LOOKUP_API_KEY"}},
    }


@pytest.mark.parametrize("servers", ["./mine.json", ["./mine.json", ".mcp.json"]])
def test_a_plugin_may_name_files(tmp_path: Path, servers: object) -> None:
    (tmp_path / "mine.json").write_text('{"mcpServers": {"a": {"command": "uvx", "args": ["kit-a==1"]}}}')
    (tmp_path / ".mcp.json").write_text('{"b": {"command": "uvx", "args": ["kit-b==1"]}}')
    assert sorted(item.name for item in plugin(tmp_path, servers).servers) == ["a", "b"]


def test_directories_that_its_user_names_are_mounted(tmp_path: Path) -> None:
    servers: dict[str, Any] = {
        "kit": {"command": "uvx", "args": ["kit==1", "${user_config.dir}"], "cwd": "${CLAUDE_PLUGIN_ROOT}"}
    }
    reading = plugin(tmp_path, servers, userConfig={"dir": {"type": "directory", "default": "/srv/nowhere/docs"}})
    found = imports.fields(reading, "kit")
    assert found["args"] == ["/srv/nowhere/docs"]
    mount = {"source": "/srv/nowhere/docs", "target": "/srv/nowhere/docs", "mode": "ro"}
    assert mount in found["sandbox"]["mounts"]


@pytest.mark.parametrize(
    ("servers", "shown"),
    [
        ("./gone.json", "3: mcpServers: the plugin has no file ./gone.json"),
        ("../outside.json", "3: mcpServers: the plugin has no file ../outside.json"),
        (5, "3: mcpServers: it must be a list"),
    ],
)
def test_a_broken_plugin_is_an_error_with_its_line(tmp_path: Path, servers: object, shown: str) -> None:
    (tmp_path.parent / "outside.json").write_text("{}")
    with pytest.raises(Unreadable) as problem:
        plugin(tmp_path, servers)
    assert f"{problem.value.place}: {problem.value}" == f"{tmp_path}/.claude-plugin/plugin.json:{shown}"


def test_a_plugin_is_known_by_its_place() -> None:
    assert CLAUDE_PLUGIN.matches(ROOT / ".claude-plugin/plugin.json", b"")
    assert CLAUDE_PLUGIN.matches(ROOT / ".mcp.json", b"")
    assert not CLAUDE_PLUGIN.matches(CONTAINER.parent / ".mcp.json", b"")
    assert not CLAUDE_PLUGIN.matches(ROOT / "plugin.json", b"")


def test_a_dev_container_has_what_vs_code_gets_in_it() -> None:
    reading = imports.read(DEVCONTAINER, CONTAINER)
    assert {item.name: imports.fields(reading, item.name) for item in reading.servers} == {
        "playwright": {"source": "npm:@playwright/mcp@0.0.41", "args": ["--headless"]},
        "tracker": {
            "url": "https://mcp.tracker.example.com/mcp",
            "headers": {"Authorization": {"secret": "keyring:Authorization", "format": "Bearer {}"}},
        },
        "time": {"source": "pypi:mcp-server-time==2026.1"},
    }
    shell, dev = imports.left(reading)
    assert shell.startswith("20: `shell`: its command is a script of the shell")
    assert dev == "27: `dev`: only the application whose file it is has it"
    imports.manifest(reading)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"customizations": {\n', "2: it is no JSON: "),
        (
            b'{"customizations": {"vscode":\n {"mcp": {"servers": []}}}}',
            "2: customizations.vscode.mcp.servers: it must",
        ),
    ],
)
def test_a_broken_dev_container_is_an_error_with_its_line(data: bytes, shown: str) -> None:
    with pytest.raises((Unreadable, Unparsable)) as problem:
        DEVCONTAINER.read(Path("devcontainer.json"), data)
    assert isinstance(problem.value, HatchlockError)
    assert f"{problem.value.place}: {problem.value}".startswith(f"devcontainer.json:{shown}")


@pytest.mark.parametrize(
    ("name", "data", "is_one"),
    [
        ("devcontainer.json", CONTAINER.read_bytes(), True),
        ("devcontainer.json", b"{", True),
        ("devcontainer.json", b'{"image": "a"}', False),
        ("devcontainer.json", b'{"customizations": {"vscode": {"extensions": []}}}', False),
        ("other.json", CONTAINER.read_bytes(), False),
    ],
)
def test_a_dev_container_is_known_by_name_and_content(name: str, data: bytes, *, is_one: bool) -> None:
    assert DEVCONTAINER.matches(Path(name), data) is is_one
