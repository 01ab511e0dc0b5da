from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.manifest.takeover import CannotTakeOver
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.model import Reading
from hatchlock.migrate.pasted import is_pasted, pasted
from hatchlock.place import Place
from hatchlock.usecases.pasted import from_text, from_words

FOO: dict[str, Any] = {"command": "npx", "args": ["-y", "foo"]}
TOKEN = "abcdefgh12345678"


def base64_of(value: object) -> str:
    return quote(base64.b64encode(json.dumps(value).encode()).decode())


def fields_of(reading: Reading) -> dict[str, dict[str, Any]]:
    assert reading.left == ()
    return {server.name: dict(server.fields) for server in reading.servers}


PLAYWRIGHT = {"name": "pw", "command": "npx", "args": ["@playwright/mcp@latest"]}
IN_VSCODE = f"vscode:mcp/install?{quote(json.dumps(PLAYWRIGHT))}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (json.dumps({"mcpServers": {"foo": FOO}}, indent=2), "foo"),
        ('{"mcpServers": {"foo": {"command": "npx", "args": ["-y", "foo"],}}} // mine', "foo"),
        (json.dumps({"servers": {"foo": {"type": "stdio", **FOO}}, "inputs": []}), "foo"),
        (json.dumps({"foo": FOO}), "foo"),
        ('"foo": {"command": "npx", "args": ["-y", "foo"]},', "foo"),
        (json.dumps(FOO), "foo"),
        (json.dumps({"name": "bar", **FOO}), "bar"),
        ('{"command": "npx -y foo"}', "foo"),
        (json.dumps({"mcp": {"foo": {"type": "local", "command": ["npx", "-y", "foo"]}}}), "foo"),
        ('[mcp_servers.foo]\ncommand = "npx"\nargs = ["-y", "foo"]\n', "foo"),
        ("extensions:\n  foo:\n    type: stdio\n    cmd: npx\n    args: [-y, foo]\n    enabled: true\n", "foo"),
        (f"cursor://anysphere.cursor-deeplink/mcp/install?name=foo&config={base64_of(FOO)}", "foo"),
        (f"cursor://anysphere.cursor-deeplink/mcp/install?name=a&config={base64_of({'foo': FOO})}", "a"),
        (f"https://cursor.com/en/install-mcp?name=foo&config={base64_of({'command': 'npx -y foo'})}", "foo"),
        (f"lmstudio://add_mcp?name=foo&config={base64_of(FOO)}", "foo"),
        (f"vscode:mcp/install?{quote(json.dumps({'name': 'foo', **FOO}))}", "foo"),
        (f"https://insiders.vscode.dev/redirect/mcp/install?name=foo&config={quote(json.dumps(FOO))}", "foo"),
        (
            f"https://vscode.dev/redirect?url={quote('vscode:mcp/install?' + quote(json.dumps({'name': 'foo', **FOO})))}",
            "foo",
        ),
        ("goose://extension?cmd=npx&arg=-y&arg=foo&id=foo&name=Foo", "foo"),
        ("claude mcp add foo -- npx -y foo", "foo"),
        ("claude mcp add --scope user foo npx -- -y foo", "foo"),
        (f"claude mcp add-json foo '{json.dumps(FOO)}'", "foo"),
        ("codex mcp add foo -- npx -y foo", "foo"),
        ("gemini mcp add -t stdio foo npx -y foo", "foo"),
        (f"code --add-mcp '{json.dumps({'name': 'foo', **FOO})}'", "foo"),
        ("npx \\\n  -y foo", "foo"),
        ("$ npx -y foo", "foo"),
        ("```bash\n# first\n$ claude mcp add foo -- npx -y foo\n```", "foo"),
        (f"Write this:\n\n~~~json\n{json.dumps({'foo': FOO}, indent=1)}\n~~~\nand restart.", "foo"),
        (f"claude mcp add-json foo '{json.dumps(FOO, indent=1)}'", "foo"),
        ('{"context_servers": {"foo": {"command": {"path": "npx", "args": ["-y", "foo"]}}}}', "foo"),
    ],
)
def test_whatever_form_it_has_it_is_the_same_server(text: str, name: str) -> None:
    assert is_pasted(text)
    assert fields_of(pasted(text)) == {name: {"source": "npm:foo"}}


