"""Whole files of applications, through the command line: what our entries replaced and made is there again when they go."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.writer import entry_digest
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore
from hatchlock.state.imported import Imported, write_imported
from support.cats import CatProject, tree
from support.client_desk import Desk, plan
from support.project import TrialProject

FIXTURES = Path(__file__).parents[2] / "fixtures" / "clients"
FILES = {
    "amp": "amp/settings.json",
    "claude-code": "comments.json",
    "cline": "cline/as-it-writes.json",
    "codex": "toml/codex/super-table-later.toml",
    "continue": "yaml/continue/deep-indent.yaml",
    "crush": "crush/crush.json",
    "cursor": "bom-crlf-tabs.json",
    "gemini": "gemini/commented.json",
    "goose": "yaml/goose/by-hand.yaml",
    "jetbrains-copilot": "jetbrains-copilot/by-hand.json",
    "mistral-vibe": "toml/vibe/usual.toml",
    "opencode": "opencode1/block-comments-bom.json",
    "opencode-v2": "opencode2/no-place.jsonc",
    "vscode": "vscode/servers-before-inputs.json",
    "windsurf": "windsurf/server-url.json",
    "zed": "zed/settings.json",
}
"""One of each dialect, and of each sort of trouble."""
HEAD = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = [{clients}]

{files}
"""
SERVERS = '[servers.tool]\ncommand = ["/bin/cat", "-u"]\n\n[servers.two]\ncommand = ["/bin/cat"]\n'
EFFECTS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod", "ctypes.dlsym"}
APPLY = ("apply", "--yes", "--no-probe")
AGREED = ("--allow-mass-removal",)
TOKEN = "ghp_0123456789abcdef0123"
CARELESS = """{
  // mine
  "mcpServers": {
    "Tool": {"command": "npx", "args": ["-y", "tool@latest"],
             "env": {"GITHUB_TOKEN": "%s"}},   // odd
    "other": {"command": "x"}
  }
}
"""


def manifest(project: TrialProject, clients: dict[str, str], servers: str = SERVERS) -> str:
    files = "".join(f'[clients.{name}]\npath = "{project.root / "files" / file}"\n' for name, file in clients.items())
    return HEAD.format(clients=", ".join(f'"{name}"' for name in clients), files=files) + servers


def put(project: TrialProject, clients: dict[str, str]) -> None:
    for file in clients.values():
        path = project.root / "files" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((FIXTURES / file).read_bytes())


def contents(project: TrialProject) -> dict[str, tuple[str, int, bytes]]:
    """Return kind, mode and bytes of everything where the applications' files are."""
    found = tree(project.root / "files")
    return {name: (kind, mode, data) for name, (kind, mode, _, data) in found.items()}


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    made = CatProject(tmp_path)
    put(made, FILES)
    made.write(manifest(made, FILES))
    made.ok("lock")
    return made


def test_files_of_all_dialects_are_as_they_were_after_everything(project: CatProject) -> None:
    before = contents(project)
    project.ok(*APPLY)
    assert all(contents(project)[file] != before[file] for file in FILES.values())
    project.edit('["/bin/cat"]', '["/bin/cat", "-v"]')
    project.edit("[servers.two]", "[servers.two.client.codex]\nstartup_timeout_sec = 7\n\n[servers.two]")
    project.ok("lock")
    project.ok(*APPLY)
    with_both = contents(project)
    project.write(manifest(project, FILES, SERVERS.partition("[servers.two]")[0]))
    project.ok("lock")
    project.ok(*APPLY, *AGREED)
    project.ok("rollback", "--yes")
    assert contents(project) == with_both
    project.ok("destroy", "--yes")
    assert contents(project) == before
    assert not list(project.store.glob("originals/*"))


def test_a_broken_file_is_left_alone_and_the_others_are_written(project: CatProject) -> None:
    broken = project.root / "files" / FILES["zed"]
    broken.write_bytes((FIXTURES / "zed" / "broken" / "half-saved.json").read_bytes())
    before = contents(project)
    project.really_fails(*APPLY)
    after = contents(project)
    assert [name for name in before if before[name][0] == "file" and before[name] == after[name]] == [FILES["zed"]]
    project.ok("destroy", "--yes")
    assert contents(project) == before


