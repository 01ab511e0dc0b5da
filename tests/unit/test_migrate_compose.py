"""Compose files as servers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hatchlock.migrate.compose import COMPOSE
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.model import Reading
from support import imports


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture's directory, with the `.env` that no repository has."""
    path = tmp_path_factory.mktemp("compose") / "acme"
    shutil.copytree(imports.IMPORTS / "compose", path)
    (path / "dotenv").rename(path / ".env")
    return path


@pytest.fixture(scope="module")
def reading(directory: Path) -> Reading:
    return imports.read(COMPOSE, directory / "compose.yaml")


def one(text: str, *, directory: Path = Path("/srv/acme")) -> Reading:
    """Return what is read of a single service, whose keys are given."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return imports.read(COMPOSE, directory / "compose.yaml", f"services:\n  web:\n{lines}".encode())


def server(text: str) -> dict[str, Any]:
    reading = one("image: a/b:1\n" + text)
    imports.manifest(reading)
    return imports.fields(reading, "web")


def test_a_service_that_speaks_on_stdin_is_a_stdio_server(reading: Reading) -> None:
    assert imports.fields(reading, "github-mcp") == {
        "source": "oci:ghcr.io/github/github-mcp-server:0.22",
        "args": ["stdio", "--toolsets", "repos,issues"],
        "env": {
            "GITHUB_PERSONAL_ACCESS_TOKEN": {"secret": "keyring:GITHUB_PERSONAL_ACCESS_TOKEN"},
            "GITHUB_HOST": "https://github.example.com",
            "LOG_LEVEL": "info",
            "TZ": {"secret": "env:TZ", "required": False},
        },
        "sandbox": {
            "network": ["github.example.com:443"],
            "memory": "1536m",
            "pids": 64,
            "reason": "taken over from a compose file",
        },
    }
    (secret,) = imports.server(reading, "github-mcp").secrets
    assert secret.value == "ghp_0f1e2d3c4b5a69788796a5b4c3d2e1f0ABCD"
    assert imports.server(reading, "github-mcp").notes == ("as if LOG_LEVEL were not set where compose is started",)


def test_a_service_that_is_built_and_published_is_an_http_server(reading: Reading, directory: Path) -> None:
    assert imports.fields(reading, "notes-mcp") == {
        "build": {
            "context": f"{directory}/notes",
            "dockerfile": "docker/Dockerfile",
            "target": "runtime",
            "args": {"PYTHON_VERSION": "3.12"},
        },
        "args": ["notes-server", "--transport", "streamable-http", "--port", "8080"],
        "cwd": "/srv",
        "transport": "http",
        "port": 8080,
        "host-port": 8080,
        "env": {
            "NOTES_TITLE": "Our notes",
            "NOTES_SECRET": {"secret": "keyring:NOTES_SECRET"},
            "DATABASE_URL": {"secret": "env:DB_PASSWORD", "format": "postgres://notes:{}@db:5432/notes"},
            "SEARCH_TOKEN": {"secret": "env:SEARCH_TOKEN"},
            "API_KEY": {"secret": f"file:{directory}/notes/api-key.txt", "as": "file"},
            "MOTTO": "costs $5",
        },
        "groups": ["work"],
        "sandbox": {
            "user": "1000:1000",
            "memory": "256m",
            "cpus": 0.5,
            "files": 2048,
            "tmp": "32m",
            "mounts": [
                {"source": f"{directory}/notes/data", "target": "/data", "mode": "rw"},
                {"source": "~/Documents", "target": "/documents", "mode": "ro"},
            ],
            "writable": ["/home/app/cache"],
            "capabilities": ["NET_BIND_SERVICE"],
            "seccomp": "unconfined",
            "stop-signal": "SIGINT",
            "stop-grace": 90.0,
            "reason": "taken over from a compose file",
        },
    }


def test_everything_else_is_listed_with_its_line(reading: Reading) -> None:
    assert imports.left(reading) == [
        "6: `restart`: hatchlock starts a server again by itself",
        (
            "21: `notes-mcp`: its variables name db:5432, which stays with compose; publish that port, "
            "and write localhost for it there"
        ),
        "28: `cache_from`: a build here has neither network nor secrets, and nothing of other builds",
        "35: `env_file`: ./notes/also-missing.env is not there",
        "37: `DATABASE_URL`: the value that it has without DB_PASSWORD is not kept: set that variable",
        "42: `ports`: it was reached from everywhere; hatchlock's way to it leads from this machine only",
        "43: `ports`: 9090; a server has one port, and 8080 is taken for it",
        (
            "50: `volumes`: what the volume notes-cache holds stays there; to copy it, write [[adopt]] with address = "
            '"volume:notes-mcp/home/app/cache" and name = "acme-tools_notes-cache"'
        ),
        "51: `volumes`: /var/run/docker.sock; whoever reaches a container engine owns the machine",
        '54: `secrets`: tls: it is external; write env.NAME = { secret = …, as = "file" }',
        "64: `replicas`: a server runs once, on this machine",
        "67: `memory`: hatchlock has limits, and reserves nothing",
        "70: `core`: hatchlock has no such limit",
        "76: `depends_on`: db stays with compose, and is to be started by it",
        "79: `networks`: each server has its own; a host is reached by its name, in sandbox.network",
        "80: `healthcheck`: a server is healthy if it answers over MCP; `probe` says how it is asked",
        "82: `credential_spec`: it has no counterpart",
        (
            "86: `remote-mcp`: `command`: one of its words looks like a secret, and a manifest is no place for one; "
            "give it as a variable that the server reads"
        ),
        "89: `unknown-mcp`: `image`: TAG has no value, neither in .env nor by default",
        "91: `db`: nothing says that it is an MCP server; if it is one, `hatchlock add` it by its image",
    ]


def test_the_manifest_of_it_is_valid(reading: Reading) -> None:
    manifest = imports.manifest(reading).manifest
    assert sorted(manifest.servers) == ["github-mcp", "notes-mcp"]


def test_no_secret_is_shown(reading: Reading) -> None:
    shown = repr(reading) + repr(imports.left(reading))
    for secret in ("ghp_0f1e", "n0t-really", "changeme"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("ports: ['3000']", {"transport": "http", "port": 3000}),
        ("ports: ['127.0.0.1:8000:3000/tcp']", {"transport": "http", "port": 3000, "host-port": 8000}),
        ("ports: [{target: 3000, published: '8000', host_ip: 127.0.0.1}]", {"port": 3000, "host-port": 8000}),
        ("ports: ['53:53/udp']", {}),
        ("ports: ['8000:8000', '3000:3000']\nenvironment: {PORT: 3000}", {"port": 3000}),
        ("expose: [3000]", {"transport": "http", "port": 3000}),
        ("stdin_open: true\nports: ['3000:3000']", {}),
        ("entrypoint: node server.js", {"command": ["node", "server.js"]}),
        ('command: sh -c "a b"', {"args": ["sh", "-c", "a b"]}),
        (
            "network_mode: host",
            {"sandbox": {"network": "host", "reason": "its addresses were taken over from a compose file"}},
        ),
        ("network_mode: none", {"sandbox": {"network": "none"}}),
        ("network_mode: service:vpn", {}),
        ("user: root", {}),
        ("user: '0:0'", {}),
        ("user: node", {}),
        ("cap_add: [ALL]", {}),
        ("privileged: true", {}),
        (
            "volumes: ['/var/lib/x']",
            {"sandbox": {"writable": ["/var/lib/x"], "reason": "taken over from a compose file"}},
        ),
        ("volumes: ['./a:/proc/a']", {}),
        ("volumes: [{type: tmpfs, target: /x}]", {}),
        ("tmpfs: [/run, /scratch]", {}),
        ("mem_limit: lots", {}),
        ("cpus: 0", {}),
        ("stop_signal: SIGRTMIN+3", {}),
        ("environment: ['bad name=x']", {}),
    ],
)
def test_keys_of_a_service(text: str, fields: dict[str, Any]) -> None:
    found = server(text)
    assert fields.items() <= found.items()
    assert {"transport", "sandbox", "command"} & found.keys() <= fields.keys() | (
        {"transport"} if "port" in fields else set()
    )


@pytest.mark.parametrize("size", ["512m", "512M", "512mb", "536870912", "524288k", "0.5g", "512 MiB"])
def test_a_size_is_written_as_a_manifest_has_it(size: str) -> None:
    assert server(f"mem_limit: {size}")["sandbox"]["memory"] == "512m"


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("API_TOKEN: ${TOKEN}", {"secret": "env:TOKEN"}),
        ("API_TOKEN: ${TOKEN:-}", {"secret": "env:TOKEN", "required": False}),
        ("API_TOKEN: Bearer ${TOKEN}", {"secret": "env:TOKEN", "format": "Bearer {}"}),
        ("API_TOKEN:", {"secret": "env:API_TOKEN"}),
        ("API_TOKEN: ${A}-${B}", {"secret": "env:API_TOKEN"}),
        ("API_TOKEN: s3cr3t$$tail-0123456789", {"secret": "keyring:API_TOKEN"}),
        ("MODE: ${MODE}", {"secret": "env:MODE", "required": False}),
        ("MODE: ${MODE:?say how fast}", {"secret": "env:MODE"}),
        ("MODE: mode=${MODE?}", {"secret": "env:MODE", "format": "mode={}"}),
        ("MODE: ${MODE:-${SPEED:?say how fast}}", {"secret": "env:MODE"}),
        ("MODE: ${MODE:-fast}-${SIZE:-big}", "fast-big"),
        ("MODE: 1", "1"),
        ("MODE: true", "true"),
    ],
)
def test_a_variable_is_a_value_or_a_reference(text: str, env: object) -> None:
    (found,) = server(f"environment:\n  {text}")["env"].values()
    assert found == env


def test_only_services_that_speak_mcp_are_servers() -> None:
    text = b"""
