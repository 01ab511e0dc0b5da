"""What every application's file says is read as a server: what we write into one comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS, Client
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.shape import Address, Start
from hatchlock.clients.writer import entry_digest
from hatchlock.migrate.applications import read_application, readable_entries
from hatchlock.migrate.model import Secret
from hatchlock.migrate.recognise import application_like, application_of
from support.source_tree import ROOT

TOKEN = "ghp_Zq8Lw3Xk5Vn2Rt7Yb4Mc6Pd9"
START = Start(command="uvx", args=("mcp-server-time@latest", "--utc"), env={"MODE": "fast", "GITHUB_TOKEN": TOKEN})
OURS = Start(command="/store/bin/hatchlock", args=("run", "--project", "p", "time"))
EVERY = pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))
VALUES = {"a list of texts": ["a"], "a number": 60, "a whole number": 2000, "true or false": False}


def written(client: Client, *servers: Start | Address, **more: object) -> bytes:
    data = b""
    for number, server in enumerate(servers):
        data = client.dialect.set(data, f"server{number}", {**client.shape.written(server), **more})
    return data


@EVERY
def test_a_server_that_it_starts(client: Client) -> None:
    data = written(client, START)
    found = read_application(client, data, file="f")
    (server,) = found.reading.servers
    assert server.fields["source"] == "pypi:mcp-server-time"
    assert server.fields["args"] == ["--utc"]
    assert server.fields["env"] == {"MODE": "fast"}
    assert server.secrets == (Secret(table="env", key="GITHUB_TOKEN", value=TOKEN),)
    assert (server.found_as, server.left, server.client_fields, found.reading.left) == ("server0", (), {}, ())
    assert 1 <= server.line <= data.count(b"\n")
    entry = client.dialect.read(data)["server0"]
    assert found.digests == {"server0": entry_digest(entry.value)}


@EVERY
def test_numbers_are_the_text_that_was_meant_and_what_is_no_text_is_said(client: Client) -> None:
    value = dict(client.shape.written(START))
    value[client.shape.args or client.shape.command] = [*value[client.shape.args or client.shape.command], 8080]
    value[client.shape.env] = {"PIN_TOKEN": 81726354, "DEBUG": True, "MANY": [1]}
    found = read_application(client, client.dialect.set(b"", "one", value), file="f")
    (server,) = found.reading.servers
    assert server.fields["args"] == ["--utc", "8080"]
    assert server.fields["env"] == {"DEBUG": "true"}
    assert server.secrets == (Secret(table="env", key="PIN_TOKEN", value="81726354"),)
    assert [left.what for left in server.left] == ["`MANY`: it is no text"]


@pytest.mark.parametrize(
    ("more", "why"),
    [('"args": null, "env": null', ""), ('"args": "x"', "; `args` has to be a list")],
)
def test_what_is_null_is_nothing_and_what_is_of_another_type_is_said(more: str, why: str) -> None:
    data = f'{{"mcpServers": {{"one": {{"command": "uvx mcp-server-time", {more}}}}}}}'.encode()
    reading = read_application(CLIENTS["cursor"], data, file="f").reading
    if not why:
        (server,) = reading.servers
        assert server.fields["source"] == "pypi:mcp-server-time"
        return
    assert [left.what for left in reading.left] == [f"`one` neither starts a server nor has the address of one{why}"]


@EVERY
def test_members_of_any_kind_stop_nothing(client: Client) -> None:
    shapes = [client.shape.written(START)] + [
        client.shape.written(Address(url="https://mcp.example.com/x", transport="sse" if number else "http"))
        for number, known in enumerate((client.shape.http, client.shape.sse))
        if known
    ]
    for shape in shapes:
        for name in (*shape, "type", "transport", "auth", "env_vars", "headers", "half"):
            for value in ([["x"]], {"x": {"x": [1]}}, 1.5, True, [], {}, ""):
                data = client.dialect.set(b"", "one", {**shape, name: value})
                read_application(client, data, file="f")
                readable_entries(client, data, file="f")


def test_the_name_of_a_member_may_be_half_of_a_character() -> None:
    data = b'{"mcpServers": {"a": {"command": "x", "\\ud800": 1}}}'
    (server,) = read_application(CLIENTS["cursor"], data, file="f").reading.servers
    assert server.left


@EVERY
def test_a_server_that_it_connects_to(client: Client) -> None:
    for transport, shape in (("http", client.shape.http), ("sse", client.shape.sse)):
        if shape is None:
            continue
        address = Address(
            url="https://mcp.example.com/x",
            transport="sse" if transport == "sse" else "http",
            headers={"Authorization": f"Bearer {TOKEN}", "X-Team": "a"},
        )
        (server,) = read_application(client, written(client, address), file="f").reading.servers
        assert server.fields["url"] == address.url
        assert server.fields.get("transport", "http") == transport
        assert server.fields["headers"] == {"X-Team": "a"}
        assert server.secrets == (Secret(table="headers", key="Authorization", value=TOKEN, format="Bearer {}"),)
        assert server.left == ()


@EVERY
def test_fields_of_its_own_are_kept_and_others_listed_with_their_line(client: Client) -> None:
    own = {
        name: field.words[0] if field.words else VALUES[field.form]
        for name, field in client.fields.items()
        if (field.words or field.form in VALUES) and name != "env_keys"
    }
    data = written(client, START, **own, zzUnknown=7)
    (server,) = read_application(client, data, file="f").reading.servers
    assert server.client_fields == own
    (left,) = server.left
    assert "`zzUnknown`" in left.what
    assert left.line == data[: data.index(b"zzUnknown")].count(b"\n") + 1
    (elsewhere,) = read_application(client, data, file="f", is_its_own=False).reading.servers
    assert (elsewhere.client_fields, len(elsewhere.left)) == ({}, 1 + len(own))


@EVERY
def test_entries_that_hatchlock_starts_already_are_passed_over(client: Client) -> None:
    found = read_application(client, written(client, START, OURS), file="f")
    assert ([server.found_as for server in found.reading.servers], found.ours) == (["server0"], ("server1",))


@EVERY
def test_an_entry_that_is_none_is_listed(client: Client) -> None:
    data = client.dialect.set(b"", "odd", {"enabled": True, "unheard": "of"})
    found = read_application(client, data, file="f").reading
    assert (found.servers, len(found.left)) == ((), 1)
    assert "odd" in found.left[0].what


@EVERY
def test_its_files_are_known_by_their_paths(client: Client) -> None:
    data = written(client, START)
    for file in {*client.user_files.values(), client.project_file} - {""}:
        found = application_of(Path("/somewhere", file), data)
        assert found is not None
        assert (found.dialect.read(data).keys(), found.title) == (client.dialect.read(data).keys(), found.title)


@EVERY
def test_its_files_are_known_by_what_is_in_them(client: Client) -> None:
    ending = (
        ".toml" if "toml" in client.user_files["linux"] else ".yaml" if "yaml" in client.user_files["linux"] else ""
    )
    found = application_like(Path(f"/somewhere/servers{ending}"), written(client, START))
    assert found is not None
    assert len(read_application(found, written(client, START), file="f").reading.servers) == 1


def test_codex_goes_on_handing_on_the_variables_that_its_entries_name() -> None:
    data = b"""\