def test_one_file_that_cannot_be_written_leaves_all_as_they_were(project: CatProject) -> None:
    before = contents(project)
    # the last application's file is in a directory that nobody can make
    (project.root / "files" / "none").write_text("no directory")
    new = project.root / "files" / "fresh"
    text = manifest(project, FILES | {"cursor": "fresh/mcp.json", "zed": "none/settings.json"})
    project.write(text)
    project.ok("lock")
    done = project.run(*APPLY)
    assert done.status == 1, done.said
    assert "client:zed/tool" in done.err
    assert done.err.count("undone again") == 1  # and not once for each entry
    assert "entries were written and are undone again, because client:zed/tool failed" in done.err
    assert "client:amp/tool" in done.err[done.err.index("undone again") :]
    assert {name: item for name, item in contents(project).items() if name != "none"} == before
    assert not new.exists()
    (project.root / "files" / "none").unlink()
    project.ok(*APPLY)
    project.ok("plan", "--check")
    assert new.is_dir()
    project.ok("destroy", "--yes")
    assert contents(project) == before


def test_entries_that_went_to_another_file_are_back_in_theirs_if_one_cannot_be_written(project: CatProject) -> None:
    project.write(manifest(project, {"cursor": "old/mcp.json"}))
    project.ok("lock")
    project.ok(*APPLY)
    before = contents(project)
    none = project.root / "files" / "none"
    none.write_text("no directory")
    project.write(manifest(project, {"cursor": "new/mcp.json", "zed": "none/settings.json"}))
    project.ok("lock")
    assert project.run(*APPLY).status == 1
    none.unlink()
    assert contents(project) == before
    project.ok(*APPLY)
    assert not (project.root / "files" / "old").exists()
    assert (project.root / "files" / "new" / "mcp.json").exists()


def careless(project: TrialProject) -> Path:
    """Write what people have, as `import` has read it, and a manifest that has the same server."""
    file = project.root / "files" / "mcp.json"
    file.parent.mkdir()
    file.write_text(CARELESS % TOKEN)
    project.write(manifest(project, {"cursor": "mcp.json", "gemini": "new/settings.json"}))
    project.ok("lock")
    SecretStore(project.store).set("trial/github-token", TOKEN, Keyring({"PATH": ""}))
    value = CLIENTS["cursor"].dialect.read(file.read_bytes())["Tool"].value
    record = Imported(
        file=f"cursor/user/{file}", entry="Tool", digest=entry_digest(value), server="tool", secrets=("github-token",)
    )
    write_imported(project.store / "projects" / "trial", [record])
    return file


def test_what_was_imported_is_replaced_and_given_back(tmp_path: Path) -> None:
    project = CatProject(tmp_path)
    file = careless(project)
    before = contents(project)
    assert "replaces the entry 'Tool' that was imported" in project.ok("plan").out
    project.ok(*APPLY)
    assert TOKEN not in file.read_text()
    assert [path for path in project.store.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == [
        project.store / "secrets.json"
    ]
    project.edit('["/bin/cat", "-u"]', '["/bin/cat", "-v"]')
    project.ok("lock")
    project.ok(*APPLY)
    text = project.manifest.read_text()
    project.write(text.replace('"cursor", ', "").partition("[servers.two]")[0])
    project.ok("lock")
    shown = project.ok("plan").out
    assert "puts back" in shown
    assert "Tool" in shown
    project.ok(*APPLY, *AGREED)
    assert file.read_text() == CARELESS % TOKEN
    project.ok("rollback", "--yes")  # the entry is what import has read, so it is replaced again
    assert TOKEN not in file.read_text()
    project.ok("destroy", "--yes")
    assert contents(project) == before


def killed(desk: Desk, number: int, *servers: str, imported: tuple[Imported, ...]) -> bool:
    """Do what there is to do in a process that kills itself at its so-manieth effect on files, and return whether it came so far."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if is_write or event in EFFECTS:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            resource = desk.resource(*servers, imported=imported)
            for step in plan(resource).steps:
                resource.apply(step)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize("text", [None, CARELESS % "$TOKEN"])
def test_a_kill_at_any_effect_loses_nothing(
    tmp_path: Path, text: str | None, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among them those between the file and what is kept of it, in both directions."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # it is the process that is killed, not the machine
    desk = Desk(tmp_path / "first", text)
    records: tuple[Imported, ...] = (desk.imported("Tool", "tool"),) if text and "Tool" in text else ()
    for servers in (("tool", "two"), ()):
        number = 1
        while True:
            here = Desk(tmp_path / f"{len(servers)}-{number}", text)
            records = tuple(replace(record, file=str(here.file)) for record in records)
            if not servers:
                here.apply("tool", "two", imported=records)
            is_killed = killed(here, number, *servers, imported=records)
            here.apply(*servers, imported=records)
            here.apply(imported=records)
            assert (here.path.read_text() if here.path.exists() else None) == text
            if servers or not is_killed:  # a kill right behind the file may leave its empty directory
                assert here.path.parent.exists() == (text is not None)
            if not is_killed:
                break
            number += every
        assert number > 16
