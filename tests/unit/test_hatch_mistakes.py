"""What Hatch does wrong with the files of applications, one test for each: here it is right.

The applications' own words are theirs; what Hatch does to each is said in the test's name.
"""

from __future__ import annotations

import ast
import json
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.dialect import Dialect
from hatchlock.clients.shape import Address, Start
from hatchlock.clients.writer import apply_entry, lock_path
from hatchlock.errors import HatchlockError
from hatchlock.migrate.applications import read_application
from hatchlock.paths import Home
from support.cats import CatProject, apply
from support.source_tree import ROOT

TOKEN = "ghp_" + "a1B2" * 9
REMOTE = Address(url="https://mcp.example.com/mcp")
SSE = Address(url="https://mcp.example.com/sse", transport="sse")


def cats(root: Path, client: str, content: str | None = None, *, scope: str = "user", more: str = "") -> CatProject:
    """Return a project that lists one server in an application's file, which has this content before."""
    manifest = (
        '[project]\nname = "trial"\nplatforms = ["linux/amd64", "linux/arm64"]\n'
        f'[defaults]\nruntime = "process"\nisolation = "best-effort"\nclients = ["{client}"]\n'
        f'[clients.{client}]\nscope = "{scope}"\n[servers.cat]\ncommand = ["/bin/cat"]\n{more}'
    )
    project = CatProject(root, manifest)
    if content is not None:
        file = file_of(project, client)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return project


def file_of(project: CatProject, client: str) -> Path:
    return CLIENTS[client].user_path(project.user_home, {}, "linux")


def entry_of(project: CatProject, client: str, name: str = "cat") -> Any:
    return CLIENTS[client].dialect.read(file_of(project, client).read_bytes())[name].value


def comes_and_goes(root: Path, client: str, content: str) -> str:
    """Let an entry come into a file and go again; return the file as it was meanwhile, with all that it had in its place."""
    project = cats(root, client, content)
    dialect, file = CLIENTS[client].dialect, file_of(project, client)
    before = texts(dialect, content.encode())
    apply(project)
    meanwhile = file.read_bytes()
    found = texts(dialect, meanwhile)
    assert found.pop("cat")
    assert found == before
    project.ok("destroy", "--yes")
    assert file.read_text() == content
    return meanwhile.decode()


def texts(dialect: Dialect, data: bytes) -> dict[str, bytes]:
    return {name: data[slice(*entry.span)] for name, entry in dialect.read(data).items()}


def in_json(root: str, **entries: object) -> str:
    return json.dumps({"first": [1, 1.0], root: entries, "last": None}, indent=1)


# What each application is given


def test_claude_desktop_gets_no_address_for_its_file_is_of_programs_only() -> None:
    for there in (REMOTE, SSE):
        with pytest.raises(ValueError, match="it connects to no server over"):
            CLIENTS["claude-desktop"].shape.written(there)


@pytest.mark.parametrize("client", ["claude-code", "vscode", "crush", "roo-code", "continue"])
def test_an_address_of_server_sent_events_is_not_written_as_one_of_http(client: str) -> None:
    shape = CLIENTS[client].shape
    assert shape.written(SSE)["type"] == "sse"
    assert shape.read(shape.written(SSE)) == SSE
    assert shape.read({"type": "sse", "url": SSE.url}) == SSE


@pytest.mark.parametrize("client", ["codex", "windsurf", "lmstudio", "kiro", "goose"])
def test_an_address_of_server_sent_events_is_refused_where_there_are_none(client: str) -> None:
    with pytest.raises(ValueError, match="server-sent events"):
        CLIENTS[client].shape.written(SSE)


def test_claude_codes_servers_of_one_directory_are_left_alone(tmp_path: Path) -> None:
    content = in_json("mcpServers") + "\n"
    local = {"projects": {"/p": {"mcpServers": {"cat": {"command": "theirs"}}, "history": []}}, **json.loads(content)}
    meanwhile = json.loads(comes_and_goes(tmp_path, "claude-code", json.dumps(local, indent=2)))
    assert meanwhile["projects"] == local["projects"]


