from __future__ import annotations

from typing import Any

import pytest

from hatchlock.address import BadSource
from hatchlock.manifest.load import loads
from hatchlock.manifest.suspicion import looks_secret, secret_arguments
from hatchlock.manifest.takeover import CannotTakeOver, name_from
from hatchlock.usecases.manifest import add, server_from_command, server_from_source

PROJECT = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
TOKEN = "abcdefgh12345678"  # what a secret looks like


@pytest.fixture(autouse=True)
def _the_systems_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # what else is there differs from one machine to another


def test_a_command_line_in_the_place_of_a_source_is_not_said_again() -> None:
    with pytest.raises(BadSource) as problem:
        server_from_source(f"docker run -e A_TOKEN={TOKEN} a/b --api-key {TOKEN}")
    assert TOKEN not in str(problem.value)
    assert problem.value.hint == "hatchlock add -- docker run -e A_TOKEN=… a/b --api-key …"


@pytest.mark.parametrize(
    ("text", "name", "fields"),
    [
        ("pypi:mcp-server-time>=2026.1", "time", {"source": "pypi:mcp-server-time>=2026.1"}),
        ("pypi:Weather_MCP[cli]", "weather", {"source": "pypi:Weather_MCP[cli]"}),
        (
            "oci:ghcr.io/github/github-mcp-server:0.22",
            "github",
            {"source": "oci:ghcr.io/github/github-mcp-server:0.22"},
        ),
        ("ghcr.io/a/tool:1", "tool", {"source": "oci:ghcr.io/a/tool:1"}),
        ("localhost:5000/tool", "tool", {"source": "oci:localhost:5000/tool"}),
        ("mcp/time", "time", {"source": "oci:mcp/time"}),
        (
            "pypi:x @ https://example.com/x-1-py3-none-any.whl",
            "x",
            {"source": "pypi:x @ https://example.com/x-1-py3-none-any.whl"},
        ),
        ("npm:@acme/mcp-server-files@^1", "files", {"source": "npm:@acme/mcp-server-files@^1"}),
        ("npm:@acme/mcp", "acme", {"source": "npm:@acme/mcp"}),
        (
            "git:https://example.com/a/weather-mcp.git@v1",
            "weather",
            {"source": "git:https://example.com/a/weather-mcp.git@v1"},
        ),
        ("path:./servers/weather/", "weather", {"source": "path:./servers/weather/"}),
        ("https://mcp.example.com/mcp", "example", {"url": "https://mcp.example.com/mcp"}),
        ("https://tracker.example.com/sse", "tracker", {"url": "https://tracker.example.com/sse"}),
        ("http://127.0.0.1:8000/mcp", "server", {"url": "http://127.0.0.1:8000/mcp"}),
        (
            "url:https://example.com/tool.tar.gz#sha256=00",
            "tool",
            {"source": "url:https://example.com/tool.tar.gz#sha256=00"},
        ),
    ],
)
def test_a_source_alone_describes_a_server(text: str, name: str, fields: dict[str, Any]) -> None:
    assert server_from_source(text) == (name, fields)


@pytest.mark.parametrize("text", ["mcp-server-time", "pypi:", "pypi:a b", "oci:UPPER/x", "ftp://example.com/x"])
def test_what_is_no_source_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadSource) as caught:
        server_from_source(text)

    assert caught.value.hint


@pytest.mark.parametrize("text", ["@modelcontextprotocol/server-memory", "@acme/notes@1.2"])
def test_a_name_with_a_scope_is_said_to_be_npms(text: str) -> None:
    with pytest.raises(BadSource, match="it names no kind") as caught:
        server_from_source(text)
    assert caught.value.hint == f"write npm:{text}"


@pytest.mark.parametrize("text", ["deb:x", "conda:x"])
def test_a_part_of_an_environment_is_no_server(text: str) -> None:
    with pytest.raises(BadSource, match="is a part of an environment, not a server") as caught:
        server_from_source(text)
    assert f'with = ["{text}"]' in caught.value.hint


