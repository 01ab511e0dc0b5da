"""What is known of each application: where its files are, how they are written, what it cannot do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS, Client, Scope
from hatchlock.clients.owners import owner_of, start_for
from hatchlock.clients.shape import Address, Start
from hatchlock.manifest.client_fields import CLIENT_FIELDS, FOR_REMOTE
from hatchlock.paths import Home

HOME = Path("/home/someone")
STORE = Home(root=Path("/h/.local/share/hatchlock"), is_default=True)
each = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


def user_file(name: str, platform: str = "linux", **environ: str) -> str:
    return str(CLIENTS[name].user_path(HOME, environ, platform))


def entry_of(client: Client, scope: Scope = "user") -> dict[str, object]:
    start = start_for(scope=scope, launcher="/h/bin/hatchlock", home=STORE, project="acme", server="time")
    return client.shape.written(start)


@pytest.mark.parametrize("platform", ["linux", "darwin", "freebsd14"])
def test_the_users_files_are_where_the_applications_look(platform: str) -> None:
    assert user_file("claude-code", platform) == "/home/someone/.claude.json"
    assert user_file("cursor", platform) == "/home/someone/.cursor/mcp.json"


def test_a_mac_has_other_places() -> None:
    assert user_file("vscode", "darwin") == "/home/someone/Library/Application Support/Code/User/mcp.json"
    assert user_file("vscode") == "/home/someone/.config/Code/User/mcp.json"


def test_applications_can_be_told_another_directory() -> None:
    assert user_file("claude-code", CLAUDE_CONFIG_DIR="/srv/claude") == "/srv/claude/.claude.json"
    assert user_file("cursor", CLAUDE_CONFIG_DIR="/srv/claude") == "/home/someone/.cursor/mcp.json"
    assert user_file("claude-code", CLAUDE_CONFIG_DIR="") == "/home/someone/.claude.json"
    assert user_file("codex", CODEX_HOME="/srv/codex") == "/srv/codex/config.toml"
    assert user_file("gemini", GEMINI_CLI_HOME="/srv/g") == "/srv/g/.gemini/settings.json"
    assert user_file("crush", XDG_CONFIG_HOME="/srv/c") == "/srv/c/crush/crush.json"


def test_what_is_not_below_the_directory_that_a_variable_names_stays() -> None:
    there = user_file("vscode", "darwin", XDG_CONFIG_HOME="/srv/c")
    assert there == "/home/someone/Library/Application Support/Code/User/mcp.json"


def test_a_projects_files_are_inside_the_project() -> None:
    files = {name: client.project_path(Path("/p")) for name, client in CLIENTS.items()}
    assert files["claude-code"] == Path("/p/.mcp.json")
    assert files["cursor"] == Path("/p/.cursor/mcp.json")
    assert files["claude-desktop"] is None


@each
def test_every_record_is_complete(client: Client) -> None:
    assert CLIENTS[client.name] is client
    assert client.title
    assert {"linux", "darwin"} <= set(client.user_files)
    assert set(client.notes) == {"user", "project"}
    assert client.notes["user"]
    assert bool(client.notes["project"]) == bool(client.project_file)
    assert not (client.project_file and client.no_project)
    assert not any(path.startswith("/") for path in (*client.user_files.values(), client.project_file, *client.markers))
    assert re.fullmatch(r"2026-\d\d-\d\d", client.checked.on)
    assert client.checked.pages or client.checked.unproved


def test_there_are_enough_of_them_and_each_has_a_place_for_its_fields() -> None:
    assert len(CLIENTS) >= 25
    assert list(CLIENTS) == sorted(CLIENTS)
    assert set(CLIENT_FIELDS) == set(CLIENTS)


@each
def test_an_entry_of_ours_is_written_and_known_again(client: Client) -> None:
    entry = entry_of(client)
    assert owner_of(client.shape.read(entry), scope="user", home=STORE) == ("acme", "time")
    assert owner_of(client.shape.read(entry_of(client, "project")), scope="project", home=STORE) == ("", "time")


@each
def test_an_entry_comes_into_an_empty_file_and_goes_again(client: Client) -> None:
    entry = entry_of(client)
    data = client.dialect.set(b"", "time", entry)
    assert {name: found.value for name, found in client.dialect.read(data).items()} == {"time": entry}
    renamed = client.dialect.rename(data, "time", "clock", entry)
    assert list(client.dialect.read(renamed)) == ["clock"]
    assert client.dialect.read(client.dialect.remove(data, "time")) == {}


@each
def test_no_field_of_its_own_is_one_that_starts_the_server(client: Client) -> None:
    shape = client.shape
    written = {shape.command, shape.args, shape.env, shape.cwd, "type", "transport", "name", "source"}
    assert not written & set(client.fields)
    assert not FOR_REMOTE & set(client.fields)


def test_no_two_applications_have_one_place_in_one_file() -> None:
    places: dict[tuple[str, str], str] = {}
    for client in CLIENTS.values():
        for file in filter(
            None, (client.user_files["linux"], f"./{client.project_file}" if client.project_file else "")
        ):
            place = (file, repr(client.dialect))
            assert place not in places, f"{client.name} and {places.get(place)}"
            places[place] = client.name


def test_what_an_application_lacks_is_said() -> None:
    assert CLIENTS["claude-desktop"].lacks == ("files of a project", "remote servers", "a working directory")
    assert CLIENTS["claude-code"].lacks == ()
    assert CLIENTS["codex"].lacks == ("server-sent events",)


@pytest.mark.parametrize(
    ("name", "entry", "meant"),
    [
        ("gemini", {"httpUrl": "https://x/mcp"}, Address(url="https://x/mcp")),
        ("gemini", {"url": "https://x/sse"}, Address(url="https://x/sse", transport="sse")),
        ("windsurf", {"serverUrl": "https://x/mcp"}, Address(url="https://x/mcp")),
        ("cline", {"type": "streamableHttp", "url": "https://x/mcp"}, Address(url="https://x/mcp")),
        ("crush", {"type": "sse", "url": "https://x/sse"}, Address(url="https://x/sse", transport="sse")),
        (
            "opencode",
            {"type": "local", "command": ["npx", "x"], "environment": {"A": "1"}},
            Start(command="npx", args=("x",), env={"A": "1"}),
        ),
        (
            "goose",
            {"type": "stdio", "cmd": "npx", "args": ["x"], "envs": {"A": "1"}, "enabled": True},
            Start(command="npx", args=("x",), env={"A": "1"}),
        ),
        (
            "codex",
            {"url": "https://x/mcp", "http_headers": {"X-A": "1"}},
            Address(url="https://x/mcp", headers={"X-A": "1"}),
        ),
        (
            "mistral-vibe",
            {"transport": "stdio", "command": "npx -y 'a server'", "args": ["--fast"]},
            Start(command="npx", args=("-y", "a server", "--fast")),
        ),
        (
            "mistral-vibe",
            {"transport": "stdio", "command": ["/opt/my programs/x"], "args": ["y"]},
            Start(command="/opt/my programs/x", args=("y",)),
        ),
        (
            "mistral-vibe",
            {"transport": "streamable-http", "url": "https://x/mcp", "headers": {"X-A": "1"}},
            Address(url="https://x/mcp", headers={"X-A": "1"}),
        ),
        (
            "jetbrains-copilot",
            {"url": "https://x/mcp", "requestInit": {"headers": {"X-A": "1"}}},
            Address(url="https://x/mcp", headers={"X-A": "1"}),
        ),
    ],
)
def test_what_others_have_written_is_understood(name: str, entry: dict[str, object], meant: Start | Address) -> None:
    assert CLIENTS[name].shape.read(entry) == meant


@pytest.mark.parametrize(
    ("name", "member", "table"),
    [
        ("codex", "http_headers", {"X-A": "1"}),
        ("continue", "requestOptions", {"headers": {"X-A": "1"}}),
        ("mistral-vibe", "auth", {"type": "static", "headers": {"X-A": "1"}}),
        ("windsurf", "headers", {"X-A": "1"}),
    ],
)
def test_headers_stand_where_the_application_looks_for_them(name: str, member: str, table: dict[str, object]) -> None:
    there = Address(url="https://x/mcp", headers={"X-A": "1"})
    shape = CLIENTS[name].shape
    assert shape.written(there)[member] == table
    assert shape.read(shape.written(there)) == there
    assert member not in shape.written(Address(url="https://x/mcp"))


def test_a_program_whose_path_has_a_blank_stays_one_word() -> None:
    start = Start(command="/home/some one/hatchlock", args=("run", "a b"))
    for client in CLIENTS.values():
        assert client.shape.read(client.shape.written(start)) == start
    assert CLIENTS["mistral-vibe"].shape.written(start)["command"] == "'/home/some one/hatchlock'"


@pytest.mark.parametrize("command", ["npx 'x", "", [], 7, ["npx", 7], None])
def test_what_is_no_command_starts_nothing(command: object) -> None:
    assert CLIENTS["mistral-vibe"].shape.read({"transport": "stdio", "command": command}) is None


def test_an_application_that_wants_a_list_does_not_understand_a_text() -> None:
    assert CLIENTS["opencode"].shape.read({"type": "local", "command": "npx x"}) is None
