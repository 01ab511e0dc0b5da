"""A file of an application that is broken, gone or read-only: what `client` and `destroy` say of it, and what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.writer import entry_digest
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore
from hatchlock.state.imported import Imported, write_imported
from support.cats import CatProject, apply

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = ["cursor", "codex"]

[servers.cat]
command = ["/bin/cat"]
"""


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    made = CatProject(tmp_path, MANIFEST)
    cursor(made).parent.mkdir()
    cursor(made).write_text('{"mcpServers": {"gh": {"command": "npx", "args": ["-y", "@acme/gh"]}}}\n')
    apply(made)
    return made


def cursor(project: CatProject) -> Path:
    return project.user_home / ".cursor" / "mcp.json"


def halve(path: Path) -> str:
    """Leave a file as somebody does who saves it half-way, and return what was in it."""
    whole = path.read_text()
    path.write_text(whole.rstrip().removesuffix("}"))
    return whole


def test_a_broken_file_is_said_with_its_line_whatever_is_asked_of_it(project: CatProject) -> None:
    halve(cursor(project))
    for words in (
        ("list",),
        ("list", "--server", "cat"),
        ("list", "--by", "server"),
        ("show", "cursor"),
        ("show", "cursor", "cat"),
        ("diff",),
        ("restore", "cursor", "--yes"),
        ("restore", "cursor", "cat", "--yes"),
        ("restore", "cursor", "--dry-run"),
    ):
        done = project.fails("client", *words)
        assert f"{cursor(project)}:1:" in done.out + done.err, done.said
        assert "hint: mend the file by hand" in done.err, done.said
    assert "lists no server" in project.fails("client", "show", "codex", "dog").err


def test_restore_does_what_it_can_and_says_the_rest(project: CatProject) -> None:
    project.edit('"codex"]', '"codex"]\n[clients.cursor]\nscope = "project"')
    apply(project)
    theirs = project.directory / ".cursor" / "mcp.json"
    halve(cursor(project))
    cursor(project).write_text(cursor(project).read_text() + '"hatchlock trial"')
    done = project.run("client", "restore", "cursor", "--yes", "--json")
    assert (done.status, done.document["done"]) == (1, ["client:cursor/cat"])
    assert [item["address"] for item in done.document["problems"]] == ["client:cursor@user"]
    assert not theirs.exists()


def test_nothing_is_restored_into_a_file_that_is_gone(project: CatProject) -> None:
    cursor(project).unlink()
    done = project.fails("client", "restore", "cursor", "--yes")
    assert f"{cursor(project)}, which it was written into, is gone" in done.err
    assert "this project" in project.fails("client", "restore", "zed", "cat", "--yes").err
    assert json.loads(project.run("client", "restore", "zed", "--json").out)["error"]["code"] == "nothing-to-restore"


TOKEN = "ghp_0123456789abcdef0123"
CARELESS = '{"mcpServers": {"Dog": {"command": "npx", "args": ["dog"], "env": {"DOG_TOKEN": "%s"}}}}\n'


@pytest.fixture
def imported(tmp_path: Path) -> CatProject:
    """A project whose `cat` stands where an entry stood that `import` has read, with a token in it."""
    made = CatProject(tmp_path, MANIFEST)
    cursor(made).parent.mkdir()
    cursor(made).write_text(CARELESS % TOKEN)
    SecretStore(made.store).set("trial/dog-token", TOKEN, Keyring({"PATH": ""}))
    value = CLIENTS["cursor"].dialect.read(cursor(made).read_bytes())["Dog"].value
    file, digest = f"cursor/user/{cursor(made)}", entry_digest(value)
    record = Imported(file=file, entry="Dog", digest=digest, server="cat", secrets=("dog-token",))
    write_imported(made.store / "projects" / "trial", [record])
    apply(made)
    assert TOKEN not in cursor(made).read_text()
    return made


def test_an_entry_whose_secret_is_gone_names_what_gives_it_back(imported: CatProject) -> None:
    again = "`hatchlock secret set dog-token --project trial`"
    done = imported.ok("secret", "rm", "dog-token", "--project", "trial")
    assert f"the entry 'Dog' that stood in {cursor(imported)} cannot be put back without it; {again}" in done.err
    for words in (["destroy"], ["client", "restore", "cursor"]):
        refused = imported.fails(*words, "--yes", status=3)
        assert f"hint: agree with --allow-destructive, or {again}" in refused.err
    done = imported.ok("client", "restore", "cursor", "--yes", "--allow-destructive")
    assert "was not put back" in done.err
    assert "the store of secrets does not have what was secret in it" in done.err


def test_a_secret_that_nothing_needs_goes_without_a_word(imported: CatProject) -> None:
    SecretStore(imported.store).set("dog-token", "another", Keyring({"PATH": ""}))
    done = imported.ok("secret", "rm", "dog-token", "--project", "trial", "--json")
    assert done.document["needed_by"] == [], "everybody's is there"
    imported.ok("secret", "rm", "dog-token")
    SecretStore(imported.store).set("trial/dog-token", "new-value", Keyring({"PATH": ""}))
    imported.ok("destroy", "--yes")
    assert cursor(imported).read_text() == CARELESS % "new-value", "what was rotated is put back as it is now"
