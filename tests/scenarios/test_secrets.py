"""Secrets as a user has them: set, listed, missing, given as files, changed while a server runs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from hatchlock.launch import LaunchRecord, SecretReference
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore
from support.cats import CAT, CatProject, apply
from support.project import TrialProject
from support.runs import BARE, Run, apply_records, python_record, run_command, wait_for
from support.unavailable import need_isolation

MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64"]

[servers.notes]
command = ["/bin/cat", "-u"]
isolation = "best-effort"

[servers.notes.env]
ACME_TOKEN = { secret = "keyring:acme" }
OTHER = { secret = "file:.env#OTHER", as = "file" }
MAYBE = { secret = "env:MAYBE", required = false }
"""


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    return TrialProject(tmp_path, MANIFEST)


def given(project: TrialProject, value: str, *words: str) -> None:
    subprocess.run(project.command(*words), cwd=project.directory, env=project.env, input=value, text=True, check=True)


def test_a_missing_secret_is_named_with_the_command_that_sets_it_and_then_it_is_there(project: TrialProject) -> None:
    missing = project.run("secret", "check")
    assert missing.status == 1
    assert "hint: set it with `hatchlock secret set acme --project trial`" in missing.err
    assert f"hint: write OTHER=… into {project.directory}/.env" in missing.err
    assert "MAYBE" in missing.out

    given(project, "hunter2-hunter2\n", "secret", "set", "acme")
    (project.directory / ".env").write_text("OTHER=hunter2-other\n")
    (project.directory / ".env").chmod(0o600)
    assert project.ok("secret", "check", "notes", "--json").document["secrets"][0]["present"] is True
    rows = project.ok("secret", "list", "--json").document["secrets"]
    assert [(row["reference"], row["where"], row["present"], row["used_by"]) for row in rows] == [
        ("env:MAYBE", "env", False, ["notes.MAYBE"]),
        ("file:.env#OTHER", "file", True, ["notes.OTHER"]),
        ("keyring:acme", "store", True, ["notes.ACME_TOKEN"]),
    ]
    assert "hunter2" not in project.ok("secret", "list").said
    project.ok("secret", "rm", "acme")
    assert json.loads((project.store / "secrets.json").read_text())["secrets"] == {}


def test_a_projects_own_secret_is_set_with_its_name(project: TrialProject) -> None:
    given(project, "for all", "secret", "set", "acme")
    given(project, "of one", "secret", "set", "acme", "--project", "trial")
    kept = json.loads((project.store / "secrets.json").read_text())["secrets"]
    assert {name: entry["value"] for name, entry in kept.items()} == {"acme": "for all", "trial/acme": "of one"}
    rows = project.ok("secret", "list", "--json").document["secrets"]
    assert [row["project"] for row in rows if row["reference"] == "keyring:acme"] == ["", "trial"]
    assert "there is no value" in project.fails("secret", "set", "acme", status=64).err  # nothing on stdin


def test_status_says_which_secret_a_server_waits_for(tmp_path: Path) -> None:
    secrets = '[servers.cat.env]\nTOKEN = { secret = "keyring:acme" }\nMORE = { secret = "command:touch ran" }\n'
    project = CatProject(tmp_path, f"{CAT}\n{secrets}")
    apply(project)
    missing = "the secret keyring:acme for TOKEN has no value"
    assert missing in project.ok("status").out
    (server,) = project.ok("status", "--json").document["servers"]
    assert (server["health"], server["said"].startswith(missing)) == ("unknown", True)
    SecretStore(project.store).set("acme", "hunter2-hunter2", Keyring({"PATH": ""}))
    assert missing not in project.ok("status").out
    assert not list(project.root.rglob("ran")), "no command is run to know it"


