"""`import` as a user has it: applications that are found, files that are named, what is said, what is kept, what is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from hatchlock.cli.main import main
from hatchlock.engines.process import host_platform
from hatchlock.manifest.load import loads
from hatchlock.state.imported import read_imported
from support.project import Done, TrialProject, snapshot
from support.source_tree import ROOT
from support.terminal import at_terminal

TOKEN = "ghp_Zq8Lw3Xk5Vn2Rt7Yb4Mc6Pd9"
TIME = {"command": "uvx", "args": ["mcp-server-time"]}
GITHUB = {"command": "npx", "args": ["-y", "gh@latest"], "env": {"GITHUB_TOKEN": TOKEN}}

KILLER = """
import os, signal, sys
from hatchlock.cli.main import main
def hook(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("hatchlock.toml"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
sys.exit(main(sys.argv[1:]))
"""


class Quick(TrialProject):
    """Runs commands in this process, which is fast."""

    def run(self, *words: str, cwd: Path | None = None, **_: Any) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in os.environ.keys() - self.env.keys():
                patch.delenv(name)
            for name, value in self.env.items():
                patch.setenv(name, value)
            patch.chdir(cwd or self.directory)
            status = main(list(words))
        return Done(status=status, out=out.getvalue(), err=err.getvalue())


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    return Quick(tmp_path)


def put(path: Path, *, key: str = "mcpServers", **servers: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: servers}, indent=2))
    return path


def cursor(project: TrialProject, **servers: Any) -> Path:
    return put(project.user_home / ".cursor/mcp.json", **servers)


def servers(project: TrialProject) -> dict[str, Any]:
    return dict(loads(project.manifest.read_text(), shown="hatchlock.toml").manifest.servers)


def states(document: Any) -> dict[str, str]:
    return {item["name"]: item["state"] for item in document["servers"]}


def test_from_nothing_to_a_manifest(project: TrialProject) -> None:
    cursor(project, time=TIME, github=GITHUB)
    done = project.ok("import")
    assert "hatchlock.toml: 2 servers added, from 2 entries of 1 file" in done.out
    assert f"hatchlock secret set github-token --project {project.directory.name}" in done.err
    assert "next: hatchlock up" in done.err
    assert sorted(servers(project)) == ["github", "time"]
    assert (project.directory / ".gitignore").read_text() == "hatchlock.local.toml\n"
    assert TOKEN not in done.said
    assert not (project.store / "secrets.json").exists()
    again = project.ok("import")
    assert "0 servers added, 2 already there" in again.out
    assert "next:" not in again.err


def test_nothing_found_is_said(project: TrialProject) -> None:
    assert "nothing to import" in project.ok("import").out
    assert not project.manifest.exists()


def test_a_dry_run_shows_the_difference_and_writes_nothing(project: TrialProject) -> None:
    cursor(project, github=GITHUB)
    before = snapshot(project.root)
    done = project.ok("import", "--dry-run", "--keep-secrets")
    assert snapshot(project.root) == before
    assert '+GITHUB_TOKEN = { secret = "keyring:github-token" }' in done.out
    assert "1 server would be added" in done.out
    assert TOKEN not in done.said


def test_secrets_are_kept_for_the_project_alone_and_only_when_it_is_said(project: TrialProject) -> None:
    path = cursor(project, github=GITHUB)
    project.ok("import", "--no-secrets")
    (record,) = read_imported(project.store / "projects" / project.directory.name)
    assert (record.file, record.entry, record.server) == (f"cursor/user/{path}", "github", "github")
    assert (record.secrets, record.is_kept) == ((), False)
    done = project.ok("import", "--keep-secrets", "--json").document
    assert done["secrets"] == [
        {"name": "github-token", "used_by": ["github.GITHUB_TOKEN"], "has_value": True, "kept": True}
    ]
    (record,) = read_imported(project.store / "projects" / project.directory.name)
    assert (record.secrets, record.is_kept) == (("github-token",), True)
    kept = json.loads((project.store / "secrets.json").read_text())["secrets"]
    assert kept == {f"{project.directory.name}/github-token": {"value": TOKEN}}
    assert project.ok("secret", "check").out.split()[-1] == "ok"


def test_it_asks_at_a_terminal_and_shows_no_value(project: TrialProject) -> None:
    file = put(project.directory / "some.json", github=GITHUB)
    words = project.command("import", str(file))
    env = {name: value for name, value in project.env.items() if name != "CI"}
    declined = at_terminal(words, [("[y/N]", "n")], cwd=project.directory, env=env)
    assert (declined.status, "github.GITHUB_TOKEN" in declined.shown) == (0, True)
    assert f"hatchlock import {file} --keep-secrets" in declined.shown
    assert not (project.store / "secrets.json").exists()
    agreed = at_terminal(words, [("[y/N]", "y")], cwd=project.directory, env=env)
    assert agreed.status == 0
    assert "keyring:github-token  github.GITHUB_TOKEN  kept" in agreed.out
    assert TOKEN not in declined.shown + declined.out + agreed.shown + agreed.out
    assert TOKEN in (project.store / "secrets.json").read_text()


def test_what_vscode_asks_for_once_is_one_secret(project: TrialProject) -> None:
    asked = "${input:search-key}"
    remote = {"type": "http", "url": "https://s.example/mcp", "headers": {"Authorization": f"Bearer {asked}"}}
    place = project.directory / ".vscode/mcp.json"
    put(place, key="servers", a={**TIME, "env": {"KEY": asked, "OTHER_KEY": asked}}, b=remote)
    secrets = project.ok("import", ".vscode/mcp.json", "--dry-run", "--json").document["secrets"]
    assert [(item["name"], item["used_by"]) for item in secrets] == [
        ("search-key", ["a.KEY", "a.OTHER_KEY", "b.Authorization"])
    ]


def test_what_vscode_need_not_ask_for_any_more_is_said(project: TrialProject) -> None:
    servers = {"a": {**TIME, "env": {"KEY": "${input:used}"}}, "b": {"type": "stdio", "env": {"KEY": "${input:kept}"}}}
    inputs = [{"type": "promptString", "id": name} for name in ("used", "kept")]
    place = put(project.directory / ".vscode/mcp.json", key="servers", **servers)
    place.write_text(json.dumps({"servers": servers, "inputs": inputs}, indent=1))
    left = project.ok("import", ".vscode/mcp.json", "--dry-run", "--json").document["left"]
    (told,) = [item for item in left if item["what"].startswith("`inputs`")]
    assert (told["what"].split(":")[1], told["line"]) == (
        " `used`",
        place.read_text().splitlines().index(' "inputs": [') + 2,
    )


def test_no_name_of_a_file_makes_a_line_of_ours(project: TrialProject) -> None:
    cursor(project, **{"a\nhatchlock.toml: 9 servers added\n": {"x": 1}, "b": {"command": "/bin/cat", "c\nd": 1}})
    done = project.ok("import")
    assert [line for line in done.out.splitlines() if line.startswith("hatchlock.toml:")] == [
        "hatchlock.toml: 1 server added, 2 not carried over, from 1 entry of 1 file"
    ]
    assert "`c\\nd`" in done.out


def test_a_name_that_has_another_value_is_left_alone(project: TrialProject) -> None:
    cursor(project, github=GITHUB)
    subprocess.run(
        project.command("secret", "set", "github-token"), env=project.env, input=b"another", check=True, timeout=60
    )
    project.ok("import", "--keep-secrets")
    assert 'secret = "keyring:github-token-2"' in project.manifest.read_text()


def test_a_broken_file_stops_no_other(project: TrialProject) -> None:
    cursor(project, time=TIME)
    broken = project.user_home / ".codeium/windsurf/mcp_config.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{"mcpServers": {\n"a": {"command": }}}')
    done = project.fails("import")
    assert f"{broken}:2:" in done.err or "~/.codeium/windsurf/mcp_config.json:2:" in done.err
    assert list(servers(project)) == ["time"]
    document = project.run("import", "--json").document
    assert ([error["code"] for error in document["errors"]], states(document)) == (
        ["unparsable-client-file"],
        {"time": "there"},
    )


def test_another_server_of_the_name_is_a_conflict_with_ways_out(project: TrialProject) -> None:
    project.write(
        f'[project]\nname = "p"\nplatforms = ["{host_platform()}"]\n\n[servers.time]\nsource = "pypi:other"\n'
    )
    cursor(project, time=TIME)
    before = project.manifest.read_text()
    done = project.run("import")
    assert done.status == 1
    assert "--rename time=NAME" in done.out
    assert project.manifest.read_text() == before
    project.ok("import", "--rename", "time=clock")
    assert sorted(servers(project)) == ["clock", "time"]
    assert project.manifest.read_text().startswith(before)


def test_a_project_of_the_same_name_elsewhere_is_refused(project: TrialProject, tmp_path: Path) -> None:
    project.ok("init")
    project.ok("lock")
    assert TrialProject.run(project, "apply", "--yes").status == 0  # it binds the name, and leaves a log open
    cursor(project, time=TIME)
    other = tmp_path / "elsewhere" / project.directory.name
    other.mkdir(parents=True)
    done = project.fails("import", cwd=other)
    assert "belongs to" in done.err
    assert list(other.iterdir()) == []


def test_the_files_of_a_project_give_it_scope_project(project: TrialProject) -> None:
    put(project.directory / ".mcp.json", time=TIME)
    put(project.directory / ".vscode/mcp.json", key="servers", time=TIME)
    put(project.user_home / ".config/Code/User/mcp.json", key="servers", github=GITHUB)
    document = project.ok("import", "--json").document
    text = project.manifest.read_text()
    assert '[clients.claude-code]\nscope = "project"\n' in text
    assert "[clients.vscode]" not in text
    assert servers(project)["time"].clients == ("claude-code", "vscode")
    (staying,) = document["staying"]
    assert (staying["file"], staying["entry"]) == (".vscode/mcp.json", "time")
    records = read_imported(project.store / "projects" / project.directory.name)
    assert [(item.file.split("/")[0], item.entry) for item in records] == [
        ("claude-code", "time"),
        ("vscode", "github"),
    ]


def test_what_a_project_starts_is_found_from_its_directory(project: TrialProject) -> None:
    (project.directory / "tool").mkdir()
    (project.directory / "tool/pyproject.toml").write_text('[project]\nname = "tool"\nversion = "1"\n')
    (project.directory / "tool/server.py").write_text("")
    put(project.directory / ".mcp.json", tool={"command": "uv", "args": ["--directory", "tool", "run", "server.py"]})
    project.ok("import")
    assert str(servers(project)["tool"].source) == "path:./tool"
    assert "sandbox" not in project.manifest.read_text()


def test_what_claude_code_has_for_this_directory_is_read_and_said_to_stay(project: TrialProject) -> None:
    file = project.user_home / ".claude.json"
    local = {str(project.directory.resolve()): {"mcpServers": {"mine": TIME}}, "/other": {"mcpServers": {"far": TIME}}}
    file.write_text(json.dumps({"mcpServers": {"github": GITHUB}, "projects": local}))
    done = project.ok("import")
    assert sorted(servers(project)) == ["github", "mine"]
    assert "claude mcp remove --scope local" in done.out
    assert "~/.claude.json:1: `far`: Claude Code has it for /other alone; import it there" in done.out
    records = read_imported(project.store / "projects" / project.directory.name)
    assert [item.entry for item in records] == ["github"]


def test_files_directories_and_applications_are_named(project: TrialProject, tmp_path: Path) -> None:
    cursor(project, github=GITHUB)
    elsewhere = put(tmp_path / "there/some.json", time=TIME)
    put(tmp_path / "there/.cursor/mcp.json", fetch={"command": "uvx", "args": ["mcp-server-fetch"]})
    (tmp_path / "there/package.json").write_text('{"name": "x"}')
    document = project.ok("import", "--dry-run", "--json", "cursor").document
    assert states(document) == {"github": "added"}
    document = project.ok("import", "--dry-run", "--json", str(elsewhere)).document
    assert [(item["name"], item["clients"]) for item in document["servers"]] == [("time", [])]
    document = project.ok("import", "--dry-run", "--json", str(elsewhere), "--as", "kiro").document
    assert [(item["name"], item["clients"]) for item in document["servers"]] == [("time", ["kiro"])]
    document = project.ok("import", "--dry-run", "--json", "--client", "zed", str(tmp_path / "there")).document
    assert [(item["name"], item["clients"]) for item in document["servers"]] == [
        ("fetch", ["cursor", "zed"]),
        ("time", ["zed"]),
    ]


def test_entries_that_hatch_wrote_are_the_servers_of_its_environments(project: TrialProject) -> None:
    envs = project.user_home / ".hatch/envs"
    shutil.copytree(ROOT / "fixtures/imports/hatch/envs", envs)
    file = envs / "environments.json"
    document = json.loads(file.read_text().replace("/home/ada/.hatch/envs", str(envs)))
    file.write_text(json.dumps(document))
    (package,) = [item for item in document["research"]["packages"] if item["name"] == "weather_kit"]
    entry = package["configured_hosts"]["gemini"]["server_config"]
    settings = project.user_home / ".gemini/settings.json"
    put(settings, weather_kit={key: entry[key] for key in ("command", "args", "env")} | {"trust": True}, time=TIME)
    document = project.ok("import", "--keep-secrets", "--json", str(file)).document
    (found,) = [item for item in document["servers"] if item["name"] == "weather_kit"]
    assert [(origin["client"], origin["entry"]) for origin in found["found"]] == [
        ("", "weather_kit"),
        ("gemini", "weather_kit"),
    ]
    assert servers(project)["weather_kit"].client_fields == {"gemini": {"trust": True}}
    assert "time" not in servers(project)
    (record,) = read_imported(project.store / "projects" / project.directory.name)
    assert (record.file, record.server, record.is_kept) == (f"gemini/user/{settings}", "weather_kit", True)


def test_stdin_is_read(project: TrialProject) -> None:
    done = subprocess.run(
        project.command("import", "-", "--json"),
        env=project.env,
        cwd=project.directory,
        input=json.dumps({"servers": {"time": TIME}}).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert states(json.loads(done.stdout)) == {"time": "added"}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("nowhere.json",), 1, "there is no such file"),
        (("~0",), 1, "there is no such file"),
        (("cursor",), 1, "Cursor has no file here"),
        (("void",), 1, "no file in this directory"),
        (("claude-cod",), 1, "did you mean 'claude-code'?"),
        (("cursor@global",), 1, "no application that hatchlock knows"),
        (("x.txt",), 1, "x.txt: it is of no kind that is known"),
        (("empty.json",), 1, "empty.json: it is empty"),
        (("empty.json", "--as", "cursor"), 1, "empty.json: it is empty"),
        (("none.json",), 1, "none.json: no server is in it"),
        (("none.json", "--as", "cursor"), 1, "leave out --as cursor"),
        (("none.json", "--as", "compose"), 1, "none.json"),
        (("misspelt.json",), 1, "misspelt.json:1: no server is in it; is `comand` meant to be `command`?"),
        (("broken.json",), 1, "broken.json:2: it is no JSON"),
        (("broken.toml",), 1, "broken.toml:1: it is not valid TOML"),
        (("broken.yaml",), 1, "broken.yaml:3: it is no YAML"),
        (("many",), 1, "many/broken.json:2: it is no JSON"),
        (("x.txt", "--as", "coursor"), 64, "did you mean 'cursor'?"),
        (("--client", "zedd"), 64, "did you mean 'zed'?"),
        (("--rename", "a"), 64, "OLD=NEW"),
        (("--keep-secrets", "--no-secrets"), 64, "--no-secrets does not go with --keep-secrets"),
    ],
)
def test_what_cannot_be_read_is_named(project: TrialProject, words: tuple[str, ...], status: int, said: str) -> None:
    texts = {
        "x.txt": "hello",
        "empty.json": " \n",
        "none.json": '{"other": {}}',
        "misspelt.json": '{"mcpServers": {"a": {"comand": "uvx"}}}',
        "broken.json": '{"mcpServers": {\n"a": }}',
        "broken.toml": "[mcp_servers.x\n",
        "broken.yaml": "servers:\n  - [a\n",
        "void/x.txt": "hello",
        "many/broken.json": '{"mcpServers": {\n"a": }}',
    }
    for name, text in texts.items():
        (project.directory / name).parent.mkdir(exist_ok=True)
        (project.directory / name).write_text(text)
    assert said in project.fails("import", *words, status=status).err
    assert not project.manifest.exists()


def test_where_all_is_refused_the_exit_status_says_so(project: TrialProject) -> None:
    cursor(project, a={"command": "npx", "args": ["a", "--token", TOKEN]})
    done = project.run("import")
    assert (done.status, "not carried over:\n  ~/.cursor/mcp.json:3: `a`" in done.out) == (1, True)


def test_a_name_that_is_there_twice_is_said(project: TrialProject) -> None:
    twice = '{"mcpServers": {\n"a": {"command": "uvx", "args": ["x"]},\n"a": {"command": "uvx", "args": ["y"], "env": {"B": "1",\n"B": "2"}}}}'
    (project.directory / "mcp.json").write_text(twice)
    document = project.ok("import", "mcp.json", "--dry-run", "--json").document
    assert [(item["line"], item["what"]) for item in document["left"]] == [
        (2, "`a`: the same name stands in line 3 again, and that one counts; leave one of them out"),
        (3, "`a.env.B`: the same name stands in line 4 again, and that one counts; leave one of them out"),
    ]
    text = json.dumps({"customizations": {"vscode": {"mcp": {"servers": {"time": TIME}}}}})
    (project.directory / "devcontainer.json").write_text(f'{{"x": 1,\n"x": 2, {text[1:]}')
    assert (
        "devcontainer.json:1: `x`: the same name stands in line 2 again"
        in project.ok("import", "devcontainer.json").out
    )
    assert "pasted:2: `a`: the same name" in project.fails("add", twice).err


def test_secrets_are_listed_in_columns(project: TrialProject) -> None:
    cursor(project, github=GITHUB, a={**GITHUB, "args": ["a"], "env": {"KEY": f"{TOKEN}x"}})
    lines = project.ok("import").out.splitlines()
    at = lines.index("secrets:") + 1
    assert [line.split() for line in lines[at : at + 2]] == [
        ["keyring:a-key", "a.KEY", "not", "kept"],
        ["keyring:github-token", "github.GITHUB_TOKEN", "not", "kept"],
    ]
    assert len({line.index("not kept") for line in lines[at : at + 2]}) == 1


def test_a_file_of_secrets_that_others_can_read_is_said_before_a_server_is_refused_for_it(
    project: TrialProject,
) -> None:
    keys = project.user_home / "my keys.env"
    keys.write_text(f"GITHUB_TOKEN={TOKEN}\n")
    keys.chmod(0o644)
    cursor(project, a={**TIME, "envFile": str(keys)}, time=TIME)
    said = f"  a: {keys} holds secrets and can be read by every user (mode 0644), so no server gets any from it: chmod 600 '{keys}'"

    assert said in project.ok("import").out.splitlines()
    assert said in project.ok("import").out.splitlines()  # as long as it is so
    keys.chmod(0o600)
    assert "can be read" not in project.ok("import").out


def test_one_scope_of_an_application_can_be_named(project: TrialProject) -> None:
    cursor(project, time=TIME)
    put(project.directory / ".cursor/mcp.json", github=GITHUB)
    project.ok("import", "cursor@project")
    assert sorted(servers(project)) == ["github"]


def test_your_own_manifest_is_made_where_it_belongs(project: TrialProject) -> None:
    cursor(project, time=TIME)
    put(project.directory / ".mcp.json", github=GITHUB)
    project.ok("import", "-g")
    text = (project.user_home / ".config/hatchlock/hatchlock.toml").read_text()
    assert ("[servers.time]" in text, "[servers.github]" in text) == (True, False)


def test_a_kill_in_between_is_nothing_to_repair(project: TrialProject) -> None:
    cursor(project, github=GITHUB)
    words = [sys.executable, "-c", KILLER, "import", "--keep-secrets"]
    killed = subprocess.run(words, env=project.env, cwd=project.directory, capture_output=True, check=False, timeout=60)
    assert killed.returncode < 0
    assert not project.manifest.exists()
    project.ok("import", "--keep-secrets")
    assert 'secret = "keyring:github-token"' in project.manifest.read_text()
    (record,) = read_imported(project.store / "projects" / project.directory.name)
    assert record.is_kept
