"""What is shown of an entry, and what never is."""

from __future__ import annotations

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.masked import HIDDEN, masked_entry, masked_url, masked_words
from hatchlock.clients.shape import Address, Start

SECRET = "Zq9pLm3xVb7Tn2Rk8Wd4"  # no token of anything


@pytest.mark.parametrize("name", CLIENTS)
def test_every_applications_entries_hide_variables_headers_and_arguments_that_are_secrets(name: str) -> None:
    client = CLIENTS[name]
    server = Start(command="npx", args=("-y", "thing", "--token", SECRET), env={"LOG": "info", "KEY": SECRET})
    entries = [client.shape.written(server)]
    if client.shape.http:
        url = f"https://ada:{SECRET}@mcp.example.com/mcp?key={SECRET}"
        entries.append(client.shape.written(Address(url=url, headers={"X-Any": SECRET})))
    for entry in entries:
        shown = masked_entry({**entry, "unknown": {"deep": [SECRET]}}, shape=client.shape, fields=client.fields)
        assert SECRET not in repr(shown)
        assert shown.keys() == {*entry, "unknown"}
    started = masked_entry(entries[0], shape=client.shape, fields=client.fields)
    assert started[client.shape.env] == {"LOG": HIDDEN, "KEY": HIDDEN}
    words = [*([started[client.shape.command]] if client.shape.args else []), *started[client.shape.args or "command"]]
    assert words == ["npx", "-y", "thing", "--token", HIDDEN]


def test_what_is_no_secret_is_shown_as_it_stands() -> None:
    client = CLIENTS["claude-code"]
    entry = {
        "type": "stdio",
        "command": "/usr/bin/docker",
        "args": ["run", "-i", "--rm", "-v", "/home/ada:/data", "ghcr.io/acme/tool:1.2", "--port=80"],
        "env": {"TOKEN": "${TOKEN}"},
        "cwd": "/srv",
        "alwaysLoad": True,
    }
    assert masked_entry(entry, shape=client.shape, fields=client.fields) == entry


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["-e", f"A={SECRET}"], ["-e", "A=…"]),
        (["-e", "A"], ["-e", "A"]),
        (["-e", "A=${A}"], ["-e", "A=${A}"]),
        (["--env=A=b"], ["--env=…"]),
        (["API_KEY=short"], ["API_KEY=…"]),
        (["--header", f"Authorization: Bearer {SECRET}"], ["--header", "Authorization: …"]),
        (["ghp_abcdefghijklmnopqrst1234"], ["…"]),
        (["postgres://ada:pw@db/x"], ["postgres://…@db/x"]),
        ([f"--url=https://x.example/?t={SECRET}"], ["--url=https://x.example/?t=…"]),
        (["@acme/server@1.2.3", "mcp-server-time==2026.1.26"], ["@acme/server@1.2.3", "mcp-server-time==2026.1.26"]),
        (["--password", "hunter2"], ["--password", "…"]),
    ],
)
def test_arguments(words: list[str], shown: list[str]) -> None:
    assert masked_words(words) == tuple(shown)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://mcp.example.com/v1/mcp", "https://mcp.example.com/v1/mcp"),
        ("http://127.0.0.1:8080/sse", "http://127.0.0.1:8080/sse"),
        ("https://x.example/0a1b2c3d4e5f60718293a4b5c6d7e8f9/sse", "https://x.example/…/sse"),
        ("https://x.example/?a=1&b#c", "https://x.example/?a=…&…#…"),
        ("https://[broken", "…"),
    ],
)
def test_addresses(url: str, shown: str) -> None:
    assert masked_url(url) == shown


@pytest.mark.parametrize("value", [SECRET, [SECRET], 3, None, True])
def test_what_is_no_entry_at_all_tells_nothing(value: object) -> None:
    client = CLIENTS["cursor"]
    assert SECRET not in repr(masked_entry(value, shape=client.shape, fields=client.fields))
