"""mcpm, mcpd and APM: files that name packages and addresses, as servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.migrate.apm import APM
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.mcpd import MCPD
from hatchlock.migrate.mcpm import MCPM
from hatchlock.migrate.model import Format
from support import imports

SERVERS = imports.IMPORTS / "mcpm/servers.json"
PROFILES = imports.IMPORTS / "mcpm/profiles.json"
PROJECT = imports.IMPORTS / "mcpd/.mcpd.toml"
PACKAGE = imports.IMPORTS / "apm/apm.yml"


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MCPD_RUNTIME_FILE", raising=False)


def test_servers_of_mcpm_have_the_profiles_that_tag_them_as_groups() -> None:
    reading = imports.read(MCPM, SERVERS)
    assert imports.fields(reading, "fetch") == {
        "source": "pypi:mcp-server-fetch==2025.4.7",
        "args": ["--ignore-robots-txt"],
        "groups": ["web", "research-lab"],
    }
    assert imports.fields(reading, "github") == {
        "source": "npm:@modelcontextprotocol/server-github",
        "groups": ["work"],
        "env": {
            "GITHUB_PERSONAL_ACCESS_TOKEN": {"secret": "keyring:GITHUB_PERSONAL_ACCESS_TOKEN"},
            "GITHUB_HOST": {"secret": "env:GITHUB_HOST"},
        },
    }
    assert imports.fields(reading, "linear") == {
        "url": "https://mcp.linear.app/sse",
        "transport": "sse",
        "headers": {"Authorization": {"secret": "keyring:Authorization", "format": "Bearer {}"}},
    }
    assert imports.left(reading) == ["27: `developer`: mcpm itself neither starts it nor knows an address of it"]
    assert set(imports.manifest(reading).manifest.servers) == {"fetch", "github", "linear"}


def test_a_server_of_two_profiles_of_the_first_mcpm_is_one() -> None:
    reading = imports.read(MCPM, PROFILES)
    assert [item.name for item in reading.servers] == ["time", "docs"]
    assert imports.fields(reading, "time")["groups"] == ["web", "work"]
    imports.manifest(reading)


def test_servers_of_one_name_with_different_secrets_stay_two() -> None:
    def profile(token: str) -> list[dict[str, object]]:
        return [{"name": "github", "command": "npx", "args": ["server-github"], "env": {"GITHUB_TOKEN": token}}]

    data = json.dumps({"one": profile("ghp_" + "a" * 36), "two": profile("ghp_" + "b" * 36)}).encode()
    reading = MCPM.read(Path("profiles.json"), data)
    assert [item.secrets[0].value[:5] for item in reading.servers] == ["ghp_a", "ghp_b"]


def test_a_project_of_mcpd_gets_arguments_and_variables_of_its_runtime_file() -> None:
    reading = imports.read(MCPD, PROJECT)
    assert imports.fields(reading, "fetch") == {
        "source": "pypi:mcp-server-fetch==2025.4.7",
        "args": ["--ignore-robots-txt", "--user-agent=mcpd/1.0.0"],
        "env": {"LOG_LEVEL": "debug"},
    }
    assert imports.fields(reading, "github") == {
        "source": "npm:@modelcontextprotocol/server-github@2025.4.8",
        "tools": {"allow": ["create_repository", "search_issues"]},
        "env": {
            "GITHUB_PERSONAL_ACCESS_TOKEN": {"secret": "keyring:GITHUB_PERSONAL_ACCESS_TOKEN"},
            "GITHUB_HOST": {"secret": "env:GITHUB_HOST"},
        },
    }
    assert imports.fields(reading, "filesystem") == {
        "source": "oci:mcp/filesystem:1.0.2",
        "args": ["/workspace"],
        "sandbox": {
            "mounts": [{"source": "/srv/projects", "target": "/workspace", "mode": "rw"}],
            "reason": "a volume of mcpd's runtime file",
        },
        "tools": {"allow": ["read_file", "list_directory"]},
    }
    assert imports.server(reading, "fetch").notes[-1].endswith("mcpd/secrets.dev.toml")
    imports.manifest(reading)


def test_what_the_runtime_file_of_mcpd_lacks_is_listed() -> None:
    assert imports.left(imports.read(MCPD, PROJECT)) == [
        "9: `required_args`: --local-timezone is not in the runtime file; write it into args",
        (
            "17: the volume mcp-cache: what is in it stays there; write sandbox.writable = ['/cache'], and adopt it: "
            '[[adopt]] address = "volume:NAME/cache"'
        ),
        "31: `app`: the runtime file does not say what is mounted there; write it into sandbox.mounts",
        "35: `calc`: hatchlock does not know the runtime 'go' of its package",
        "40: `daemon`: nothing stays between the applications and the servers; each is started by `hatchlock run`",
    ]


def test_the_runtime_file_is_the_one_that_mcpd_would_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = b'[[servers]]\nname = "time"\npackage = "uvx::mcp-server-time@1"\n'
    path = tmp_path / ".mcpd.toml"

    def args() -> object:
        return imports.fields(MCPD.read(path, project), "time").get("args")

    assert args() is None
    of_user = tmp_path / "config/mcpd/secrets.dev.toml"
    of_user.parent.mkdir(parents=True)
    of_user.write_text('[servers.time]\nargs = ["user"]\n')
    assert args() == ["user"]
    (tmp_path / "secrets.prd.toml").write_text('[servers.time]\nargs = ["beside"]\n')
    assert args() == ["beside"]
    told = tmp_path / "told.toml"
    told.write_text('[servers.time]\nargs = ["told"]\n')
    monkeypatch.setenv("MCPD_RUNTIME_FILE", str(told))
    assert args() == ["told"]


def test_mcpd_puts_variables_into_arguments_and_hatchlock_does_not(tmp_path: Path) -> None:
    (tmp_path / "secrets.dev.toml").write_text('[servers.time]\nargs = ["--key=${MCPD__TIME__KEY}"]\n')
    data = b'[[servers]]\nname = "time"\npackage = "uvx::mcp-server-time@1"\n'
    reading = MCPD.read(tmp_path / ".mcpd.toml", data)
    assert (reading.servers, [item.what for item in reading.left]) == (
        (),
        ["`time`: hatchlock puts nothing into arguments, and mcpd does for ${MCPD__TIME__KEY}"],
    )


def test_dependencies_of_an_apm_package_are_servers_of_its_targets() -> None:
    reading = imports.read(APM, PACKAGE)
    assert {item.clients for item in reading.servers} == {("claude-code", "copilot-cli", "cursor")}
    assert imports.fields(reading, "github") == {"source": "mcp:io.github.github/github-mcp-server"}
    assert imports.fields(reading, "weather") == {"source": "mcp:io.github.acme/weather@1.0.2"}
    assert imports.fields(reading, "maps") == {
        "source": "mcp:io.github.acme/maps@2.1.0",
        "env": {"MAPS_REGION": "eu", "MAPS_TOKEN": {"secret": "env:MAPS_TOKEN"}},
        "tools": {"allow": ["geocode", "route"]},
    }
    assert imports.fields(reading, "filesystem")["source"] == "npm:@modelcontextprotocol/server-filesystem@2025.8.21"
    assert "tools" not in imports.fields(reading, "filesystem")
    assert imports.fields(reading, "linear")["headers"] == {
        "Authorization": {"secret": "env:LINEAR_TOKEN", "format": "Bearer {}"},
        "X-Tenant": {"secret": "env:TENANT_ID"},
    }
    assert imports.fields(reading, "probe") == {
        "url": "https://probe.example.com/sse",
        "transport": "sse",
        "groups": ["dev"],
        "headers": {"X-Key": {"secret": "env:PROBE_KEY"}},
    }
    imports.manifest(reading)


def test_what_of_an_apm_package_has_no_counterpart_is_listed() -> None:
    *rest, last = imports.left(imports.read(APM, PACKAGE))
    assert last.startswith("41: `weather`: 'mcp:weather' is no name of the MCP registry")
    assert rest == [
        "4: `targets`: hermes: say which applications list a server, clients = […]",
        "7: `apm`: packages of prompts and skills are no servers",
        "17: `package`: which package of its entry is used is hatchlock's choice",
        "18: `transport`: how it is reached is said by its entry in the registry",
        "19: `args`: values for what its entry in the registry asks for: write them into env or args",
        "37: `oauth`: log in with `hatchlock login linear`",
        (
            "39: `io.github.acme/private`: it comes from a registry of its own; name that in [indexes.mcp], and write "
            'source = "mcp:io.github.acme/private"'
        ),
    ]


@pytest.mark.parametrize(
    ("kind", "path", "data", "said"),
    [
        (MCPM, "mcpm/servers.json", b'{\n  "a": {"name": "a",\n', "servers.json:3"),
        (MCPM, "mcpm/servers.json", b'{\n  "a": {"name": "a", "command": ["npx"]}}', "servers.json:2"),
        (MCPD, ".mcpd.toml", b'[[servers]]\nname = "a"\npackage "x"\n', ".mcpd.toml:3"),
        (MCPD, ".mcpd.toml", b'[[servers]]\npackage = "uvx::x@1"\n', ".mcpd.toml:1"),
        (APM, "apm.yml", b"name: x\ndependencies:\n  mcp: {a: b}\n", "apm.yml:3"),
        (APM, "apm.yml", b"name: x\ndependencies:\n  mcp:\n    - name: a\n      registry: false\n", "apm.yml:4"),
        (APM, "apm.yml", b"name: [x\n", "apm.yml:"),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(kind: Format, path: str, data: bytes, said: str) -> None:
    assert kind.matches(Path(path), data)
    with pytest.raises(Unreadable) as caught:
        kind.read(Path(path), data)
    assert said in str(caught.value.place)
    assert caught.value.hint


@pytest.mark.parametrize("kind", [MCPM, MCPD, APM])
@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"{", b"[1]", b"name: [", b'{"servers": 1, "package": "::"}', b"null"]
)
def test_files_of_others_are_not_taken(kind: Format, data: bytes) -> None:
    assert not kind.matches(Path("other.file"), data)