@pytest.mark.parametrize(
    ("command", "name", "fields"),
    [
        (
            "uvx mcp-server-time@2026.1 --local-timezone UTC",
            "time",
            {"source": "pypi:mcp-server-time==2026.1", "args": ["--local-timezone", "UTC"]},
        ),
        ("uvx mcp-server-time@latest", "time", {"source": "pypi:mcp-server-time"}),
        ("/usr/bin/uvx -q mcp-server-time", "time", {"source": "pypi:mcp-server-time"}),
        (
            "uvx --from acme-tools[mcp]>=1 --with httpx<1,rich --python 3.12 acme-mcp serve",
            "acme-tools",
            {
                "source": "pypi:acme-tools[mcp]>=1",
                "command": "acme-mcp",
                "args": ["serve"],
                "python": "3.12",
                "with": ["pypi:httpx<1", "pypi:rich"],
            },
        ),
        ("uvx --from=mcp-server-fetch mcp_server_fetch", "fetch", {"source": "pypi:mcp-server-fetch"}),
        ("uv tool run mcp-server-git", "git", {"source": "pypi:mcp-server-git"}),
        ("pipx run --spec acme==1 other", "acme", {"source": "pypi:acme==1", "command": "other"}),
        ("pipx run mcp-server-git -r .", "git", {"source": "pypi:mcp-server-git", "args": ["-r", "."]}),
        ("docker run -i --rm mcp/time --zone UTC", "time", {"source": "oci:mcp/time", "args": ["--zone", "UTC"]}),
        (
            f"podman run -it -e A=b -e API_TOKEN={TOKEN} --env OTHER --name x ghcr.io/a/b:1",
            "b",
            {
                "source": "oci:ghcr.io/a/b:1",
                "env": {"A": "b", "API_TOKEN": {"secret": "env:API_TOKEN"}, "OTHER": {"secret": "env:OTHER"}},
            },
        ),
        (
            "docker run -v /data:/data:ro --mount type=bind,src=/notes,dst=/notes -w /data -u 1000 -m 256M a/b",
            "b",
            {
                "source": "oci:a/b",
                "cwd": "/data",
                "sandbox": {
                    "mounts": [
                        {"source": "/data", "target": "/data", "mode": "ro"},
                        {"source": "/notes", "target": "/notes", "mode": "rw"},
                    ],
                    "user": "1000",
                    "memory": "256m",
                    "reason": "taken over from what started it before",
                },
            },
        ),
        (
            "docker run --network host a/b",
            "b",
            {
                "source": "oci:a/b",
                "sandbox": {"network": "host", "reason": "taken over from what started it before"},
            },
        ),
        ("python3 -m mcp_server_time --x", "time", {"command": ["python3", "-m", "mcp_server_time"], "args": ["--x"]}),
        ("node ./dist/weather.js", "weather", {"command": "node", "args": ["./dist/weather.js"]}),
        ("/opt/acme/bin/acme-mcp --stdio", "acme", {"command": "/opt/acme/bin/acme-mcp", "args": ["--stdio"]}),
    ],
)
def test_a_command_line_becomes_a_server_that_the_manifest_accepts(
    command: str, name: str, fields: dict[str, Any]
) -> None:
    assert server_from_command(command.split()) == (name, fields)
    loaded = loads(add(PROJECT, name, fields), shown="m")
    assert list(loaded.manifest.servers) == [name]


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("", "there is no command"),
        ("uvx", "does not say what to run"),
        ("uvx --index-url https://example.com x", "--index-url, which cannot be taken over"),
        ("uvx --from", "--from without its value"),
        ("uvx --python pypy x", "no version of Python"),
        ("docker run --privileged a/b", "--privileged, which cannot be taken over"),
        (f"uvx x --api-key {TOKEN}", "argument 2 of the server looks like a secret"),
        (f"acme-mcp --api-key={TOKEN}", "argument 1 of the server looks like a secret"),
    ],
)
def test_what_has_no_counterpart_is_refused(command: str, what: str) -> None:
    with pytest.raises(CannotTakeOver, match=what) as caught:
        server_from_command(command.split())

    assert TOKEN not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("command", "name", "fields"),
    [
        ("npx -y @scope/server@latest /data", "scope", {"source": "npm:@scope/server", "args": ["/data"]}),
        ("npm exec -- x", "x", {"source": "npm:x"}),
        ("bunx x@1.2", "x", {"source": "npm:x@1.2"}),
        ("npx --package=@scope/tools -y serve", "tools", {"source": "npm:@scope/tools", "command": "serve"}),
        ("npx -y github:acme/weather#v2", "weather", {"source": "git:https://github.com/acme/weather@v2"}),
        ("npx ./dir/tool", "tool", {"source": "path:./dir/tool"}),
        ("npx file:../tool --stdio", "tool", {"source": "path:../tool", "args": ["--stdio"]}),
        ("npx -y git+https://example.com/a/x.git#v1", "x", {"source": "git:https://example.com/a/x.git@v1"}),
        ("npx gitlab:acme/weather", "weather", {"source": "git:https://gitlab.com/acme/weather"}),
        ("npx https://github.com/acme/weather", "weather", {"source": "git:https://github.com/acme/weather"}),
        ("uvx --from git+https://example.com/a/x y", "x", {"source": "git:https://example.com/a/x", "command": "y"}),
    ],
)
def test_what_runs_another_ecosystem_becomes_a_source(command: str, name: str, fields: dict[str, Any]) -> None:
    assert server_from_command(command.split()) == (name, fields)


