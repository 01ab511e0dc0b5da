"""Files of mcp-compose as servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.formats import FORMATS
from hatchlock.migrate.mcp_compose import MCP_COMPOSE
from hatchlock.migrate.model import Reading
from support import imports

FILE = imports.IMPORTS / "mcp-compose/mcp-compose.yaml"
HERE = FILE.parent


@pytest.fixture(autouse=True)
def _usual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCP_ENV", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")


def server(text: str) -> Reading:
    return imports.read(MCP_COMPOSE, Path("/srv/mcp-compose.yaml"), f"version: '1'\nservers:\n  kit:\n{text}".encode())


def test_packages_are_packages_whatever_image_ran_them() -> None:
    reading = imports.read(MCP_COMPOSE, FILE)
    assert imports.fields(reading, "github") == {
        "source": "npm:@modelcontextprotocol/server-github@2025.4.8",
        "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": {"secret": "env:GITHUB_TOKEN"}},
    }
    assert imports.fields(reading, "memory") == {
        "source": "npm:@modelcontextprotocol/server-memory",
        "sandbox": {
            "mounts": [{"source": f"{HERE}/memory", "target": "/memory", "mode": "rw"}],
            "reason": "taken over from an mcp-compose file",
        },
    }
    imports.manifest(reading)


def test_an_image_has_its_limits_user_mounts_and_data() -> None:
    assert imports.fields(imports.read(MCP_COMPOSE, FILE), "files") == {
        "source": "oci:mcp/filesystem:1.0.2",
        "args": ["/workspace"],
        "sandbox": {
            "cpus": 0.5,
            "memory": "256m",
            "pids": 50,
            "user": "1000:1000",
            "mounts": [
                {"source": "~/Documents", "target": "/workspace", "mode": "ro"},
                {"source": f"{HERE}/shared", "target": "/shared", "mode": "rw"},
            ],
            "writable": ["/cache"],
            "reason": "taken over from an mcp-compose file",
        },
    }


def test_a_server_that_is_built_and_speaks_http() -> None:
    assert imports.fields(imports.read(MCP_COMPOSE, FILE), "notes") == {
        "build": {"context": f"{HERE}/custom/notes", "dockerfile": "Dockerfile", "args": {"BASE": "node:22-slim"}},
        "args": ["node", "/app/dist/index.js", "--port", "3000"],
        "env": {"LOG_LEVEL": "debug", "API_KEY": {"secret": "keyring:API_KEY"}},
        "sandbox": {
            "cpus": 2.0,
            "memory": "2g",
            "capabilities": ["SYS_ADMIN"],
            "reason": "taken over from an mcp-compose file",
        },
        "transport": "http",
        "port": 3000,
        "host-port": 8300,
        "path": "/mcp",
    }


def test_the_environment_that_is_in_use_has_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_ENV", "production")
    reading = imports.read(MCP_COMPOSE, FILE)
    assert imports.fields(reading, "notes")["env"]["LOG_LEVEL"] == "warning"
    assert "117: the environment `development`: production is in use; MCP_ENV chooses another" in imports.left(reading)


def test_what_has_no_counterpart_is_listed() -> None:
    found = imports.left(imports.read(MCP_COMPOSE, FILE))
    assert [item.partition(": ")[0] for item in found] == [
        *("4", "8", "22", "40", "41", "43", "46", "50", "74", "75", "79", "88", "92", "98", "106", "109", "122", "128"),
    ]
    assert (
        '40: `volumes`: what the volume files-cache holds stays there; to copy it, write [[adopt]] with address = "volume:files/cache" and name = "files-cache"'
        in found
    )
    assert "109: `postgres`: nothing says that it is an MCP server: it has no capabilities and no protocol" in found
    assert any(item.startswith("98: `secretive`: hatchlock puts nothing into arguments") for item in found)


def test_a_home_directory_stands_for_itself_where_a_path_inside_is_said() -> None:
    reading = server('    image: a/b:1\n    capabilities: [tools]\n    volumes: ["${HOME}/code:${HOME}/code:rw"]\n')
    assert imports.fields(reading, "kit")["sandbox"]["mounts"] == [
        {"source": "~/code", "target": "/home/somebody/code", "mode": "rw"}
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("    image: a/b:1\n    protocol: sse\n", "the older HTTP"),
        ("    image: a/b:1\n    protocol: tcp\n", "hatchlock speaks to no server over tcp"),
        ("    image: redis:7\n", "nothing says that it is an MCP server"),
        ("    image: NOPE\n    protocol: stdio\n", "no image reference"),
    ],
)
def test_what_cannot_be_a_server_is_said(text: str, why: str) -> None:
    reading = server(text)
    assert reading.servers == ()
    assert why in reading.left[0].what


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("    env: {}\n", 3),
        ("    image: [a]\n    protocol: stdio\n", 4),
        ("    command: npx\n    args: {a: b}\n", 5),
        ("    command: npx\n   bad\n", 5),
        ("    image: a/b:1\n    protocol: http\n    http_port: many\n", 6),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(text: str, line: int) -> None:
    with pytest.raises(Unreadable) as caught:
        server(text)
    assert str(caught.value.place) == f"/srv/mcp-compose.yaml:{line}"
    assert caught.value.hint


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"services: {a: {image: b}}", b"version: '3'\nservers: {a: {capabilities: []}}\n"]
)
def test_files_of_others_are_not_taken(data: bytes) -> None:
    assert not MCP_COMPOSE.matches(Path("other.yaml"), data)


def test_each_file_here_is_taken_by_its_own_format_first() -> None:
    own = {
        "apm": "apm",
        "docker-mcp": "docker-mcp",
        "gridctl": "gridctl",
        "mcp-compose": "mcp-compose",
        "mcpd": "mcpd",
        "mcpm": "mcpm",
        "toolhive": "toolhive",
    }
    beside = {"secrets.dev.toml", "config.yaml", "tools.yaml"}
    for directory, name in own.items():
        for path in sorted((imports.IMPORTS / directory).rglob("*.*")):
            if path.is_file() and path.name not in beside:
                found = next((kind.name for kind in FORMATS if kind.matches(path, path.read_bytes())), "")
                assert found.startswith(name), path