def test_on_a_terminal_it_is_asked_for_and_not_shown(project: TrialProject) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        project.command("secret", "set", "acme"),
        cwd=project.directory,
        env=project.env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"not shown" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, b"hunter2-typed\n")
    assert process.wait(60) == 0
    while b"is set" not in shown:
        shown += os.read(ours, 1024)
    os.close(ours)
    assert b"hunter2" not in shown
    assert "hunter2-typed" in (project.store / "secrets.json").read_text()


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("{", 0o600, "it is damaged"),
        ('{"format_version": 1, "secrets": {}}', 0o644, "another user owns it or can read it"),
    ],
)
def test_a_store_of_secrets_that_gives_nothing_is_told_where_servers_ask_it(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    project = CatProject(tmp_path, f'{CAT}\n[servers.cat.env]\nTOKEN = {{ secret = "keyring:acme" }}\n')
    apply(project)
    kept = project.store / "secrets.json"
    kept.write_text(text)
    kept.chmod(mode)
    [server] = project.ok("status", "--json").document["servers"]
    assert (server["sync"], server["health"]) == ("synced", "failed")
    assert server["said"].startswith("it cannot start: ")
    assert said in server["said"]
    assert f"! secrets  {kept}" in (planned := project.ok("plan").out)
    assert said in planned
    project.write(CAT)
    project.ok("lock")
    assert "! secrets" not in project.ok("plan").out, "nobody asks it"


def test_lock_and_validate_refuse_a_file_that_git_would_commit_or_others_can_read(project: TrialProject) -> None:
    subprocess.run(["git", "init", "-q", str(project.directory)], check=True)
    error = project.fails("lock").err
    assert error.startswith("hatchlock.toml:11: servers.notes.env.OTHER: the secret file ")
    assert "git does not ignore it" in error
    (project.directory / ".gitignore").write_text(".env\n")
    (project.directory / ".env").write_text("OTHER=x\n")
    (project.directory / ".env").chmod(0o604)
    assert "can be read by every user (mode 0604)" in project.fails("validate").err


# servers that run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    need_isolation()
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return directory


AS_FILE = {
    "TOKEN": SecretReference(secret="env:TOKEN", as_="file"),
    "PLAIN": SecretReference(secret="env:PLAIN"),
}
ENVIRON = {**BARE, "TOKEN": "planted-as-file", "PLAIN": "planted-as-variable"}


def test_inside_a_sandbox_a_secret_file_is_read_only_alone_and_nowhere_else(home: Path, memory: Path) -> None:
    apply_records(home, [python_record(secrets=AS_FILE)])
    with Run(command=run_command(home), env={**ENVIRON, "XDG_RUNTIME_DIR": str(memory)}) as run:
        run.hello()
        assert run.attempt("read", "/run/secrets/TOKEN") == "planted-as-file"
        assert run.attempt("list", "/run/secrets") == "TOKEN"
        assert "Read-only file system" in run.attempt("write", "/run/secrets/TOKEN")
        assert "Read-only file system" in run.attempt("write", "/run/secrets/OTHER")
        environ = run.attempt("read", "/proc/self/environ").split("\0")
        assert "TOKEN_FILE=/run/secrets/TOKEN" in environ
        assert not [line for line in environ if "planted-as-file" in line]
        assert not any(memory.rglob("*"))
        run.end()


def test_without_a_sandbox_a_secret_file_is_in_memory_and_gone_after_a_kill(home: Path, memory: Path) -> None:
    apply_records(home, [python_record(secrets=AS_FILE, isolation="best-effort")])
    nowhere = home / "nobwrap"
    nowhere.mkdir()
    (nowhere / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (nowhere / "bwrap").chmod(0o755)
    environ = {**ENVIRON, "PATH": f"{nowhere}:{BARE['PATH']}", "XDG_RUNTIME_DIR": str(memory)}
    above = memory / "hatchlock-secrets"
    with Run(command=run_command(home), env=environ) as run:
        run.hello()
        environment = run.attempt("read", "/proc/self/environ").split("\0")
        (path,) = (Path(line.partition("=")[2]) for line in environment if line.startswith("TOKEN_FILE="))
        assert path.parent.parent == above
        assert above.stat().st_mode & 0o777 == 0o700
        assert path.read_text() == "planted-as-file"
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        assert wait_for(lambda: not path.parent.exists())
    # what a crash of the whole machine's session leaves is removed by the next one
    left = above / "0123456789ab"
    left.mkdir()
    (above / "0123456789ab.owner").write_text(own_words_of_the_dead())
    with Run(command=run_command(home), env=environ) as run:
        run.hello()
        assert not left.exists()
        run.end()
    assert not any(above.glob("*"))


def own_words_of_the_dead() -> str:
    from hatchlock.process import owner

    with subprocess.Popen(["sleep", "60"]) as process:
        name = owner(process.pid)
        process.kill()
    return name


def test_status_says_which_secret_has_changed_since_a_server_was_started(project: TrialProject, home: Path) -> None:
    project.edit('{ secret = "keyring:acme" }', '{ secret = "file:acme" }')
    project.edit('{ secret = "file:.env#OTHER", as = "file" }', '{ secret = "env:OTHER" }')
    secret = project.directory / "acme"
    secret.write_text("first")
    secret.chmod(0o600)
    project.env["OTHER"] = "other"
    project.ok("lock")
    project.ok("apply", "--yes", "--no-probe")

    def restart() -> str:
        (server,) = project.ok("status", "--check-secrets", "--json").document["servers"]
        return str(server["restart"])

    with Run(command=project.launch_command("notes"), env=project.env) as run:
        sessions = project.store / "projects" / "trial" / "sessions"
        assert wait_for(lambda: any(sessions.glob("*.json")))
        assert "first" not in next(sessions.glob("*.json")).read_text()
        assert restart() == ""
        secret.write_text("second")
        del project.env["OTHER"]  # the application that started it may have it
        assert restart() == "restart needed: ACME_TOKEN changed since it was started"
        run.end()
    assert not any(sessions.glob("*.json"))


def test_a_missing_keyring_secret_keeps_a_server_from_starting_and_says_how_to_set_it(home: Path) -> None:
    record: LaunchRecord = python_record(secrets={"T": SecretReference(secret="keyring:acme")})
    apply_records(home, [record])
    with Run(command=run_command(home)) as run:
        status, out, err = run.end()
    assert (status, out) == (1, b"")
    assert b"hint: set it with `hatchlock secret set acme --project trial`" in err
