"""Servers that somebody else runs, in a manifest: what they can say, and what they cannot."""

from __future__ import annotations

from typing import Any

import pytest

from hatchlock.launch import Sandbox, SecretReference
from hatchlock.manifest.load import loads
from hatchlock.manifest.remotes import remote_findings

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'
URL = "https://mcp.example.com/mcp"


def found(server: dict[str, Any]) -> list[tuple[str, str]]:
    findings = list(remote_findings({"servers": {"far": {"url": URL, **server}}}))
    return [(".".join(map(str, finding.path[2:])), finding.what) for finding in findings]


def test_a_remote_server_takes_of_the_defaults_what_it_can_have() -> None:
    text = f"""
[defaults]
runtime = "container"
transport = "stdio"
clients = ["cursor"]
python = "3.12"
[defaults.env]
LOG_LEVEL = "info"
[defaults.headers]
X-Team = "blue"
[defaults.sandbox]
memory = "256m"
[servers.far]
url = "{URL}"
headers.Authorization = {{ secret = "env:TOKEN", format = "Bearer {{}}" }}
[servers.near]
source = "pypi:near==1"
"""
    servers = loads(HEAD + text, shown="m").manifest.servers
    far, near = servers["far"], servers["near"]

    assert (far.url, far.transport, far.runtime, far.clients) == (URL, "http", "process", ("cursor",))
    assert far.headers == {"X-Team": "blue"}
    assert far.references == {"Authorization": SecretReference(secret="env:TOKEN", format="Bearer {}")}
    assert (far.env_literals, far.private.python, far.sandbox) == ({}, "", Sandbox())
    assert near.headers == {}


@pytest.mark.parametrize(
    "key", ["args", "cwd", "env", "files", "runtime", "isolation", "environment", "python", "with", "sandbox"]
)
def test_what_is_about_a_server_that_runs_here_is_refused(key: str) -> None:
    assert found({key: {}}) == [(key, f"{key!r} is about a server that runs here, and this one is remote")]


def test_a_key_that_is_none_and_an_address_that_is_none_are_said_once() -> None:
    assert found({"header": {}}) == []  # the schema says which one was meant
    assert found({"url": "ftp://127.0.0.1/mcp"}) == []


def test_how_it_is_spoken_to() -> None:
    assert found({"transport": "sse"}) == []
    assert [place for place, _ in found({"transport": "stdio"})] == ["transport"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://mcp.example.com/mcp", "read and changed on its way"),
        ("https://user:password@mcp.example.com/mcp", "user name or password"),
    ],
)
def test_addresses_that_nothing_may_go_to(url: str, words: str) -> None:
    ((place, what),) = found({"url": url})

    assert place == "url"
    assert words in what


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Not a name": "x"}, "no name of a header"),
        ({"Mcp-Session-Id": "x"}, "set with every message"),
        ({"host": "x"}, "set with every message"),
        ({"X-A": "1", "x-a": "2"}, "there twice"),
        ({"X-A": "two\nlines"}, "cannot have that value"),
        ({"X-A": ""}, "cannot have that value"),
        ({"X-A": "\u00fc"}, "cannot have that value"),
        ({"X-A": {"secret": "env:A", "as": "file"}}, "no file"),
    ],
)
def test_headers_that_cannot_be_sent(headers: dict[str, Any], words: str) -> None:
    ((place, what),) = found({"headers": headers})

    assert place.startswith("headers.")
    assert words in what


def test_headers_of_a_server_that_runs_here_are_refused() -> None:
    server = {"source": "pypi:a==1", "headers": {"X-A": "1"}}
    (finding,) = remote_findings({"servers": {"near": server}})

    assert finding.path == ("servers", "near", "headers")