def test_a_link_of_an_editor_has_its_servers_name() -> None:
    assert fields_of(pasted(IN_VSCODE)) == {"pw": {"source": "npm:@playwright/mcp"}}
    assert fields_of(pasted(json.dumps(FOO), name="mine")) == {"mine": {"source": "npm:foo"}}


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("claude mcp add -t http s https://h.example/mcp", {"url": "https://h.example/mcp"}),
        ("claude mcp add s --transport sse https://h.example/x", {"url": "https://h.example/x", "transport": "sse"}),
        (
            "claude mcp add s https://h.example/mcp -H 'X-A: b' 'X-C: d'",
            {"url": "https://h.example/mcp", "headers": {"X-A": "b", "X-C": "d"}},
        ),
        ("codex mcp add s --url https://h.example/mcp", {"url": "https://h.example/mcp"}),
        (
            "claude mcp add -e A=b C=d s -- npx foo -e f",
            {"source": "npm:foo", "args": ["-e", "f"], "env": {"A": "b", "C": "d"}},
        ),
        ("auggie mcp add s --command npx --args '-y foo'", {"source": "npm:foo"}),
    ],
)
def test_a_command_that_adds_says_all_of_a_server(line: str, fields: dict[str, Any]) -> None:
    assert fields_of(pasted(line)) == {"s": fields}


def test_a_token_of_codex_is_a_reference() -> None:
    (server,) = pasted("codex mcp add s --url https://h.example/mcp --bearer-token-env-var TOK").servers
    assert [(item.reference, item.format) for item in server.secrets] == [("env:TOK", "Bearer {}")]


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        ('{"mcpServers": {\n"a": }}', Unreadable, 2),
        ('{"a": 1}', Unreadable, 0),
        ("cursor://anysphere.cursor-deeplink/mcp/install?name=foo&config=%%%", Unreadable, 0),
        ("https://vscode.dev/redirect?url=https://h.example", Unreadable, 0),
        ("claude mcp add 'foo -- npx", Unreadable, 1),
        ("[mcp_servers.x\ncommand = 1", Unreadable, 1),
        ('[mcp_servers.x]\ncommand = "a\n', Unreadable, 2),
        ("extensions:\n  a: [\n", Unreadable, 3),
        ("[]", Unreadable, 0),
        ('[{"name": "a"]', Unreadable, 1),
        ("Install with pip and then run it", CannotTakeOver, 0),
        ("Install with pip,\nand then run it", Unreadable, 2),
        ("uvx a\nuvx b", Unreadable, 2),
        ("`uvx foo`", CannotTakeOver, 0),
        ("```\nuvx a\n```\nor\n```\nuvx b\n```", Unreadable, 5),
        ('{\n"comand": "uvx"}', Unreadable, 2),
        ('{"mcpServers": {\n"foo": {"comand": "uvx"}}}', Unreadable, 2),
        ("claude mcp add foo", CannotTakeOver, 0),
        ("claude mcp add --unheard-of foo npx", CannotTakeOver, 0),
        ("claude mcp add foo --env", CannotTakeOver, 0),
        ("claude mcp add-json foo", CannotTakeOver, 0),
    ],
)
def test_what_is_no_server_is_refused_with_a_hint(text: str, error: type[HatchlockError], line: int) -> None:
    with pytest.raises(error) as caught:
        pasted(text)
    assert caught.value.hint
    assert (caught.value.place.line if caught.value.place else 0) == line


