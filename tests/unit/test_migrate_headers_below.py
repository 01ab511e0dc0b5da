"""Headers that an application has in a table of their own are a server's; what else that table says has a line."""

from __future__ import annotations

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.migrate.applications import read_application
from hatchlock.migrate.model import Proposed

VIBE = """\
[[mcp_servers]]
name = "far"
transport = "streamable-http"
url = "https://mcp.example.com/mcp"
"""
CONTINUE = """\
mcpServers:
  - name: far
    type: streamable-http
    url: https://mcp.example.com/mcp
    requestOptions:
      headers:
        X-Team: blue
"""


def read(client: str, text: str) -> Proposed:
    (server,) = read_application(CLIENTS[client], text.encode(), file="x").reading.servers
    return server


def test_a_table_with_nothing_but_headers_leaves_nothing() -> None:
    server = read("continue", CONTINUE)
    assert server.fields["headers"] == {"X-Team": "blue"}
    assert server.left == ()


def test_a_table_with_more_than_headers_is_said_with_its_line() -> None:
    server = read("continue", CONTINUE + "      timeout: 5\n")
    assert server.fields["headers"] == {"X-Team": "blue"}
    assert [(left.line, "requestOptions" in left.what) for left in server.left] == [(5, True)]


def test_vibes_key_is_a_header_wherever_it_stands() -> None:
    older = read("mistral-vibe", VIBE + 'api_key_env = "KEY"\n')
    newer = read(
        "mistral-vibe", VIBE + 'auth = { type = "static", api_key_env = "KEY", headers = { X-Team = "blue" } }\n'
    )
    plain = read("mistral-vibe", VIBE + 'api_key_env = "KEY"\napi_key_header = "X-Key"\napi_key_format = "{token}"\n')
    for server, header, form in (
        (older, "Authorization", "Bearer {}"),
        (newer, "Authorization", "Bearer {}"),
        (plain, "X-Key", ""),
    ):
        (secret,) = server.secrets
        assert (secret.key, secret.reference, secret.format) == (header, "env:KEY", form)
        assert server.left == ()
    assert newer.fields["headers"] == {"X-Team": "blue"}


def test_vibes_login_is_said() -> None:
    server = read("mistral-vibe", VIBE + 'auth = { type = "oauth", scopes = [] }\n')
    assert [left.line for left in server.left] == [5]