def test_vscodes_inputs_stay_beside_its_servers_and_are_no_member_of_one(tmp_path: Path) -> None:
    inputs = [{"type": "promptString", "id": "key", "description": "a key", "password": True}]
    content = json.dumps({"inputs": inputs, "servers": {"theirs": {"type": "stdio", "command": "x"}}}, indent="\t")
    meanwhile = json.loads(comes_and_goes(tmp_path / "a", "vscode", content))
    assert meanwhile["inputs"] == inputs
    assert set(meanwhile["servers"]["cat"]) == {"type", "command", "args"}
    assert meanwhile["servers"]["cat"]["type"] == "stdio"
    refused = cats(tmp_path / "b", "vscode", more="client.vscode = { inputs = [] }\n").fails("validate")
    assert "inputs" in refused.err


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ("claude-code", ".mcp.json"),
        ("vscode", ".vscode/mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("kiro", ".kiro/settings/mcp.json"),
        ("gemini", ".gemini/settings.json"),
        ("codex", ".codex/config.toml"),
        ("opencode", "opencode.json"),
        ("mistral-vibe", ".vibe/config.toml"),
    ],
)
def test_the_file_of_a_project_can_be_written_too(client: str, path: str, tmp_path: Path) -> None:
    project = cats(tmp_path, client, scope="project")
    apply(project)
    assert "cat" in CLIENTS[client].dialect.read((project.directory / path).read_bytes())
    assert not file_of(project, client).exists()


def test_lmstudios_envfile_is_refused_by_name_instead_of_dropped(tmp_path: Path) -> None:
    refused = cats(tmp_path, "lmstudio", more='client.lmstudio = { envFile = ".env" }\n').fails("validate")
    assert "envFile" in refused.err


def test_gemini_gets_an_address_of_http_and_one_of_server_sent_events() -> None:
    shape = CLIENTS["gemini"].shape
    assert shape.written(REMOTE) == {"httpUrl": REMOTE.url}
    assert shape.written(SSE) == {"url": SSE.url}


def test_gemini_has_one_table_of_oauth_and_not_members_of_that_name(tmp_path: Path) -> None:
    refused = cats(tmp_path, "gemini", more='client.gemini = { oauth_clientId = "x" }\n').fails("validate")
    assert "oauth_clientId" in refused.err
    assert "oauth" not in CLIENTS["gemini"].fields


def test_codex_reads_args_and_not_arguments(tmp_path: Path) -> None:
    project = cats(tmp_path, "codex")
    apply(project)
    written = tomllib.loads(file_of(project, "codex").read_text())["mcp_servers"]["cat"]
    assert written["args"][0] == "run"
    assert "arguments" not in written


CODEX = """\
model = "x"
[mcp_servers.theirs]
command = "npx"
startup_timeout_sec = 30
env_vars = ["A", { name = "B", source = "local" }]
required = true

[features]
later = 1
"""


def test_whole_numbers_of_codex_stay_whole(tmp_path: Path) -> None:
    assert "startup_timeout_sec = 30\n" in comes_and_goes(tmp_path / "a", "codex", CODEX)
    project = cats(tmp_path / "b", "codex", more="client.codex = { tool_timeout_sec = 60 }\n")
    apply(project)
    assert "tool_timeout_sec = 60\n" in file_of(project, "codex").read_text()


def test_codexs_tables_stay_in_their_order(tmp_path: Path) -> None:
    meanwhile = comes_and_goes(tmp_path, "codex", CODEX)
    assert list(tomllib.loads(meanwhile)) == ["model", "mcp_servers", "features"]
    assert meanwhile.index("[features]") > meanwhile.index("[mcp_servers.theirs]")


def test_codexs_headers_have_their_own_name_both_ways() -> None:
    there = Address(url=REMOTE.url, headers={"X-A": "1"})
    written = CLIENTS["codex"].shape.written(there)
    assert written == {"url": REMOTE.url, "http_headers": {"X-A": "1"}}
    assert CLIENTS["codex"].shape.read(written) == there


def test_variables_that_codex_is_to_hand_on_may_be_tables(tmp_path: Path) -> None:
    more = 'client.codex = { env_vars = ["A", { name = "B", source = "local" }], required = false }\n'
    project = cats(tmp_path, "codex", more=more)
    apply(project)
    entry = entry_of(project, "codex")
    assert (entry["env_vars"], entry["required"]) == (["A", {"name": "B", "source": "local"}], False)