[mcp_servers.remote]
url = "https://mcp.example.com/x"
bearer_token_env_var = "REMOTE_TOKEN"
env_http_headers = { X-Team = "TEAM" }

[mcp_servers.local]
command = "uvx"
args = ["mcp-server-time"]
env_vars = ["TZ", { name = "MODE", source = "local" }]
"""
    remote, local = read_application(CLIENTS["codex"], data, file="f").reading.servers
    assert remote.secrets == (
        Secret(table="headers", key="Authorization", reference="env:REMOTE_TOKEN", format="Bearer {}"),
        Secret(table="headers", key="X-Team", reference="env:TEAM"),
    )
    assert remote.client_fields == {"env_vars": ["REMOTE_TOKEN", "TEAM"]}
    assert [(secret.key, secret.reference) for secret in local.secrets] == [("TZ", "env:TZ"), ("MODE", "env:MODE")]
    assert local.client_fields == {"env_vars": ["TZ", {"name": "MODE", "source": "local"}]}
    assert (remote.left, local.left) == ((), ())


def test_goose_goes_on_handing_on_its_own_secrets_and_its_parts_are_no_servers() -> None:
    data = b"""\
extensions:
  developer: {enabled: true, type: builtin, name: developer}
  old: {enabled: true, type: sse, name: old, uri: "https://mcp.example.com/x"}
  keyed: {enabled: false, type: stdio, name: keyed, cmd: uvx, args: [mcp-server-time], env_keys: [KEY]}
"""
    old, keyed = read_application(CLIENTS["goose"], data, file="f").reading.servers
    assert old.fields == {"url": "https://mcp.example.com/x", "transport": "sse"}
    assert keyed.secrets == (Secret(table="env", key="KEY", reference="env:KEY"),)
    assert keyed.client_fields == {"enabled": False, "env_keys": ["KEY"]}


def test_what_is_nothing_of_all_this_is_known_as_nothing() -> None:
    for data in (b"", b"{}", b'{"name": "x", "dependencies": {"a": "1"}}', b"[1]", b"\xff\xfe", b"key = 1\n", b"- a\n"):
        for name in ("x.json", "x.toml", "x.yaml", "x"):
            assert application_like(Path(name), data) is None, (data, name)


def test_every_file_of_the_corpus_is_read_or_refused_with_its_place() -> None:
    files = [path for path in sorted((ROOT / "fixtures/clients").rglob("*")) if path.is_file()]
    broken: list[tuple[Unparsable, str]] = []
    read = 0
    for path in files:
        data = path.read_bytes()
        client = application_of(path, data) or application_like(path, data) or CLIENTS["cursor"]
        try:
            reading = read_application(client, data, file=path.name).reading
        except Unparsable as error:
            broken.append((error, path.name))
            continue
        lines = [*(item.line for item in reading.servers), *(item.line for item in reading.left)]
        assert all(1 <= line <= data.count(b"\n") + 1 for line in lines)
        read += 1
    assert broken
    assert all((error.path, error.line >= 1) == (name, True) for error, name in broken)
    assert read > len(files) / 3