@pytest.mark.parametrize(
    "word",
    [
        *("https://files.example.com/x-1.tgz?token=secret", "./x.tgz", "gist:0123", "acme/x#semver:^1", "~/x"),
        "git+https://user:secret@example.com/a/x.git",
    ],
)
def test_what_npx_would_take_from_elsewhere_is_refused_without_being_shown(word: str) -> None:
    with pytest.raises(BadSource) as caught:
        server_from_command(["npx", "-y", word])
    assert caught.value.hint
    assert "secret" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mcp-server-time", "time"),
        ("github-mcp-server", "github"),
        ("server-filesystem", "filesystem"),
        ("mcp", "mcp"),
        ("mcp-server", "server"),
        ("My Project!", "my-project"),
        ("---", "server"),
        ("x" * 80, "x" * 64),
    ],
)
def test_names_are_short_and_allowed(text: str, name: str) -> None:
    assert name_from(text) == name


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("API_KEY", TOKEN, True),
        ("GITHUB_TOKEN", TOKEN, True),
        ("ghtoken", TOKEN, True),
        ("ANYTHING", "ghp_" + "a" * 20, True),
        ("URL", "postgres://me:pass@example.com/db", True),
        ("API_KEY", "", False),
        ("API_KEY", "${API_KEY}", False),
        ("USE_TOKEN", "true", False),
        ("KEY_FILE", "/etc/key", False),
        ("KEYBOARD", "qwerty", False),
        ("LOG_LEVEL", "info", False),
    ],
)
def test_a_secret_is_known_by_its_name_or_its_form(name: str, value: str, expected: bool) -> None:
    assert looks_secret(name, value) is expected


def test_secret_arguments_are_found_behind_and_inside_their_option() -> None:
    assert secret_arguments(["--token", TOKEN, "--verbose", f"--api-key={TOKEN}", "--key", "--other", "plain"]) == [
        1,
        3,
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["mcp-remote", "https://x.example", "--header", "x-api-key: abc-123-def"], [3]),
        (["--header=Authorization: Bearer eyJhbGciOi"], [0]),
        (["--header", "Authorization:Basic dTpw"], [1]),
        (["-H", "Cookie: session=abcdef"], [1]),
        (["-HAuthorization: Bearer abcdef"], [0]),
        (["--header", "Authorization: Bearer ${TOKEN}"], []),
        (["--header", "Authorization:${AUTH_HEADER}"], []),
        (["--header", "Accept: application/json"], []),
        (["--map", "key: value-of-it"], []),
        (["--url", "https://x.example/a:b"], []),
    ],
)
def test_credentials_in_headers_are_found(words: list[str], found: list[int]) -> None:
    assert secret_arguments(words) == found