def test_a_key_of_vibe_is_put_into_a_placeholder_that_vibe_knows() -> None:
    data = (
        b'[[mcp_servers]]\nname = "far"\ntransport = "http"\nurl = "https://mcp.example.com/mcp"\n'
        b'api_key_env = "KEY"\napi_key_header = "Authorization"\napi_key_format = "Bearer {api_key}"\n'
    )
    (server,) = read_application(CLIENTS["mistral-vibe"], data, file="config.toml").reading.servers
    (secret,) = server.secrets
    assert (secret.key, secret.reference, secret.format) == ("Authorization", "env:KEY", "Bearer {}")
    assert not {"api_key_env", "api_key_format", "api_key_header"} & set(CLIENTS["mistral-vibe"].fields)


def test_which_file_of_vibe_is_written_is_no_matter_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".vibe").mkdir()
    (tmp_path / ".vibe" / "config.toml").touch()
    monkeypatch.chdir(tmp_path)
    vibe = CLIENTS["mistral-vibe"]
    assert vibe.user_path(Path("/home/ada"), {}, "linux") == Path("/home/ada/.vibe/config.toml")
    assert vibe.user_path(Path("/home/ada"), {"VIBE_HOME": "/v"}, "linux") == Path("/v/config.toml")


OPENCODE = """\
// mine
{
  /* a comment
     of two lines */
  "mcp": {
    "theirs": { "type": "local", "command": ["npx", "x"], }, // why
  },
}
"""


def test_comments_and_trailing_commas_of_opencode_do_not_wipe_its_file(tmp_path: Path) -> None:
    comes_and_goes(tmp_path, "opencode", OPENCODE)


def test_opencodes_other_file_can_be_named(tmp_path: Path) -> None:
    project = cats(tmp_path, "opencode")
    file = project.user_home / "opencode.jsonc"
    file.write_text(OPENCODE)
    project.edit('scope = "user"', 'path = "~/opencode.jsonc"')
    apply(project)
    assert set(CLIENTS["opencode"].dialect.read(file.read_bytes())) == {"theirs", "cat"}
    assert "of two lines */" in file.read_text()


def test_opencode_2_has_another_place_and_other_words(tmp_path: Path) -> None:
    project = cats(tmp_path, "opencode-v2", more="client.opencode-v2 = { disabled = true }\n")
    apply(project)
    document = json.loads(file_of(project, "opencode-v2").read_text())
    assert document["mcp"]["servers"]["cat"]["disabled"] is True
    assert "enabled" in CLIENTS["opencode"].fields
    assert "enabled" not in CLIENTS["opencode-v2"].fields


UNKNOWN: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "cursor": ("mcpServers", {"url": "https://x.example", "auth": {"CLIENT_ID": "a", "scopes": ["b"]}}),
    "kiro": ("mcpServers", {"url": "https://x.example", "oauth": {"clientId": "a"}, "oauthScopes": []}),
    "gemini": ("mcpServers", {"httpUrl": "https://x.example", "oauth": {"enabled": True, "scopes": []}}),
    "lmstudio": ("mcpServers", {"command": "x", "envFile": ".env"}),
    "augment": ("mcpServers", {"command": "x", "type": "stdio", "env": {}, "more": 1e3}),
    "opencode": ("mcp", {"type": "remote", "url": "https://x.example", "oauth": False, "enabled": False}),
}


@pytest.mark.parametrize("client", UNKNOWN)
def test_members_that_we_do_not_know_stay_in_entries_of_others(client: str, tmp_path: Path) -> None:
    root, entry = UNKNOWN[client]
    comes_and_goes(tmp_path, client, in_json(root, theirs=entry))


def test_members_that_we_do_not_know_stay_in_vibes_entries(tmp_path: Path) -> None:
    comes_and_goes(
        tmp_path,
        "mistral-vibe",
        '[[mcp_servers]]\nname = "theirs"\ntransport = "http"\nurl = "https://x.example"\ndisabled = true\n'
        'disabled_tools = ["a"]\n\n[mcp_servers.auth]\ntype = "oauth"\nscopes = []\n',
    )


def test_what_is_empty_is_left_out_of_an_entry() -> None:
    for client in CLIENTS.values():
        written = client.shape.written(Start(command="x", args=("y",)))
        assert all(value not in ({}, [], "", None) for value in written.values())


def test_a_field_can_be_switched_off(tmp_path: Path) -> None:
    project = cats(tmp_path, "codex", more="client.codex = { enabled = false }\n")
    apply(project)
    assert entry_of(project, "codex")["enabled"] is False


# How files are written


BROKEN = '{"mcpServers": {"theirs": {"command": "x"}'


