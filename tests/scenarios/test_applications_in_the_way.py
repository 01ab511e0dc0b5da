"""A file of an application that is broken, gone or read-only: what `client` and `destroy` say of it, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.writer import entry_digest
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore
from hatchlock.state.imported import Imported, write_imported
from hatchlock.state.originals import original_path
from support.cats import CatProject, apply
from support.everybodys import everybodys_directory

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
    return applied(tmp_path)


def applied(root: Path) -> CatProject:
    made = CatProject(root, MANIFEST)
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
    cursor(project).mkdir()
    assert "is gone" in project.fails("client", "restore", "cursor", "cat", "--yes").err
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


def test_destroy_says_that_a_broken_file_may_still_hold_our_entries(project: CatProject) -> None:
    whole = halve(cursor(project))
    done = project.fails("destroy", "--yes")
    assert f"client:cursor@user: {cursor(project)}:" in done.err
    assert "entries of this project may still be in it" in done.err
    assert "`hatchlock destroy` goes on from there" in done.out
    assert "cat" in whole
    cursor(project).write_text(whole)
    project.ok("destroy", "--yes")
    assert "cat" not in cursor(project).read_text()


def test_destroy_names_what_it_leaves(imported: CatProject) -> None:
    away = cursor(imported).rename(cursor(imported).with_name("away.json"))
    done = imported.ok("destroy", "--yes")
    (kept,) = imported.store.glob("originals/*.json")
    assert (
        f"left alone: {cursor(imported)}: it is gone; what stood in it before ours, 'Dog', is kept in {kept}"
        in done.err
    )
    again = "kept until `hatchlock secret rm dog-token --project trial`"
    assert f"left alone: secret dog-token: {again}" in done.err
    assert "nothing of the project trial is left but what was left alone" in done.out
    assert "note: what `hatchlock import` has read is forgotten" in done.err
    assert again in imported.ok("destroy", "--yes").err
    assert away.exists()


def test_an_entry_that_nothing_marks_as_ours_any_more_is_named_with_what_it_replaced(imported: CatProject) -> None:
    path = cursor(imported)
    path.write_text(path.read_text().replace('"command": "', '"command": "/opt/wrap", "was": "'))
    edited = path.read_text()
    kept = original_path(imported.store, path)
    where = f"what stood there before it, 'Dog', is kept in {kept}"
    what = f"edited until nothing marks it as hatchlock's, so it is left alone; {where}"
    note = f"! client:cursor/cat  the entry 'cat' in {path} was {what}"
    planned = imported.run("plan")
    assert (planned.status, note in planned.out) == (1, True), planned.said
    assert where in imported.ok("client", "list", "--by", "server").out
    imported.write(MANIFEST.partition("[servers.cat]")[0])
    imported.ok("lock")
    for _ in range(2):
        assert note in imported.ok("plan").out
        imported.ok("apply", "--yes", "--no-probe", "--allow-mass-removal")
    assert f"foreign: {where}" in imported.ok("client", "show", "cursor").out
    done = imported.ok("destroy", "--yes")
    assert f"left alone: the entry 'cat' in {path}: it was {what}" in done.err
    assert path.read_text() == edited


def test_an_entry_without_anything_before_it_that_nothing_marks_as_ours_is_named(project: CatProject) -> None:
    path = cursor(project)
    path.write_text(path.read_text().replace("--project", "--projects"))
    done = project.ok("destroy", "--yes")
    what = "edited until nothing marks it as hatchlock's, so it is left alone"
    assert f"left alone: the entry 'cat' in {path}: it was {what}" in done.err
    path.write_text(json.dumps({"mcpServers": {}}))


def test_an_entry_that_was_taken_out_is_named_with_what_it_replaced(imported: CatProject) -> None:
    cursor(imported).write_text('{"mcpServers": {}}')
    assert "is kept in" not in imported.ok("plan").out, "it is written anew"
    kept = original_path(imported.store, cursor(imported))
    done = imported.ok("destroy", "--yes")
    said = f"it was taken out; what stood there before it, 'Dog', is kept in {kept}"
    assert f"left alone: the entry 'cat' in {cursor(imported)}: {said}" in done.err


def test_entries_of_others_in_the_way_have_one_hint_which_names_import(tmp_path: Path) -> None:
    project = CatProject(tmp_path, MANIFEST.replace('"codex"', '"zed"'))
    zed = project.user_home / ".config" / "zed" / "settings.json"
    for path, text in ((cursor(project), '{"mcpServers": %s}'), (zed, '{"context_servers": %s}')):
        path.parent.mkdir(parents=True)
        path.write_text(text % '{"cat": {"command": "cat"}}')
    project.ok("lock")
    done = project.fails("apply", "--yes", "--no-probe")
    assert done.err.count("was not written by hatchlock") == 2
    assert done.err.count("hint: ") == done.err.count("hint: `hatchlock import`, and the next apply") == 1
    zed.write_text("{}")
    done = project.fails("apply", "--yes", "--no-probe")
    assert "1 done, 1 unchanged, 1 cannot be planned" in done.out
    assert '"cat"' in zed.read_text()
    assert cursor(project).read_text() == '{"mcpServers": {"cat": {"command": "cat"}}}'
    assert "so no generation was recorded" in done.err
    assert "only a part of it" in project.ok("history").out
    assert "see what is left with `hatchlock plan`" in project.fails("rollback", "--yes").err
    said, *_ = project.ok("status").out.splitlines()
    assert said == "project trial, no generation: the whole was not applied yet, only a part of it"


AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_file_that_may_not_be_written_is_said_with_what_helps() -> None:
    with everybodys_directory() as directory:
        project = applied(directory)
        subprocess.run(["chown", "-R", "65534:65534", directory], check=True)
        cursor(project).chmod(0o444)
        for words in (["client", "restore", "cursor"], ["destroy"]):
            done = project.real(*words, "--yes", prefix=AS_NOBODY)
            assert done.status == 1, done.said
            assert f"client:cursor/cat: {cursor(project)}: permission denied (owner nobody, mode 0444)" in done.err
            assert "hint: change its owner or mode with `chown` or `chmod`, and run the same command again" in done.err
            assert "HATCHLOCK_HOME" not in done.err
            assert "the manifest still has them" not in done.err
        cursor(project).chmod(0o600)
        assert project.real("destroy", "--yes", prefix=AS_NOBODY).status == 0