def test_what_a_key_was_meant_to_be_is_asked() -> None:
    with pytest.raises(Unreadable, match="is `comand` meant to be `command`"):
        pasted('{"comand": "uvx"}')
    (left,) = pasted(json.dumps({"mcpServers": {"foo": FOO, "bar": {"comand": "uvx"}}})).left
    assert left.what.endswith("; is `comand` meant to be `command`?")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ('{"mcpServers": {"foo": {"command": "npx",\n"args": "-y foo"}}}', 2, "`args` of `foo` has to be a list"),
        ('{"command": "npx",\n"args": "-y foo"}', 2, "`args` has to be a list"),
        ('{"foo": {"command": "npx",\n"args": "-y foo"}}', 2, "`args` of `foo` has to be a list"),
        ('{"servers": {"foo": {\n"command": 5}}}', 2, "`command` of `foo` has to be a text"),
        ('{"command": 5}', 1, "`command` has to be a text"),
        ('{"mcpServers": {\n"foo": {"url": {}}}}', 2, "`url` of `foo` has to be a text"),
        ('{"mcpServers": {\n"foo": "npx foo"}}', 2, "`foo` has to hold `command` and `args`, or `url`"),
    ],
)
def test_a_value_of_another_form_is_named_with_what_it_has_to_be(text: str, line: int, what: str) -> None:
    with pytest.raises(Unreadable) as caught:
        pasted(text)
    assert str(caught.value) == f"no server is in it; {what}"
    assert caught.value.place == Place(file="pasted", line=line)


def test_a_value_of_another_form_beside_a_server_is_named_too() -> None:
    (left,) = pasted(json.dumps({"mcpServers": {"foo": FOO, "bar": {"command": "uvx", "args": "x"}}})).left
    assert left.what.endswith("; `args` has to be a list")


def test_a_program_that_is_not_there_is_told() -> None:
    (server,) = pasted('{"command": "no-such-program", "args": ["x"]}').servers
    assert "there is no program `no-such-program` on this machine yet" in server.notes


@pytest.mark.parametrize(
    "text", ["pypi:foo>=1 ,<2", "ghcr.io/a/b:1", "https://h.example/mcp", "path:./a b", "npm:@a/b", "hatch:a >= 1"]
)
def test_a_source_is_not_taken_for_something_pasted(text: str) -> None:
    assert not is_pasted(text)


def test_secrets_get_names_and_are_to_be_set() -> None:
    text = json.dumps(
        {
            "mcpServers": {
                "gh": {**FOO, "env": {"GITHUB_TOKEN": TOKEN, "API_KEY": "<key>", "OTHER": "${THERE}"}},
                "s": {"url": "https://h.example/mcp", "headers": {"Authorization": f"Bearer {TOKEN}x"}},
            }
        }
    )
    found = from_text(text, manifest='"keyring:gh-api-key"')
    assert found.servers["gh"]["env"] == {
        "GITHUB_TOKEN": {"secret": "keyring:github-token"},
        "API_KEY": {"secret": "keyring:gh-api-key-2"},
        "OTHER": {"secret": "env:THERE"},
    }
    assert found.servers["s"]["headers"] == {
        "Authorization": {"secret": "keyring:s-authorization", "format": "Bearer {}"}
    }
    assert [note for note in found.notes if note.startswith("next: ")] == [
        f"next: hatchlock secret set {name}" for name in ("gh-api-key-2", "github-token", "s-authorization")
    ]
    assert TOKEN not in repr(found)
    own = from_text(text, project="work")
    assert "next: hatchlock secret set github-token --project work" in own.notes


def test_every_reason_is_told_at_once_with_its_line() -> None:
    text = f'{{"mcpServers": {{\n"a": {{"command": "npx", "args": ["foo", "--key", "{TOKEN}"]}},\n"b": {{"command": "sh", "args": ["-c", "a | b"]}},\n"c": {{"command": "npx", "args": ["foo"]}}\n}}}}'
    with pytest.raises(ManyErrors) as caught:
        from_text(text)
    assert [str(error.place) for error in caught.value.errors] == ["pasted:2", "pasted:3"]
    assert all(error.hint for error in caught.value.errors)


def test_a_command_line_is_one_server() -> None:
    found = from_words(["docker", "run", "--restart", "always", "-e", "A=b", "a/b"])
    assert found.servers == {"b": {"source": "oci:a/b", "env": {"A": "b"}}}
    assert found.notes[0] == "server:b: not carried over: `--restart`: hatchlock starts it again by itself"