def test_a_file_that_cannot_be_parsed_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor", BROKEN)
    project.ok("lock")
    failed = project.fails("apply", "--yes", "--no-probe")
    assert str(file_of(project, "cursor")) in failed.err
    assert file_of(project, "cursor").read_text() == BROKEN


def test_no_copy_of_a_file_with_tokens_is_made_and_nothing_of_ours_is_open_to_others(tmp_path: Path) -> None:
    content = in_json("mcpServers", theirs={"command": "x", "env": {"GITHUB_TOKEN": TOKEN}})
    project = cats(tmp_path, "cursor", content)
    apply(project)
    kept = [path for path in project.store.rglob("*") if not path.is_symlink()]
    assert all(TOKEN.encode() not in path.read_bytes() for path in kept if path.is_file())
    launcher = {project.launcher, project.launcher.parent, project.store}
    assert [path for path in {*kept} - launcher if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    assert stat.S_IMODE(project.store.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../../../evil.json", "/etc/passwd", "cursor/../../evil"])
def test_what_is_restored_is_named_and_no_path(name: str, tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor")
    apply(project)
    before = file_of(project, "cursor").read_bytes()
    done = project.run("client", "restore", name, "--yes")
    assert done.status in {1, 64}, done.said
    assert file_of(project, "cursor").read_bytes() == before
    assert not list(tmp_path.rglob("evil*"))


def test_a_neighbour_whose_name_ends_in_tmp_is_nobody_to_write_over(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor", in_json("mcpServers"))
    file = file_of(project, "cursor")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    file.with_name("mcp.json.tmp").symlink_to(elsewhere)
    file.with_suffix(".tmp").write_text("theirs too")
    apply(project)
    assert elsewhere.read_text() == "theirs"
    assert file.with_suffix(".tmp").read_text() == "theirs too"
    assert "cat" in json.loads(file.read_text())["mcpServers"]


class Rewriting:
    """A dialect during whose first edit the application writes its file itself."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.inner = CLIENTS["cursor"].dialect
        self.edits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def set(self, data: bytes, name: str, value: Mapping[str, Any], *, path: str = "") -> bytes:
        self.edits += 1
        if self.edits == 1:
            self.file.write_text(in_json("mcpServers", new={"command": "y"}))
        return self.inner.set(data, name, value, path=path)


def test_a_file_is_read_again_before_it_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(in_json("mcpServers"))
    dialect = Rewriting(file)
    home = Home(root=tmp_path / "store", is_default=False)
    apply_entry(file, "cat", {"command": "x"}, dialect=dialect, expected_entry=None, lock=lock_path(home, file))
    assert list(json.loads(file.read_text())["mcpServers"]) == ["new", "cat"]
    assert dialect.edits == 2


def test_a_file_is_flushed_before_it_takes_the_others_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(in_json("mcpServers"))
    seen: list[bytes] = []
    flush = os.fsync

    def flushed(handle: int) -> None:
        seen.append(file.read_bytes())
        flush(handle)

    monkeypatch.setattr(os, "fsync", flushed)
    home = Home(root=tmp_path / "store", is_default=False)
    before = file.read_bytes()
    apply_entry(
        file,
        "cat",
        {"command": "x"},
        dialect=CLIENTS["cursor"].dialect,
        expected_entry=None,
        lock=lock_path(home, file),
    )
    assert before in seen
    assert file.read_bytes() != before


# What is said of it


def test_an_apply_of_which_one_application_fails_is_no_success(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor", BROKEN)
    project.edit('clients = ["cursor"]', 'clients = ["cursor", "kiro"]')
    project.ok("lock")
    failed = project.fails("apply", "--yes", "--no-probe")
    assert "client:cursor/cat" in failed.said
    assert "cat" in json.loads(file_of(project, "kiro").read_text())["mcpServers"]


def test_a_source_that_cannot_be_read_is_no_successful_sync(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor", BROKEN)
    project.fails("client", "sync", "cursor", "kiro", "--yes")
    assert not file_of(project, "kiro").exists()


def test_what_a_target_cannot_have_is_named_by_a_sync_and_its_status_tells(tmp_path: Path) -> None:
    content = in_json("mcpServers", far={"url": REMOTE.url}, near={"command": "x", "envFile": ".env"})
    project = cats(tmp_path, "cursor", content)
    done = project.run("client", "sync", "cursor", "claude-desktop", "--yes")
    assert done.status == 1
    assert "it connects to no server over streamable HTTP" in done.said
    assert "envFile" in done.said
    assert list(json.loads(file_of(project, "claude-desktop").read_text())["mcpServers"]) == ["near"]


def test_an_entry_goes_with_its_server(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor", more='[servers.two]\ncommand = ["/bin/cat"]\n')
    apply(project)
    project.edit('[servers.two]\ncommand = ["/bin/cat"]\n', "")
    apply(project)
    assert list(json.loads(file_of(project, "cursor").read_text())["mcpServers"]) == ["cat"]


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "x", "env": {"GITHUB_TOKEN": TOKEN, "DB_PASS": "hunter2hunter2", "HOST": "tell-nobody"}},
        {"command": "x", "args": ["--token", TOKEN, "--password=hunter2hunter2"]},
        {"url": f"https://user:hunter2hunter2@x.example/mcp?key={TOKEN}"},
        {"url": "https://x.example", "headers": {"Authorization": f"Bearer {TOKEN}", "X-Team": "tell-nobody"}},
    ],
    ids=["variables", "arguments", "address", "headers"],
)
def test_secrets_of_entries_are_shown_in_no_list_difference_or_plan(entry: object, tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor", in_json("mcpServers", cat=entry, theirs=entry))
    project.ok("lock")
    adopt = '\n[[adopt]]\naddress = "client:cursor/cat"\n'
    said = project.run("plan").said
    project.write(project.manifest.read_text() + adopt)
    project.ok("lock")
    words = (
        ("plan",),
        ("plan", "--json"),
        ("client", "show", "cursor"),
        ("client", "show", "cursor", "--json"),
        ("client", "diff"),
        ("client", "sync", "cursor", "kiro", "--yes", "--dry-run"),
        ("apply", "--yes", "--no-probe", "--allow-destructive"),
        ("status", "-v"),
    )
    for command in words:
        said += project.run(*command).said
    assert not [secret for secret in (TOKEN, "hunter2hunter2", "tell-nobody") if secret in said]


def test_one_variable_more_is_no_reason_to_lose_the_others(tmp_path: Path) -> None:
    tables = '[servers.cat.env]\nB = "3"\nC = "4"\n[defaults.env]\nA = "1"\nB = "2"\n'
    project = cats(tmp_path, "cursor", more=tables)
    apply(project)
    (record,) = project.store.glob("projects/trial/launch/*.json")
    variables = json.loads(record.read_text())["env"]
    assert {name: variables[name] for name in "ABC"} == {"A": "1", "B": "3", "C": "4"}


def test_a_broken_environments_file_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor")
    broken = project.user_home / "environments.json"
    broken.write_text('{"environments": {"default": {')
    manifest = project.manifest.read_text()
    project.fails("import", str(broken), "--as", "hatch", "--no-secrets")
    assert broken.read_text() == '{"environments": {"default": {'
    assert project.manifest.read_text() == manifest


def test_who_says_nothing_has_not_agreed_and_what_is_pending_has_a_status(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor")
    project.ok("lock")
    assert project.run("plan", "--check").status == 2
    assert project.run("apply", "--no-probe").status == 3
    assert not file_of(project, "cursor").exists()


def test_an_apply_can_be_read_by_programs(tmp_path: Path) -> None:
    project = cats(tmp_path, "cursor")
    project.ok("lock")
    events = [json.loads(line) for line in project.ok("apply", "--yes", "--no-probe", "--json").out.splitlines()]
    assert any("client:cursor/cat" in json.dumps(event) for event in events)


def test_nothing_of_a_path_that_somebody_names_gets_into_what_we_keep() -> None:
    """Names of what is kept of a file are digests: `lock_path` and the originals' are the only ones there are."""
    tree = ast.parse((ROOT / "src/hatchlock/state/originals.py").read_text())
    assert "sha256_bytes" in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    home = Home(root=Path("/store"), is_default=False)
    assert lock_path(home, Path("/x/../../evil.json")).parent == Path("/store/locks")


def test_an_error_says_where_and_what_to_do(tmp_path: Path) -> None:
    for content in (BROKEN, "[1]", '{"mcpServers": []}'):
        with pytest.raises(HatchlockError) as caught:
            CLIENTS["cursor"].dialect.set(content.encode(), "cat", {}, path=str(tmp_path / "mcp.json"))
        assert str(tmp_path / "mcp.json") in str(caught.value)
