"""ToolHive's run configurations and registries as servers, and its permission profiles as sandboxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.model import Reading
from hatchlock.migrate.toolhive import TOOLHIVE
from hatchlock.migrate.toolhive_registry import TOOLHIVE_REGISTRY
from support import imports

FILES = imports.IMPORTS / "toolhive"
RUNNING = FILES / "runconfigs"


def run_config(**keys: Any) -> Reading:
    document = {
        "schema_version": "v0.1.0",
        "name": "kit",
        "image": "ghcr.io/example/kit:1",
        "transport": "stdio",
        **keys,
    }
    return imports.read(TOOLHIVE, Path("kit.json"), json.dumps(document).encode())


def test_a_profile_with_hosts_is_a_network_list_and_tools_and_group_are_kept() -> None:
    reading = imports.read(TOOLHIVE, RUNNING / "github.json")
    assert imports.fields(reading, "github") == {
        "source": "oci:ghcr.io/github/github-mcp-server:v0.22.0",
        "args": ["stdio", "--read-only"],
        "sandbox": {"network": ["api.github.com:443"], "reason": "permitted by ToolHive's profile github"},
        "env": {
            "GITHUB_TOOLSETS": "repos,issues",
            "MCP_TRANSPORT": "stdio",
            "GITHUB_PERSONAL_ACCESS_TOKEN": {"secret": "keyring:github-token"},
        },
        "groups": ["work"],
        "tools": {"allow": ["get_me", "search_issues"]},
    }
    assert imports.server(reading, "github").notes == (
        "its secret is in ToolHive's own store, as github-token: set it here too",
    )
    left = imports.left(reading)
    assert [item.partition(":")[0] for item in left] == ["14", "21", "27", "60", "72"]
    assert left[1].startswith("21: `.githubusercontent.com`: hosts are named in full")
    assert left[-1].startswith("72: the middleware `authz`:")
    imports.manifest(reading)


def test_a_profile_that_allows_everything_is_the_internet_with_a_reason() -> None:
    reading = imports.read(TOOLHIVE, RUNNING / "notes.json")
    fields = imports.fields(reading, "team-notes")
    assert fields["sandbox"] == {
        "mounts": [
            {"source": "/srv/notes/config", "target": "/config", "mode": "ro"},
            {"source": "/srv/shared", "target": "/srv/shared", "mode": "ro"},
            {"source": "/srv/notes/data", "target": "/data", "mode": "rw"},
        ],
        "network": "internet",
        "reason": "permitted by ToolHive's profile notes",
    }
    assert (fields["transport"], fields["port"]) == ("http", 8080)
    assert fields["env"]["NOTES_API_KEY"] == {"secret": "keyring:NOTES_API_KEY"}
    assert "groups" not in fields
    assert [item.partition(": ")[2].partition(":")[0] for item in imports.left(reading)] == [
        "the volume notes-cache",
        "`port`",
        "`publish`",
        "`privileged`",
        "`runtime_config`",
        "`ignore_config`",
    ]
    imports.manifest(reading)


def test_a_remote_server_keeps_its_headers_and_the_names_of_its_secrets() -> None:
    reading = imports.read(TOOLHIVE, RUNNING / "tracker.json")
    assert imports.fields(reading, "tracker") == {
        "url": "https://mcp.tracker.example.com/mcp",
        "headers": {
            "X-Team": "field",
            "X-Api-Key": {"secret": "keyring:tracker-key"},
            "Authorization": {"secret": "keyring:BEARER_TOKEN_tracker", "format": "Bearer {}"},
        },
    }
    assert "5: `remote_auth_config`: log in with `hatchlock login tracker`" in imports.left(reading)
    imports.manifest(reading)


def test_a_package_that_toolhive_makes_an_image_of_is_that_package() -> None:
    reading = imports.read(TOOLHIVE, FILES / "exported.yaml")
    assert imports.fields(reading, "fetch") == {
        "source": "pypi:mcp-server-fetch==2025.4.7",
        "args": ["--ignore-robots-txt"],
        "env": {"HTTPS_PROXY": ""},
        "sandbox": {"network": "none"},
    }
    assert imports.left(reading) == [
        "12: `allow_port`: it names no hosts, and each that is reached is named in full: sandbox.network"
    ]
    imports.manifest(reading)


@pytest.mark.parametrize(
    ("image", "source"),
    [
        ("npx://@scope/kit@1.2.3", "npm:@scope/kit@1.2.3"),
        ("npx://kit@latest", "npm:kit"),
        ("uvx://kit", "pypi:kit"),
        ("toolhivelocal/uvx-kit:20260101000000", "oci:docker-daemon:toolhivelocal/uvx-kit:20260101000000"),
    ],
)
def test_what_an_image_is_made_of(image: str, source: str) -> None:
    reading = run_config(image=image)
    assert imports.fields(reading, "kit")["source"] == source
    imports.manifest(reading)


def test_an_image_that_toolhive_built_is_only_here_and_that_is_said() -> None:
    (note,) = [
        text for text in imports.server(run_config(image="toolhivelocal/npx-kit:1"), "kit").notes if "built" in text
    ]
    assert note == (
        'ToolHive built its image on this machine, where alone it is: name the package instead, source = "npm:…"'
    )


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"image": "go://github.com/example/kit@v1"}, "hatchlock has no source for go:// packages"),
        ({"transport": "sse", "target_port": 9}, "it speaks the older HTTP with server-sent events"),
        ({"cmd_args": ["--token", "ghp_" + "a1" * 18]}, "its argument 2 looks like a secret"),
    ],
)
def test_what_cannot_be_a_server_is_said(keys: dict[str, Any], why: str) -> None:
    reading = run_config(**keys)
    assert reading.servers == ()
    assert why in reading.left[0].what
    assert "ghp_" not in repr(reading)


@pytest.mark.parametrize(
    ("network", "sandbox"),
    [
        (None, None),
        ({"outbound": {"allow_host": ["a.example.com"]}}, ["a.example.com:443"]),
        (
            {"outbound": {"allow_host": ["a.example.com"], "allow_port": [80, 443]}},
            ["a.example.com:80", "a.example.com:443"],
        ),
        ({"outbound": {"allow_host": ["*.example.com", "10.0.0.1"]}}, None),
        ({"outbound": {"insecure_allow_all": True, "allow_host": ["a.example.com"]}}, "internet"),
        ({"mode": "host"}, "host"),
        ({"outbound": {}}, "none"),
    ],
)
def test_networks_of_profiles(network: Any, sandbox: Any) -> None:
    reading = run_config(permission_profile={"name": "p", "network": network} if network else None)
    found = imports.fields(reading, "kit").get("sandbox", {})
    assert found.get("network") == sandbox
    assert found.get("reason") == (None if sandbox in (None, "none") else "permitted by ToolHive's profile p")
    imports.manifest(reading)


def test_a_host_that_was_never_enforced_is_now_and_that_is_said() -> None:
    profile = {"network": {"outbound": {"allow_host": ["a.example.com"]}}}
    loose, strict = (run_config(permission_profile=profile, isolate_network=value) for value in (False, True))
    told = "ToolHive did not hold it to the hosts of its profile; here it reaches no others"
    assert told in imports.server(loose, "kit").notes
    assert told not in imports.server(strict, "kit").notes


def test_a_token_of_an_older_version_is_a_secret_with_its_value() -> None:
    reading = run_config(
        image="", remote_url="https://x.example.com/mcp", remote_auth_config={"bearer_token": "tok-1f6e0d9c"}
    )
    (secret,) = imports.server(reading, "kit").secrets
    assert (secret.value, secret.format) == ("tok-1f6e0d9c", "Bearer {}")
    assert "tok-1f6e0d9c" not in repr(reading)


def test_a_dollar_sign_is_one_for_toolhive_hands_on_what_is_written() -> None:
    env = {
        "PRICE": "$x",
        "PATTERN": "${a}{env:B}${input:c}",
        "API_KEY": "p4$$w0rd$TAIL-77",
        "TAKEN": "$y",
        "bad name": "1",
    }
    reading = run_config(env_vars=env, secrets=["kept,target=TAKEN"])
    assert imports.fields(reading, "kit")["env"] == {
        "PRICE": "$x",
        "PATTERN": "${a}{env:B}${input:c}",
        "API_KEY": {"secret": "keyring:API_KEY"},
        "TAKEN": {"secret": "keyring:kept"},
    }
    assert imports.server(reading, "kit").secrets[0].value == env["API_KEY"]
    assert imports.left(reading) == ["1: `bad name`: that is no name of a variable"]
    imports.manifest(reading)

    headers = {"X-Price": "$x", "X-Api-Key": "p4$$w0rd$TAIL-77"}
    reading = run_config(
        image="", remote_url="https://x.example.com/mcp", header_forward={"add_plaintext_headers": headers}
    )
    assert imports.fields(reading, "kit")["headers"] == {"X-Price": "$x", "X-Api-Key": {"secret": "keyring:X-Api-Key"}}
    imports.manifest(reading)


def test_a_dollar_sign_of_a_registrys_default_is_one() -> None:
    asked = {"env_vars": [{"name": "PRICE", "default": "$x"}]}
    server = {"image": "ghcr.io/example/kit:1", "transport": "stdio", "tier": "Community", **asked}
    document = {"version": "1.0.0", "last_updated": "2026-01-01T00:00:00Z", "servers": {"kit": server}}
    reading = imports.read(TOOLHIVE_REGISTRY, Path("registry.json"), json.dumps(document).encode())
    assert imports.fields(reading, "kit")["env"] == {"PRICE": "$x"}


def test_each_server_of_a_registry_has_what_the_registry_permits() -> None:
    reading = imports.read(TOOLHIVE_REGISTRY, FILES / "registry.json")
    assert [item.name for item in reading.servers] == ["fetch", "github", "tracker", "maps"]
    assert imports.fields(reading, "fetch")["sandbox"]["network"] == "internet"
    assert imports.fields(reading, "github") == {
        "source": "oci:ghcr.io/github/github-mcp-server:v0.22.0",
        "description": "GitHub.",
        "sandbox": {"network": ["api.github.com:443"], "reason": "permitted by ToolHive's profile of its own"},
        "env": {
            "GITHUB_TOOLSETS": "all",
            "GITHUB_PERSONAL_ACCESS_TOKEN": {"secret": "keyring:GITHUB_PERSONAL_ACCESS_TOKEN"},
        },
    }
    assert imports.fields(reading, "maps")["groups"] == ["field-work"]
    assert imports.server(reading, "tracker").notes == ("log in with `hatchlock login tracker`",)
    assert [item.partition("; ")[0].partition(", ")[0] for item in imports.left(reading)] == [
        "40: `GITHUB_ORG`: the server needs it",
        "43: `events`: it speaks the older HTTP with server-sent events",
    ]
    imports.manifest(reading)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'{\n  "schema_version": "v0.1.0",\n  "image": \n}', 4),
        (b'{\n  "image": "x",\n  "secrets": ["no-target"]\n}', 3),
        (b'{\n  "image": "x",\n  "env_vars": ["A=b"]\n}', 3),
        (b'{\n  "name": "x",\n  "transport": "stdio"\n}', 1),
        (b'{\n  "image": "x",\n  "transport": "streamable-http",\n  "target_port": "http"\n}', 4),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(data: bytes, line: int) -> None:
    path = Path("runconfigs/kit.json")
    assert TOOLHIVE.matches(path, data)
    with pytest.raises(Unreadable) as caught:
        TOOLHIVE.read(path, data)
    assert str(caught.value.place) == f"runconfigs/kit.json:{line}"
    assert caught.value.hint


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"{", b'{"schema_version": 1, "transport": "x"}', b"- schema_version\n- transport"]
)
def test_files_of_others_are_not_taken(data: bytes) -> None:
    assert not TOOLHIVE.matches(Path("other.json"), data)
    assert not TOOLHIVE_REGISTRY.matches(Path("other.json"), data)