services:
  api: {image: a/b}
  tools: {image: a/mcp-tools}
  proxy: {image: nginx, command: serve}
  chat: {image: a/c, environment: [MCP_PORT=3000]}
"""
    reading = imports.read(COMPOSE, Path("/x/docker-compose.yml"), text)
    assert [item.name for item in reading.servers] == ["tools", "chat"]
    assert [item.partition(":")[0] for item in imports.left(reading)] == ["3", "5"]


def test_a_name_without_a_value_leaves_what_an_env_file_says(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("MODE=fast\nSIZE=1\n")
    reading = one("image: a/b:1\nenv_file: x.env\nenvironment: [MODE, SIZE=2, LEVEL]", directory=tmp_path)
    level = {"secret": "env:LEVEL", "required": False}
    assert imports.fields(reading, "web")["env"] == {"MODE": "fast", "SIZE": "2", "LEVEL": level}


@pytest.mark.parametrize("name", ["~0", "~nobody-of-that-name/x.env", "~0/x.env"])
def test_a_tilde_that_is_nobodys_home_is_part_of_a_name(tmp_path: Path, name: str) -> None:
    text = f"image: a/b:1\nenv_file: '{name}'\nvolumes: ['{name}:/data']"
    assert imports.left(one(text, directory=tmp_path))[0] == f"4: `env_file`: {name} is not there"
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("MODE=fast\n")
    assert imports.fields(one(text, directory=tmp_path), "web")["env"] == {"MODE": "fast"}


def test_an_env_file_that_is_broken_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("GOOD=1\nwhat is this\n")
    reading = one("image: a/b:1\nenv_file: x.env", directory=tmp_path)
    assert imports.left(reading) == [
        "4: x.env:2: it is no line of a dotenv file, so its variables are not carried over"
    ]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("image: node:22\ncommand: npx -y @acme/kit@1.2.0 --all", {"source": "npm:@acme/kit@1.2.0", "args": ["--all"]}),
        (
            "image: ghcr.io/astral-sh/uv:python3.12\nentrypoint: [uvx]\ncommand: [acme-kit==1.0]",
            {"source": "pypi:acme-kit==1.0"},
        ),
        (
            "image: node:22\ncommand: npx -y @acme/kit --token ${KIT_TOKEN}",
            None,
        ),
        ("image: node:22\ncommand: npm start", {"source": "oci:node:22", "args": ["npm", "start"]}),
    ],
)
def test_a_package_that_an_image_only_runs_is_the_source(text: str, fields: dict[str, Any] | None) -> None:
    reading = one(text)
    assert [imports.fields(reading, item.name) for item in reading.servers] == ([fields] if fields else [])
    imports.manifest(reading)


def test_a_server_that_names_others_beside_it_is_told_how_to_reach_them() -> None:
    text = b"""
