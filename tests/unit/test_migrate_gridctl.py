"""gridctl's stacks as servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.gridctl import GRIDCTL
from hatchlock.migrate.model import Reading
from support import imports

STACK = imports.IMPORTS / "gridctl/stack.yaml"
HERE = STACK.parent


def stack(server: str) -> Reading:
    return imports.read(GRIDCTL, Path("/srv/stack.yaml"), f"name: s\nmcp-servers:\n  - name: kit\n{server}".encode())


def test_each_kind_of_server_that_can_be_one_here_is_one() -> None:
    reading = imports.read(GRIDCTL, STACK)
    assert [item.name for item in reading.servers] == [
        *("github", "data-api", "fetch", "monorepo", "from-dockerfile", "local-build", "local-python", "files"),
        *("tracker", "internal", "notion"),
    ]
    assert {item.clients for item in reading.servers} == {("claude-desktop", "cursor")}
    imports.manifest(reading)


def test_an_image_has_its_variables_groups_and_tools() -> None:
    fields = imports.fields(imports.read(GRIDCTL, STACK), "github")
    assert fields["env"]["GITHUB_PERSONAL_ACCESS_TOKEN"] == {"secret": "keyring:GITHUB_PAT"}
    assert fields["env"]["LOG_LEVEL"] == "info"
    assert (fields["groups"], fields["tools"]) == (
        ["code", "field-work"],
        {"allow": ["get_file_contents", "search_code"]},
    )
    assert "transport" not in fields


def test_a_container_has_its_port_user_mounts_and_network() -> None:
    assert imports.fields(imports.read(GRIDCTL, STACK), "data-api") == {
        "source": "oci:ghcr.io/org/data-mcp:1.4",
        "args": ["--listen", "0.0.0.0:3000"],
        "transport": "http",
        "port": 3000,
        "startup-timeout": 90.0,
        "env": {
            "DB_URL": {"secret": "keyring:DB_PASSWORD", "format": "postgres://app:{}@db.example.com:5432/app"},
            "MIXED": {"secret": "keyring:MIXED"},
        },
        "sandbox": {
            "user": "1000:1001",
            "network": "none",
            "mounts": [{"source": f"{HERE}/dashboards", "target": "/dashboards", "mode": "ro"}],
            "reason": "said by gridctl's stack",
        },
    }


def test_sources_are_what_gridctl_makes_images_of() -> None:
    reading = imports.read(GRIDCTL, STACK)
    assert imports.fields(reading, "fetch") == {"source": "pypi:mcp-server-fetch[cli]==2025.4.7"}
    assert imports.fields(reading, "monorepo") == {
        "source": "git:https://github.com/example/mcp-monorepo.git@v1.2.0#subdirectory=services/weather"
    }
    assert imports.fields(reading, "local-build") == {
        "build": {
            "context": f"{HERE}/servers/notes",
            "dockerfile": "docker/Dockerfile",
            "args": {"NODE_ENV": "production"},
        }
    }
    assert imports.fields(reading, "local-python") == {"source": f"path:{HERE}/mcp-monorepo/services/maps"}


def test_remote_servers_have_their_credentials_as_secrets() -> None:
    reading = imports.read(GRIDCTL, STACK)
    assert imports.fields(reading, "tracker")["headers"] == {
        "Authorization": {"secret": "keyring:TRACKER_TOKEN", "format": "Bearer {}"}
    }
    assert imports.fields(reading, "internal") == {
        "url": "https://mcp.internal.example.com/sse",
        "transport": "sse",
        "headers": {"X-API-Key": {"secret": "env:INTERNAL_API_KEY"}},
    }
    assert imports.server(reading, "notion").notes == ("log in with `hatchlock login notion`",)


def test_what_of_a_stack_has_no_counterpart_is_listed() -> None:
    found = imports.left(imports.read(GRIDCTL, STACK))
    assert [item.partition(": ")[::2][0] for item in found] == [
        *("4", "6", "13", "14", "17", "23", "26", "34", "35", "37", "44", "53", "55", "74", "79", "121", "127", "132"),
        *("139", "143"),
    ]
    assert "44: `MIXED`: it is put together from several parts; set it to the whole value" in found
    assert "23: `link`: no application is called 'anythingllm' here" in found
    assert any(item.startswith("121: `remote-tools`: it runs on another machine, over ssh") for item in found)


@pytest.mark.parametrize(
    "value",
    ["${var:USER}:${var:PASSWORD}", "${vault:TOKEN} of {team}", "$HOME/${var:TOKEN}", "{}${var:TOKEN}"],
)
def test_a_value_of_more_than_one_kept_value_is_a_secret_of_its_own(value: str) -> None:
    reading = stack(f"    image: kit:1\n    transport: stdio\n    env:\n      KEY: '{value}'\n")
    assert [(secret.key, secret.reference, secret.value) for secret in reading.servers[0].secrets] == [("KEY", "", "")]
    assert imports.left(reading) == ["7: `KEY`: it is put together from several parts; set it to the whole value"]


def test_a_command_is_started_where_the_stack_is(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("")
    data = b"name: s\nmcp-servers:\n  - name: kit\n    command: [python3, ./server.py]\n"
    (found,) = GRIDCTL.read(tmp_path / "stack.yaml", data).servers
    assert str(tmp_path) in repr(found.fields)


@pytest.mark.parametrize(
    ("server", "why"),
    [
        ("    image: a/b:1\n    command: ['--key=${KEY}']\n    port: 1\n", "hatchlock puts nothing into arguments"),
        ("    image: a/b:1\n    command: [--token, ghp_a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6]\n", "looks like a secret"),
        ("    image: UPPER\n", "that is no image reference"),
        ("    url: https://x.example.com/${PATH_PART}\n", "its address holds a variable"),
    ],
)
def test_what_cannot_be_a_server_is_said(server: str, why: str) -> None:
    reading = stack(server)
    assert reading.servers == ()
    assert why in reading.left[0].what


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60.0), ("2m", 120.0), ("1m1.5s", 61.5), ("500ms", 0.5), ("0", None), ("", None)]
)
def test_durations_are_seconds(text: str, seconds: float | None) -> None:
    found = stack(f"    image: a/b:1\n    transport: stdio\n    ready_timeout: '{text}'\n")
    assert imports.fields(found, "kit").get("startup-timeout") == seconds


@pytest.mark.parametrize(
    ("server", "line"),
    [
        ("    command: []\n", 3),
        ("    source:\n      type: tarball\n", 5),
        ("    source:\n      type: git\n", 4),
        ("    image: [a]\n", 4),
        ("    image: a/b:1\n    port: many\n", 5),
        ('    image: "a\\q"\n', 4),
    ],
)
def test_a_broken_stack_is_an_error_with_its_line(server: str, line: int) -> None:
    data = f"name: s\nmcp-servers:\n  - name: kit\n{server}".encode()
    with pytest.raises(Unreadable) as caught:
        GRIDCTL.read(Path("stack.yaml"), data)
    assert str(caught.value.place) == f"stack.yaml:{line}"
    assert caught.value.hint


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"resolver: lts-3.18\npackages: ['.']\n", b"name: x\nmcp-servers: []\n"]
)
def test_files_of_others_are_not_taken(data: bytes) -> None:
    assert not GRIDCTL.matches(Path("stack.yaml"), data)
