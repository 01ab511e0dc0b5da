"""Files that people paste: in every application's own form, as `apply` writes them, or started without hatchlock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.catalogue import CLIENTS, Client
from hatchlock.clients.owners import start_for
from hatchlock.clients.shape import Address, Start
from hatchlock.launch import SecretReference
from hatchlock.migrate.applications import read_application
from hatchlock.migrate.devcontainer import DEVCONTAINER
from hatchlock.migrate.outgoing.clients import client_file, pinned_client_file, pinned_entries, vscode_inputs
from hatchlock.migrate.outgoing.handing import HANDS_ON
from hatchlock.migrate.outgoing.model import Addressed, Started
from hatchlock.migrate.outgoing.policies import devcontainer
from hatchlock.migrate.outgoing.references import secret_names
from hatchlock.paths import Home

HOME = Home(root=Path("/home/ada/.local/share/hatchlock"), is_default=True)
TOKEN = SecretReference(secret="env:TIME_TOKEN")
TIME = Started(
    name="time",
    words=("uvx", "--from", "mcp-server-time==1.2", "mcp-server-time"),
    env={"ZONE": "UTC"},
    secrets={"KEY": TOKEN},
)
TRACKER = Addressed(
    name="tracker",
    url="https://mcp.example.com/mcp",
    secrets={"Authorization": SecretReference(secret="keyring:tracker-token", format="Bearer {}")},
)

each_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)


@each_client
@pytest.mark.parametrize("scope", ["user", "project"])
def test_a_file_is_what_apply_writes_into_an_empty_one(client: Client, scope: Any) -> None:
    starts = {
        name: start_for(scope=scope, launcher=str(HOME.bin / "hatchlock"), home=HOME, project="acme", server=name)
        for name in ("fetch", "time")
    }
    entries = {name: client.shape.written(start) for name, start in starts.items()}
    made = client_file(client, entries, file="mcp")
    read = client.dialect.read(made.files["mcp"].encode())
    assert {name: client.shape.read(entry.value) for name, entry in read.items()} == starts
    assert made.servers == ("fetch", "time")
    assert made.files["mcp"].endswith("\n")


@each_client
def test_what_needs_no_hatchlock_means_the_same_to_every_application(client: Client) -> None:
    made = pinned_client_file(client, [TIME, TRACKER], file="mcp")
    read = client.dialect.read(made.files["mcp"].encode())
    found = {name: client.shape.read(entry.value) for name, entry in read.items()}
    time = found["time"]
    assert isinstance(time, Start)
    assert (time.command, *time.args) == TIME.words
    assert time.env["ZONE"] == "UTC"
    if client.name not in HANDS_ON:
        assert "TIME_TOKEN" in time.env["KEY"]
    if client.shape.http is None:
        assert [item.server for item in made.withheld] == ["tracker"]
    else:
        tracker = found["tracker"]
        assert isinstance(tracker, Address)
        assert tracker.url == TRACKER.url
        assert client.name == "codex" or tracker.headers["Authorization"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("claude-code", "${TIME_TOKEN}"),
        ("continue", "${{ secrets.TIME_TOKEN }}"),
        ("cursor", "${env:TIME_TOKEN}"),
        ("gemini", "$TIME_TOKEN"),
        ("opencode", "{env:TIME_TOKEN}"),
        ("vscode", "${input:TIME_TOKEN}"),
        ("zed", "<TIME_TOKEN>"),
    ],
)
def test_a_secret_is_what_the_application_puts_in(name: str, place: str) -> None:
    client = CLIENTS[name]
    made = pinned_client_file(client, [TIME], file="mcp")
    read = client.shape.read(client.dialect.read(made.files["mcp"].encode())["time"].value)
    assert isinstance(read, Start)
    assert read.env["KEY"] == place


def test_codex_and_goose_are_told_whose_names_they_hand_on() -> None:
    form = SecretReference(secret="env:SHOP", format="key {}")
    shop = Addressed(name="shop", url="https://shop.example.com", headers={"A": "b"}, secrets={"X-Key": form})
    boxed = Started(
        name="boxed",
        words=("boxed",),
        secrets={"KEY": form, "CERT": SecretReference(secret="file:c", as_="file")},
    )
    servers: list[Started | Addressed] = [TIME, TRACKER, shop, boxed]
    codex = pinned_entries(CLIENTS["codex"], servers)
    assert codex.values["time"]["env_vars"] == ["KEY"]
    assert codex.values["time"]["env"] == {"ZONE": "UTC"}
    assert codex.values["boxed"]["env_vars"] == ["KEY", "CERT_FILE"]
    assert codex.values["tracker"]["bearer_token_env_var"] == "TRACKER_TOKEN"
    assert codex.values["shop"]["env_http_headers"] == {"X-Key": "SHOP"}
    assert [str(note) for note in codex.notes] == [
        "time: Codex takes KEY from a variable of its own, KEY",
        "tracker: Codex takes Authorization from a variable of its own, TRACKER_TOKEN",
        "shop: Codex takes X-Key, whole, as key … from a variable of its own, SHOP",
        "boxed: Codex takes KEY, whole, as key … from a variable of its own, KEY",
        "boxed: Codex takes a file with CERT from a variable of its own, CERT_FILE",
    ]
    goose = pinned_entries(CLIENTS["goose"], servers)
    assert goose.values["time"]["env_keys"] == ["KEY"]
    assert goose.values["tracker"]["env_keys"] == ["TRACKER_TOKEN"]
    assert goose.values["tracker"]["headers"] == {"Authorization": "Bearer ${TRACKER_TOKEN}"}
    assert goose.values["shop"]["headers"] == {"A": "b", "X-Key": "key ${SHOP}"}


def test_the_applications_own_fields_stay_without_hatchlock_too() -> None:
    own = {"time": {"enabled": False, "env_vars": ["HTTPS_PROXY"]}, "tracker": {"env_vars": ["X"], "enabled": False}}
    codex = pinned_entries(CLIENTS["codex"], [TIME, TRACKER], own)
    assert codex.values["time"]["enabled"] is False
    assert codex.values["time"]["env_vars"] == ["HTTPS_PROXY", "KEY"]
    assert codex.values["tracker"]["enabled"] is False
    assert "env_vars" not in codex.values["tracker"]
    assert "tracker: env_vars of Codex is about programs that it starts, and left out" in map(str, codex.notes)
    goose = pinned_client_file(CLIENTS["goose"], [TIME], file="mcp", own={"time": {"enabled": False, "timeout": 5}})
    assert "enabled: false" in goose.files["mcp"]


def test_vs_code_asks_for_each_secret_once_and_keeps_it() -> None:
    other = Started(name="other", words=("other",), secrets={"SAME": TOKEN})
    document = json.loads(pinned_client_file(CLIENTS["vscode"], [TIME, other, TRACKER], file="mcp").files["mcp"])
    assert document["inputs"] == [
        {"type": "promptString", "id": "TIME_TOKEN", "description": "KEY of time", "password": True},
        {"type": "promptString", "id": "TRACKER_TOKEN", "description": "Authorization of tracker", "password": True},
    ]
    assert document["servers"]["other"]["env"] == {"SAME": "${input:TIME_TOKEN}"}


def test_what_an_application_would_replace_is_said() -> None:
    server = Started(name="odd", words=("odd", "costs $5"), env={"HOME_OF": "${HOME}"})
    noted = {
        name: pinned_client_file(CLIENTS[name], [server], file="mcp").notes for name in ("claude-code", "crush", "zed")
    }
    assert {name: len(notes) for name, notes in noted.items()} == {"claude-code": 1, "crush": 1, "zed": 0}


def test_a_working_directory_that_an_application_cannot_have_is_a_reason() -> None:
    server = Started(name="odd", words=("odd",), cwd="/srv")
    made = pinned_client_file(CLIENTS["windsurf"], [server], file="mcp")
    assert made.files == {}
    assert "directory of its own choice" in made.withheld[0].why


@each_client
def test_import_reads_what_was_pasted(client: Client) -> None:
    data = pinned_client_file(client, [TIME, TRACKER], file="mcp").files["mcp"].encode()
    reading = read_application(client, data, file="mcp").reading
    found = {server.name: server for server in reading.servers}
    time = found["time"]
    assert time.fields["source"] == "pypi:mcp-server-time==1.2"
    assert time.fields["env"] == {"ZONE": "UTC"}
    assert [item.key for item in time.secrets] == ["KEY"]
    assert not any(item.value for item in time.secrets)
    if client.shape.http:
        assert found["tracker"].fields["url"] == TRACKER.url
        assert [(item.key, item.format) for item in found["tracker"].secrets] == [("Authorization", "Bearer {}")]


def test_import_reads_the_part_of_a_dev_container() -> None:
    servers: list[Started | Addressed] = [TIME, TRACKER]
    entries, asked = pinned_entries(CLIENTS["vscode"], servers), vscode_inputs(servers, secret_names(servers))
    data = devcontainer(entries.values, asked, created="").encode()
    reading = DEVCONTAINER.read(Path("devcontainer.json"), data)
    assert [server.name for server in reading.servers] == ["time", "tracker"]
    assert reading.servers[0].fields["source"] == "pypi:mcp-server-time==1.2"
