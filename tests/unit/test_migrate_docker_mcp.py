"""Docker's MCP toolkit as servers: profiles, catalogues, what is enabled, and the places that are filled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.migrate.docker_mcp import DOCKER_MCP
from hatchlock.migrate.docker_places import filled, filled_list
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.model import Reading
from support import imports

FILES = imports.IMPORTS / "docker-mcp"
GIVEN = {"fs": {"paths": ["/a", "/b:/c"], "one": "x", "deep": {"port": 80, "on": True}, "empty": ""}}


def entry(**keys: Any) -> Reading:
    document = {"name": "kit", "type": "server", "image": "mcp/kit:1", **keys}
    return imports.read(DOCKER_MCP, Path("kit.json"), json.dumps(document).encode())


def test_a_profile_is_a_group_of_servers_with_what_their_snapshots_say() -> None:
    reading = imports.read(DOCKER_MCP, FILES / "profile.yaml")
    assert imports.fields(reading, "filesystem") == {
        "source": "oci:mcp/filesystem@sha256:35fcf0217ca0d5bf7b0a5bd68fb3b89e08174676c0e0b4f431604512cf7b3f67",
        "description": "Local filesystem access with configurable allowed paths.",
        "args": ["/srv/projects", "/srv/notes"],
        "sandbox": {
            "network": "none",
            "mounts": [
                {"source": "/srv/projects", "target": "/srv/projects", "mode": "rw"},
                {"source": "/srv/notes", "target": "/srv/notes", "mode": "rw"},
            ],
            "reason": "permitted by Docker's catalogue",
        },
        "groups": ["dev-tools"],
    }
    assert imports.fields(reading, "github") == {
        "source": "oci:mcp/github:latest",
        "description": "Tools for GitHub.",
        "sandbox": {
            "network": ["api.github.com:443", "github.com:443"],
            "reason": "permitted by Docker's catalogue",
        },
        "groups": ["dev-tools"],
        "tools": {"allow": ["search_issues", "get_me"]},
        "env": {
            "GITHUB_PERSONAL_ACCESS_TOKEN": {"secret": "keyring:github.personal_access_token"},
            "GITHUB_URL": {
                "secret": "keyring:github.personal_access_token",
                "format": "https://x-access-token:{}@github.example.com",
            },
        },
    }
    assert imports.fields(reading, "weather") == {
        "source": "mcp:io.github.acme/weather@1.0.2",
        "groups": ["dev-tools"],
        "tools": {"deny": ["*"]},
    }
    assert imports.fields(reading, "notion-remote")["headers"] == {
        "X-Team": "field",
        "Authorization": {"secret": "keyring:notion.token", "format": "Bearer {}"},
    }
    assert imports.server(reading, "notion-remote").notes == (
        "its secret is in Docker's own store, as notion.token: set it here too",
        "log in with `hatchlock login notion-remote`",
    )
    imports.manifest(reading)


def test_what_of_a_profile_cannot_be_kept_is_listed_with_lines() -> None:
    found = imports.left(imports.read(DOCKER_MCP, FILES / "profile.yaml"))
    assert [item.partition(";")[0] for item in found][:2] == [
        "39: `GITHUB_HOST`: github.host is not set",
        "39: `extraHosts`: names of hosts come from DNS and this machine's /etc/hosts",
    ]
    assert found[2].startswith("63: `*.githubusercontent.com:443`: hosts are named in full")
    assert found[3].startswith("68: `config`: ")
    assert found[4].startswith("71: `https://registry.")
    assert len(found) == 5


def test_a_profile_can_be_json_too() -> None:
    reading = imports.read(DOCKER_MCP, FILES / "profile.json")
    assert imports.fields(reading, "time")["groups"] == ["my-profile"]
    assert imports.left(reading) == ["6: `command`: time.zone is not set"]


def test_what_is_enabled_is_described_by_the_files_beside() -> None:
    reading = imports.read(DOCKER_MCP, FILES / "home/registry.yaml")
    assert imports.fields(reading, "duckduckgo")["tools"] == {"allow": ["search"]}
    assert imports.fields(reading, "astra-db") == {
        "source": "oci:mcp/astra-db",
        "description": "An MCP server for Astra DB workloads.",
        "env": {
            "ASTRA_DB_API_ENDPOINT": "https://db.example.com",
            "ASTRA_DB_APPLICATION_TOKEN": {"secret": "keyring:astra-db.astra_db_application_token"},
        },
    }
    assert [item.partition(";")[0] for item in imports.left(reading)] == [
        "4: `ASTRA_DB_KEYSPACE`: astra-db.keyspace is not set",
        "4: the user root: no server runs as root, or as a name that only the image knows",
        "4: the volume astra-cache: what is in it stays there",
        "6: `curl`: each of its tools starts a container, and hatchlock starts servers",
        "8: `unknown`: no catalogue beside the file describes it",
    ]
    imports.manifest(reading)


def test_a_catalogue_is_all_of_its_servers() -> None:
    reading = imports.read(DOCKER_MCP, FILES / "home/catalogs/docker-mcp.yaml")
    assert [item.name for item in reading.servers] == ["duckduckgo", "astra-db", "cloudflare-docs"]
    assert imports.fields(reading, "cloudflare-docs") == {
        "url": "https://docs.mcp.cloudflare.com/sse",
        "transport": "sse",
        "description": "Cloudflare's documentation.",
    }
    imports.manifest(reading)


def test_one_server_of_a_catalogue_can_stand_alone() -> None:
    reading = imports.read(DOCKER_MCP, FILES / "my-server.yaml")
    assert imports.fields(reading, "my-custom-server") == {
        "source": "oci:my-org/my-server:1.4",
        "description": "A custom MCP server",
        "sandbox": {"network": ["api.example.com:443"], "reason": "permitted by Docker's catalogue"},
    }


def test_a_server_that_had_the_internet_gets_none_and_that_is_said() -> None:
    notes = imports.server(entry(), "kit").notes
    assert notes[-1] == "Docker gave it the internet"
    assert not any("internet" in note for note in imports.server(entry(disableNetwork=True), "kit").notes)


def test_a_pattern_of_hosts_is_said_and_opens_nothing() -> None:
    reading = entry(allowHosts=["api.example.com:8443", "*.example.net:443"])
    assert imports.fields(reading, "kit")["sandbox"]["network"] == ["api.example.com:8443"]
    assert [item.partition(": hosts")[0] for item in imports.left(reading)] == ["1: `*.example.net:443`"]
    closed = entry(allowHosts=["*.example.net"])
    assert "sandbox" not in imports.fields(closed, "kit")
    assert not any("internet" in note for note in imports.server(closed, "kit").notes)


def test_what_is_closed_reaches_no_host_whatever_else_it_names() -> None:
    assert imports.fields(entry(allowHosts=["a.example.com", "*.example.com"], disableNetwork=True), "kit")[
        "sandbox"
    ] == {"network": "none"}


def test_tools_that_are_containers_are_no_server_even_if_an_image_is_named() -> None:
    reading = entry(type="poci")
    assert (reading.servers, len(reading.left)) == ((), 1)
    assert "each of its tools starts a container" in reading.left[0].what


def test_a_value_of_two_secrets_is_one_of_its_own() -> None:
    secrets = [{"name": "kit.user", "env": "USER_NAME"}, {"name": "kit.pw", "env": "PW"}]
    reading = entry(secrets=secrets, env=[{"name": "URL", "value": "db://${USER_NAME}:${PW}@db"}])
    assert imports.fields(reading, "kit")["env"]["URL"] == {"secret": "keyring:URL"}
    assert imports.left(reading) == ["1: `URL`: it is put together from several parts; set it to the whole value"]


def test_nothing_is_put_into_arguments() -> None:
    reading = entry(secrets=[{"name": "kit.key", "env": "KEY"}], command=["--key=$KEY"])
    assert (reading.servers, len(reading.left)) == ((), 1)
    assert "hatchlock puts nothing into arguments" in reading.left[0].what


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("plain", ("plain",)),
        ("{{fs.one}}", ("x",)),
        ("a {{ fs.one }} b", ("a x b",)),
        ("{{fs.deep.port}}/{{fs.deep.on}}", ("80/true",)),
        ("{{fs.paths|into}}", ("/a", "/b:/c")),
        ("{{fs.paths|volume|into}}", ("/a:/a", "/b:/c")),
        ("{{fs.paths|volume-target|into}}", ("/a", "/c")),
    ],
)
def test_places_are_filled(text: str, values: tuple[str, ...]) -> None:
    found = filled_list([text], GIVEN)
    assert (found.texts, found.lost) == (values, ())
    assert filled(text, GIVEN).text == " ".join(values)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{fs.none}}", "fs.none is not set"),
        ("{{fs.empty}}", "fs.empty is not set"),
        ("{{fs.one.two}}", "fs.one.two is not set"),
        ("x {{other}}", "other is not set"),
        ("{{fs.one|or:'UTC'}}", "fs.one is changed by Docker's own 'or'"),
    ],
)
def test_a_place_that_cannot_be_filled_is_lost(text: str, why: str) -> None:
    assert filled_list(["a", text], GIVEN).texts == ("a",)
    assert filled_list(["a", text], GIVEN).lost == (why,)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"version: 1\nid: x\nservers:\n  - type: image\n", 4),
        (b"version: 1\nid: x\nservers:\n  - type: remote\n    endpoint: [1]\n", 5),
        (b"registry:\n  a:\n    type: server\n    image: x\n    env: 1\n", 5),
        (b"name: x\ntype: server\nimage: y\nsecrets:\n  - name: a.b\n", 5),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(data: bytes, line: int) -> None:
    path = Path("profile.yaml")
    assert DOCKER_MCP.matches(path, data)
    with pytest.raises(Unreadable) as caught:
        DOCKER_MCP.read(path, data)
    assert str(caught.value.place) == f"profile.yaml:{line}"
    assert caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{",
        b"registry: []",
        b"registry: {a: b}",
        b"registry:\n  npm: {url: https://example.com}\n",
        b"id: 1\nversion: 2\ntype: x\nservers: [{type: web}]\n",
        b"services:\n  a: {image: b}\n",
    ],
)
def test_files_of_others_are_not_taken(data: bytes) -> None:
    assert not DOCKER_MCP.matches(Path("other.yaml"), data)