services:
  kit-mcp:
    image: a/b:1
    environment:
      API_URL: http://api:8181/v1
      CACHE_URL: redis://cache-1:6379
      SEARCH_URL: https://search.example.com
  api: {image: a/api}
  cache: {image: redis, container_name: cache-1}
"""
    reading = imports.read(COMPOSE, Path("/x/compose.yaml"), text)
    assert imports.fields(reading, "kit-mcp")["sandbox"]["network"] == ["search.example.com:443"]
    said = [item.what for item in imports.server(reading, "kit-mcp").left]
    assert said == [
        f"`kit-mcp`: its variables name {host}, which stays with compose; publish that port, and write localhost for it there"
        for host in ("api:8181", "cache-1:6379")
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("environment:\n  - MCP_TRANSPORT=sse", 5),
        ("environment: {TRANSPORT: SSE}", 4),
        ("command: serve --transport sse", 4),
        ("command: serve --transport http", 0),
    ],
)
def test_a_server_that_is_told_to_speak_sse_is_to_be_told_otherwise(text: str, line: int) -> None:
    reading = one("image: a/b:1\n" + text)
    said = [item for item in imports.left(reading) if "instead of SSE" in item]
    assert [item.partition(":")[0] for item in said] == ([str(line)] if line else [])


def test_what_stands_in_other_files_is_said(tmp_path: Path) -> None:
    (tmp_path / "compose.override.yml").write_text("services: {}\n")
    text = b"include: [more.yaml]\nservices:\n  web:\n    image: a/b:1\n    extends: {file: base.yaml, service: web}\n"
    reading = imports.read(COMPOSE, tmp_path / "compose.yaml", text)
    everything = "import what `docker compose config` prints, which has everything in one file"
    assert imports.left(reading) == [
        f"0: `compose.override.yml`: compose reads it as well; {everything}",
        f"1: `include`: {everything}",
        f"5: `extends`: {everything}",
    ]
    assert imports.left(imports.read(COMPOSE, tmp_path / "compose.prod.yaml", text))[0].startswith("1: ")


def test_a_build_from_a_repository_is_left() -> None:
    reading = one("build: https://github.com/acme/mcp.git#main")
    assert imports.left(reading)[0].startswith("3: `web`: `build`: it is built from a repository")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"services:\n  a: [\n", "compose.yaml:3: it is no YAML"),
        (b"version: '3'\n", "compose.yaml:1: `services` is missing"),
        (b"services:\n  web: nginx\n", "compose.yaml:2: services.web: it must be a mapping"),
        (
            b"services:\n  web:\n    image: a/b\n    ports: 80\n",
            "compose.yaml:4: services.web.ports: it must be a list",
        ),
        (b"services:\n  web:\n    image: a/b\n    command: it's\n", "compose.yaml:4: services.web.command: its words"),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(data: bytes, shown: str) -> None:
    with pytest.raises(Unreadable) as problem:
        COMPOSE.read(Path("compose.yaml"), data)
    assert f"{problem.value.place}: {problem.value}".startswith(shown)


@pytest.mark.parametrize(
    ("name", "data", "is_one"),
    [
        ("docker-compose.yml", b"", True),
        ("compose.prod.yaml", b"services: {}", True),
        ("stack.yml", b"services:\n  a: {image: b}\n", True),
        ("-", b"services:\n  a: {image: b}\n", True),
        ("stack.yml", b"services:\n  a: {port: 1}\n", False),
        ("stack.yml", b"services: [\n", False),
        ("mcp-compose.yaml", b"servers: {}\n", False),
        ("x.json", b'{"services:": 1}', False),
    ],
)
def test_a_compose_file_is_known_by_name_or_content(name: str, data: bytes, *, is_one: bool) -> None:
    assert COMPOSE.matches(Path(name), data) is is_one
