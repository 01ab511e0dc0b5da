"""`client`: what applications list, and what is done in their files besides `apply`, as a user does it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.shape import Start
from hatchlock.state.groups import read_groups
from support.cats import CatProject, apply
from support.terminal import at_terminal

SECRET = "ghp_abcdefghijklmnopqrst1234"
CURSOR = {
    "gh": {
        "command": "npx",
        "args": ["-y", "@acme/gh"],
        "env": {"GITHUB_TOKEN": SECRET},
        "autoApprove": ["x"],
    },
    "web": {"url": f"https://mcp.example.com/mcp?key={SECRET}"},
}


def manifest(*clients: str, servers: str = "cat") -> str:
    head = '[project]\nname = "trial"\nplatforms = ["linux/amd64", "linux/arm64"]\n'
    defaults = f'[defaults]\nruntime = "process"\nisolation = "best-effort"\nclients = {json.dumps(clients)}\n'
    return head + defaults + "".join(f'[servers.{name}]\ncommand = ["/bin/cat"]\n' for name in servers.split())


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    project = CatProject(tmp_path, manifest("cursor", "codex"))
    cursor(project).parent.mkdir()
    cursor(project).write_text(json.dumps({"mcpServers": CURSOR}, indent=2))
    return project


def cursor(project: CatProject) -> Path:
    return project.user_home / ".cursor" / "mcp.json"


def codex(project: CatProject) -> Path:
    return project.user_home / ".codex" / "config.toml"


def states(project: CatProject, *words: str) -> dict[str, str]:
    """`CLIENT@SCOPE/NAME` -> its state."""
    document = project.ok("client", "list", "--json", *words).document
    return {
        f"{item['name']}@{file['scope']}/{entry['name']}": entry["state"]
        for item in document["applications"]
        for file in item["files"]
        for entry in file["servers"]
    }


def edit(project: CatProject, name: str, entry: dict[str, Any] | None) -> None:
    """Do by hand what hatchlock does not expect."""
    document = json.loads(cursor(project).read_text())
    document["mcpServers"].pop(name, None)
    if entry is not None:
        document["mcpServers"][name] = entry
    cursor(project).write_text(json.dumps(document, indent=2))


@pytest.mark.parametrize(
    "names", [[name for name in CLIENTS if name != "opencode-v2"], ["opencode-v2"]], ids=["all", "opencode-v2"]
)
def test_every_application_shows_what_apply_has_written(tmp_path: Path, names: list[str]) -> None:
    project = CatProject(tmp_path, manifest(*names, servers="cat two"))
    apply(project)
    found = project.ok("client", "show", "--json").document["applications"]
    entries = {
        (item["name"], entry["name"]): entry
        for item in found
        for file in item["files"]
        for entry in file["servers"]
        if entry["server"]
    }
    assert entries.keys() == {(name, server) for name in names for server in ("cat", "two")}
    for (name, server), entry in entries.items():
        assert (entry["state"], entry["project"], entry["server"]) == ("in-sync", "trial", server)
        start = CLIENTS[name].shape.read(entry["entry"])
        assert isinstance(start, Start)
        assert [start.command, *start.args] == project.launch_command(server)


def test_each_state_is_told(project: CatProject) -> None:
    assert states(project) == {
        "cursor@user/gh": "foreign",
        "cursor@user/web": "foreign",
        "cursor@user/cat": "missing",
        "codex@user/cat": "missing",
    }
    apply(project)
    ours = json.loads(cursor(project).read_text())["mcpServers"]["cat"]
    assert states(project, "--state", "in-sync").keys() == {"cursor@user/cat", "codex@user/cat"}
    edit(project, "cat", ours | {"args": [*ours["args"][:-1], "cat"], "env": {"A": "b"}})
    assert states(project)["cursor@user/cat"] == "drifted"
    edit(project, "cat", {"command": "npx", "args": ["cat"]})
    assert states(project)["cursor@user/cat"] == "foreign"
    edit(project, "cat", ours)
    project.write(
        manifest("cursor", "codex").replace(
            "[servers.cat]", "[servers.cat.client.codex]\nenabled = true\n[servers.cat]"
        )
    )
    assert states(project)["codex@user/cat"] == "changed"
    project.write(manifest("codex"))
    assert states(project)["cursor@user/cat"] == "changed", "apply would take it out"
    project.manifest.unlink()
    assert states(project) == {
        "cursor@user/gh": "foreign",
        "cursor@user/web": "foreign",
        "cursor@user/cat": "other-project",
        "codex@user/cat": "other-project",
    }


def test_what_was_imported_under_another_name_is_said_to_be_replaced(tmp_path: Path) -> None:
    project = CatProject(tmp_path, manifest())
    cursor(project).parent.mkdir()
    cursor(project).write_text(json.dumps({"mcpServers": {"a": {"command": "/bin/cat"}, "b": {"command": "/bin/ls"}}}))
    project.ok("import", "cursor", "--rename", "a=a-cursor")

    said = project.ok("client", "show", "cursor").out

    assert "a  foreign: it was imported: `apply` puts this project's a-cursor into its place" in said
    assert "a-cursor  missing: `apply` writes it" in said
    assert "b  foreign: it was imported: `apply` puts this project's into its place" in said
    edit(project, "a", {"command": "/bin/echo"})
    assert "a-cursor into its place" not in project.ok("client", "show", "cursor").out


def test_nothing_that_may_be_a_secret_is_shown(project: CatProject) -> None:
    apply(project)
    for words in (["list"], ["show"], ["show", "cursor", "gh"], ["diff"], ["sync", "cursor", "codex", "--dry-run"]):
        for form in ([], ["--json"]):
            done = project.run("client", *words, *form)
            assert SECRET not in done.out + done.err
    shown = project.ok("client", "show", "cursor", "gh").out
    assert 'env = {"GITHUB_TOKEN": "…"}' in shown
    assert "args = -y @acme/gh" in shown


def test_patterns_choose_servers_and_applications_in_both_views(project: CatProject) -> None:
    apply(project)
    assert states(project, "--server", "g.*") == {"cursor@user/gh": "foreign"}
    assert states(project, "--client", "cod.*") == {"codex@user/cat": "in-sync"}
    rows = project.ok("client", "list", "--by", "server").out.splitlines()[1:]
    assert [row.split()[:4] for row in rows] == [
        ["cat", "codex", "user", "in-sync"],
        ["cat", "cursor", "user", "in-sync"],
        ["gh", "cursor", "user", "foreign"],
        ["web", "cursor", "user", "foreign"],
    ]
    project.fails("client", "list", "--server", "(", status=64)
    assert "did you mean 'cursor'?" in project.fails("client", "show", "cursr").err
    project.fails("client", "show", "cursor", "nothing")
    assert "did you mean 'cat'?" in project.fails("client", "show", "cursor", "cats").err
    project.fails("client", "list", "--yes", status=64)


def test_a_file_that_nobody_can_read_is_said_and_the_others_are_shown(project: CatProject) -> None:
    apply(project)
    cursor(project).write_text('{"mcpServers": {')
    done = project.run("client", "list")
    assert done.status == 1
    assert "2 in-sync" not in done.out
    assert "codex" in done.out
    shown = project.run("client", "show", "cursor")
    assert (shown.status, "! " in shown.out) == (1, True)


def test_diff_shows_what_an_apply_would_do_in_the_applications_own_form(project: CatProject) -> None:
    project.ok("lock")
    found = project.ok("client", "diff", "codex").out
    assert "+[mcp_servers.cat]" in found
    assert "cursor" not in found
    apply(project)
    edit(project, "cat", {**json.loads(cursor(project).read_text())["mcpServers"]["cat"], "env": {"A": SECRET}})
    done = project.ok("client", "diff", "cursor", "--json").document
    (entry,) = done["entries"]
    assert entry["action"] == "update"
    assert any(line.startswith("-") and '"A": "…"' in line for line in entry["diff"])
    project.ok("apply", "--yes", "--no-probe", "--allow-destructive")
    assert project.ok("client", "diff").out == ""
    project.write(manifest("codex"))
    project.ok("lock")
    taken = project.ok("client", "diff").out
    assert taken.startswith("- client:cursor/cat")
    assert str(cursor(project)) in taken
    assert '-    "cat": {' in taken


def test_servers_are_copied_in_each_applications_own_form_and_ours_are_not(project: CatProject) -> None:
    apply(project)
    before = codex(project).read_text()
    refused = project.fails("client", "sync", "cursor", "codex", status=3)
    assert "+ codex@user/gh  create" in refused.err
    assert codex(project).read_text() == before
    assert project.ok("client", "sync", "cursor", "codex", "--dry-run").out
    assert codex(project).read_text() == before
    done = project.ok("client", "sync", "cursor", "codex", "--yes")
    assert "not carried over: autoApprove" in done.err
    assert "cat  is hatchlock's" in done.err
    assert codex(project).read_text().startswith(before)
    shown = states(project, "--client", "codex")
    assert shown == {"codex@user/cat": "in-sync", "codex@user/gh": "foreign", "codex@user/web": "foreign"}
    assert SECRET in codex(project).read_text(), "it works there as it did"
    assert "unchanged" in project.ok("client", "sync", "cursor", "codex", "--yes").out
    entries = project.ok("logs", "--audit", "--json").document["entries"]
    assert [entry["event"] for entry in entries if entry["event"].startswith("client.")] == [
        "client.sync.start",
        "client.sync.end",
    ]
    assert SECRET not in json.dumps(entries)


def test_a_copy_that_cannot_be_is_refused_by_name_and_the_rest_is_done(project: CatProject) -> None:
    apply(project)
    codex(project).write_text(codex(project).read_text() + '\n[mcp_servers.gh]\ncommand = "mine"  # keep\n')
    done = project.run("client", "sync", "cursor", "codex", "claude-desktop", "--yes", "--json")
    assert done.status == 1
    assert {f"{step['client']}/{step['name']}": step["action"] for step in done.document["steps"]} == {
        "codex/gh": "conflict",
        "codex/web": "create",
        "claude-desktop/gh": "create",
        "claude-desktop/web": "refused",
    }
    assert "# keep" in codex(project).read_text()
    project.ok("client", "sync", "cursor", "codex", "--server", "gh", "--replace", "--yes")
    assert 'command = "npx"' in codex(project).read_text()


def test_in_the_home_directory_a_file_is_told_once(project: CatProject) -> None:
    document = project.ok("-C", str(project.user_home), "client", "show", "cursor", "--json").document
    (application,) = document["applications"]
    assert [file["scope"] for file in application["files"]] == ["user"]


def test_a_server_within_anothers_table_is_none_of_its_own(project: CatProject) -> None:
    file = project.user_home / ".config" / "opencode" / "opencode.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"mcp": {"servers": {"gh": {"type": "local", "command": ["npx", "gh"]}}}}')
    found = states(project, "--client", "opencode.*", "--state", "foreign")
    assert found == {"opencode-v2@user/gh": "foreign"}
    project.fails("client", "remove", "opencode", "servers", "--yes", "--allow-destructive")
    project.fails("client", "sync", "opencode", "cursor", "--yes")


def test_a_name_that_means_to_deceive_is_shown_as_what_it_is(project: CatProject) -> None:
    name = "x\n  client:cursor/gh  created\u202e"
    edit(project, name, {"command": "npx", "args": ["\x1b[31m"]})
    for words in (
        ["list", "--by", "server"],
        ["show", "cursor"],
        ["sync", "cursor", "zed", "--server", "x.*\n.*", "--yes"],
    ):
        done = project.ok("client", *words)
        assert not any(mark in done.out + done.err for mark in ("\x1b", "\u202e", "\n  client:cursor/gh"))
    assert "client:zed/x" in done.err


def test_what_is_ours_is_never_replaced_by_a_copy(project: CatProject) -> None:
    apply(project)
    edit(project, "cat", {"command": "npx", "args": ["cat"]})
    done = project.run("client", "sync", "cursor", "codex", "--server", "cat", "--replace", "--yes")
    assert (done.status, "conflict: the entry there belongs to the project 'trial'" in done.out) == (1, True)
    assert states(project)["codex@user/cat"] == "in-sync"


def test_no_secret_goes_into_a_projects_file(project: CatProject) -> None:
    done = project.run("client", "sync", "cursor", "claude-code@project", "--yes", "--json")
    assert {step["name"]: step["action"] for step in done.document["steps"]} == {"gh": "refused", "web": "create"}
    assert done.status == 1


def test_a_source_that_is_broken_or_not_there_is_an_error(project: CatProject) -> None:
    assert "has no file to copy from" in project.fails("client", "sync", "zed", "cursor", "--yes").err
    nothing = project.fails("client", "sync", "cursor", "zed", "--server", "x", "--yes").err
    assert nothing == "error: cursor lists no such server\n\nhint: it lists 'gh', 'web'\n"
    cursor(project).write_text('{"mcpServers": {}}')
    nothing = project.fails("client", "sync", "cursor", "zed", "--yes").err
    assert nothing == "error: cursor lists no server\n\nhint: see `hatchlock client show cursor`\n"
    cursor(project).write_text("{")
    assert project.run("client", "sync", "cursor", "zed", "--yes").status == 1
    project.fails("client", "sync", "cursor", status=64)
    for words in (["cursor"], ["zed", "cursor"], ["cursor@user"]):
        assert "is where servers are copied from" in project.fails("client", "sync", "cursor", *words, status=64).err


def test_all_means_every_other_application_that_is_installed(project: CatProject) -> None:
    (project.user_home / ".gemini").mkdir()
    (project.user_home / ".gemini" / "settings.json").write_text("{}")
    codex(project).parent.mkdir()
    codex(project).write_text("")
    steps = project.ok("client", "sync", "cursor", "all", "--server", "gh", "--dry-run", "--json").document["steps"]
    assert {step["client"] for step in steps} >= {"codex", "gemini"}
    assert "cursor" not in {step["client"] for step in steps}
    assert not any(step["client"] == "zed" for step in steps)


def test_orphans_are_shown_and_cleaned_and_nothing_else(project: CatProject, tmp_path: Path) -> None:
    apply(project)
    assert project.ok("client", "clean", "--yes").out.startswith("every entry")
    gone = {"command": str(tmp_path / "no" / "bin" / "hatchlock"), "args": ["run", "--project", "old", "x"]}
    edit(project, "x", gone)
    edit(
        project,
        "y",
        {"command": str(project.launcher), "args": ["run", "--home", str(project.store), "--project", "no", "y"]},
    )
    edit(project, "z", {"command": str(project.launcher), "args": [*project.launch_command("z")[1:]]})
    no_launcher = [*project.launch_command("cat")[1:]]  # a server that there is
    edit(project, "w", {"command": str(tmp_path / "no" / "bin" / "hatchlock"), "args": no_launcher})
    orphans = {f"cursor@user/{name}" for name in "wxyz"}
    assert states(project, "--state", "orphaned").keys() == orphans
    refused = project.fails("client", "clean", status=3)
    assert "- cursor@user/x" in refused.err
    assert states(project, "--state", "orphaned").keys() == orphans
    assert project.ok("client", "clean", "cursor@project", "codex", "--yes").out.startswith("every entry")
    asked = [("Take these out? [y/N]", "n")]
    declined = at_terminal(
        project.command("client", "clean"), asked, cwd=project.directory, env={**project.env, "CI": ""}
    )
    assert (declined.status, "- cursor@user/x" in declined.shown) == (3, True)
    assert states(project, "--state", "orphaned").keys() == orphans
    project.ok("client", "clean", "--yes", "--server", "x")
    assert states(project, "--state", "orphaned").keys() == orphans - {"cursor@user/x"}
    assert project.ok("client", "clean", "--yes", "--json").document["failed"] == []
    assert json.loads(cursor(project).read_text())["mcpServers"].keys() == {"gh", "web", "cat"}


def test_entries_of_a_project_whose_directory_or_state_is_gone_are_orphans(project: CatProject, tmp_path: Path) -> None:
    apply(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ("-C", str(elsewhere), "client", "list", "--json", "--server", "cat")

    def found() -> set[str]:
        document = project.ok(*words).document
        return {
            entry["state"] for item in document["applications"] for file in item["files"] for entry in file["servers"]
        }

    assert found() == {"other-project"}
    assert project.ok("-C", str(elsewhere), "client", "clean", "--yes").out.startswith("every entry")
    project.directory.rename(tmp_path / "moved")
    project.directory = elsewhere
    assert found() == {"orphaned"}
    shutil.rmtree(project.store / "projects")
    assert found() == {"orphaned"}


def test_foreign_entries_are_removed_for_good_only_with_that_consent(project: CatProject) -> None:
    apply(project)
    project.fails("client", "remove", "cursor", "gh", status=3)
    assert "--allow-destructive" in project.fails("client", "remove", "cursor", "gh", "--yes", status=3).err
    assert "belongs to the project" in project.fails("client", "remove", "cursor", "cat", "--yes").err
    project.fails("client", "remove", "cursor", "nothing", "--yes", "--allow-destructive")
    project.fails("client", "remove", "cursor", status=64)
    project.ok("client", "remove", "cursor", "gh", "we.", "--yes", "--allow-destructive")
    assert states(project, "--client", "cursor") == {"cursor@user/cat": "in-sync"}


def test_restore_is_about_one_file_of_an_application_where_that_is_named(project: CatProject) -> None:
    before = cursor(project).read_bytes()
    apply(project)
    written = cursor(project).read_bytes()
    project.write(manifest("cursor", "codex") + '[clients.cursor]\nscope = "project"\n')
    apply(project)
    cursor(project).write_bytes(written)
    own = project.directory / ".cursor/mcp.json"
    assert b"cat" in own.read_bytes()
    listed = project.ok("client", "restore", "cursor", "--dry-run", "--json").document["entries"]
    assert sorted(listed) == ["client:cursor/cat", "client:cursor@user/cat"]
    listed = project.ok("client", "restore", "cursor@user", "--dry-run", "--json").document["entries"]
    assert listed == ["client:cursor@user/cat"]
    done = project.ok("client", "restore", "cursor@user", "--yes", "--json").document
    assert (done["client"], done["done"]) == ("cursor", ["client:cursor@user/cat"])
    assert json.loads(cursor(project).read_bytes()) == json.loads(before)
    assert "cursor@user lists no server of this project" in project.fails("client", "restore", "cursor@user").err
    project.fails("client", "restore", "zed@nowhere", status=1)
    project.ok("client", "restore", "cursor@project", "--yes")
    assert not own.exists()


def test_restore_gives_the_file_back_and_the_next_plan_wants_the_entry_again(project: CatProject) -> None:
    before = cursor(project).read_bytes()
    apply(project)
    assert project.ok("client", "restore", "cursor", "--dry-run").out
    project.fails("client", "restore", "cursor", status=3)
    done = project.ok("client", "restore", "cursor", "--yes")
    assert "the next apply writes them again" in done.err
    assert cursor(project).read_bytes() == before
    assert states(project)["cursor@user/cat"] == "missing"
    assert project.steps() == ["create client:cursor/cat"]
    project.fails("client", "restore", "zed", "--yes")
    project.fails("client", "restore", status=64)


def test_groups_are_as_they_were_after_a_restore(project: CatProject) -> None:
    project.write(manifest("cursor") + 'groups = ["dev"]\n')
    apply(project)
    state = project.store / "projects" / project.name
    assert read_groups(state) == {"dev": ("cat",)}
    project.ok("client", "restore", "cursor", "--yes")
    assert read_groups(state) == {"dev": ("cat",)}


def test_only_an_application(project: CatProject) -> None:
    apply(project, "--only", "client:codex")
    assert states(project) == {
        "cursor@user/gh": "foreign",
        "cursor@user/web": "foreign",
        "cursor@user/cat": "missing",
        "codex@user/cat": "in-sync",
    }
    assert "did you mean 'client:cursor'?" in project.fails("plan", "--only", "client:curser").err
    assert "did you mean 'server:cat'?" in project.fails("plan", "--only", "cta").err


def test_what_was_not_seen_yet_and_what_runs_as_before_is_told(project: CatProject) -> None:
    apply(project)
    project.fails("probe", "cat")  # a session of it, and nobody's application
    status = project.ok("status", "--json").document
    assert [(item["client"], item["servers"]) for item in status["unseen"]] == [("codex", ["cat"]), ("cursor", ["cat"])]
    assert status["older"] == []
    assert "NOT SEEN YET\nCodex: cat, since " in project.ok("status").out
    running = subprocess.Popen(
        project.launch_command("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=project.env
    )
    try:
        assert running.stdin
        assert running.stdout
        running.stdin.write(b'{"jsonrpc": "2.0", "method": "x"}\n')
        running.stdin.flush()
        assert running.stdout.readline()
        status = project.ok("status", "--json").document
        assert (status["unseen"], status["older"]) == ([], [])
        project.edit('command = ["/bin/cat"]', 'command = ["/bin/cat", "-u"]')
        project.ok("lock")
        applied = project.ok("apply", "--yes", "--no-probe")
        assert "as generation 1 started it; it goes on like that" in applied.err
        assert [item["server"] for item in project.ok("status", "--json").document["older"]] == ["cat"]
        project.write(manifest("cursor", "codex", servers="two"))
        project.ok("lock")
        summary = json.loads(
            project.ok("apply", "--yes", "--no-probe", "--allow-mass-removal", "--json").out.splitlines()[-1]
        )
        assert [item["server"] for item in summary["older"]] == ["cat"]
        assert [(item["servers"], item["removed"]) for item in summary["unseen"]] == [(["two"], ["cat"])] * 2
        assert "AS IT WAS BEFORE\ncat: " in project.ok("status").out
    finally:
        running.kill()
        running.communicate()
    assert all(item["removed"] == [] for item in project.ok("status", "--json").document["unseen"])
    project.write(manifest("cursor", servers="two"))
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe", "--allow-mass-removal")
    kept = json.loads((project.store / "projects" / "trial" / "entry-changes.json").read_bytes())["entries"]
    assert [(item["client"], item["server"]) for item in kept] == [("cursor", "two")], "what nobody runs is no news"
    assert project.ok("status", "--json").document["unseen"] != []
    subprocess.run(project.launch_command("two"), input=b"", env=project.env, check=False, capture_output=True)
    assert project.ok("status", "--json").document["unseen"] == [], "a session that has ended has seen it as well"


def test_what_claude_code_has_for_single_directories_is_listed_with_them_and_never_written(project: CatProject) -> None:
    path = project.user_home / ".claude.json"
    ours = {"command": "hatchlock", "args": ["run", "gone"]}
    projects = {"/srv/a": {"mcpServers": CURSOR | {"old": ours}}, "/srv/b": {"allowedTools": []}}
    path.write_text(json.dumps({"mcpServers": {"gh": CURSOR["gh"]}, "projects": projects}, indent=2))
    before = path.read_bytes()
    (found,) = project.ok("client", "list", "--client", "claude-code", "--json").document["applications"]
    files = [file for file in found["files"] if file["exists"]]
    listed = {file["directory"]: {item["name"]: item["state"] for item in file["servers"]} for file in files}
    assert listed == {"": {"gh": "foreign"}, "/srv/a": dict.fromkeys(("gh", "web", "old"), "foreign")}
    shown = project.ok("client", "show", "claude-code").out
    assert f"{path} (in /srv/a alone)" in shown
    assert (
        "foreign: Claude Code has it in /srv/a alone; `claude mcp remove --scope local web` there takes it away"
        in shown
    )
    assert SECRET not in shown
    assert f"{path} (in /srv/a alone)" in project.ok("client", "list").out
    assert "web" in project.ok("client", "list", "--by", "server").out
    project.ok("client", "clean", "--yes")
    agreed = ("--yes", "--allow-destructive")
    assert "lists no server" in project.fails("client", "remove", "claude-code", "web", *agreed).err
    assert path.read_bytes() == before
    project.ok("client", "remove", "claude-code", "gh", *agreed)
    assert json.loads(path.read_bytes()) == {"mcpServers": {}, "projects": projects}


def test_projects_of_claude_code_that_cannot_be_read_are_said(project: CatProject) -> None:
    path = project.user_home / ".claude.json"
    path.write_text('{"mcpServers": {}, "projects": []}')
    assert "projects is no object" in project.fails("client", "show", "claude-code").out
