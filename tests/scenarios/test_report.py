"""`report`: what is in a bundle, and what is in none of its files."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from hatchlock.security.secrets.logins import Login, Logins
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore
from hatchlock.usecases.report_addresses import own_address
from support.cats import CAT, CatProject, apply
from support.runs import HELLO

USER = "jdoe42"
VALUES = {"env": "planted-in-a-variable", "kept": "planted-by-secret-set", "file": "planted-in-a-file"}
TOKEN = "ghp_" + "a1B2" * 8
TALKER = '#!/bin/sh\necho "$KEPT and {token} as {user} on {host} in $HOME $LINE" >&2\nexec /bin/cat\n'


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    return CatProject(tmp_path, CAT)


def members(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = archive.getmembers()
        assert all((item.mode, item.uname, item.gname, item.uid) == (0o600, "", "", 0) for item in found)
        return {item.name.partition("/")[2]: archive.extractfile(item).read().decode() for item in found}  # type: ignore[union-attr]


def plant(project: CatProject) -> None:
    """Put secrets, a token and names wherever a careless machine would have them."""
    host = os.uname().nodename
    home = project.root / USER
    home.mkdir()
    project.env |= {"HOME": str(home), "USER": USER, "LOGNAME": USER, "MY_TOKEN": VALUES["env"], "GH_TOKEN": TOKEN}
    secret = home / "secret"
    secret.write_text(VALUES["file"])
    secret.chmod(0o600)
    script = home / "server" / "talker"
    script.parent.mkdir()
    script.write_text(TALKER.format(token=TOKEN, user=USER, host=host))
    script.chmod(0o755)
    project.write(
        f'{CAT}\n[servers.talker]\ncommand = ["{script}"]\n[servers.talker.env]\n'
        f'LINE = "of {home}"\nKEPT = {{ secret = "keyring:acme" }}\nOTHER = {{ secret = "env:MY_TOKEN" }}\n'
        f'THIRD = {{ secret = "file:{secret}" }}\nFOURTH = {{ secret = "env:NOT_HERE", required = false }}\n'
        f'[servers.talker.sandbox]\nmounts = [{{ source = "{script.parent}", target = "{script.parent}" }}]\nreason = "its code"\n'
    )
    subprocess.run(
        project.command("secret", "set", "acme"),
        input=VALUES["kept"],
        text=True,
        env=project.env,
        check=True,
        capture_output=True,
    )
    apply(project)
    log = project.store / "projects" / "trial" / "logs" / "talker.log"
    subprocess.run(
        project.launch_command("talker"),
        input=f"{json.dumps(HELLO)}\n",
        text=True,
        env=project.env,
        check=True,
        capture_output=True,
    )
    assert "***" in log.read_text()  # a value is hidden already when it is written
    with log.open("a") as file:
        file.write(" ".join([*VALUES.values(), TOKEN, f"password={TOKEN[4:20]}", USER, host, str(home)]) + "\n")


def test_a_planted_secret_a_token_and_a_name_are_in_no_file(project: CatProject) -> None:
    plant(project)
    done = project.real("report", "--bundle", "bug.tar.gz")
    assert done.status == 0, done.said
    path = project.directory / "bug.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    found = members(path)
    assert {"report.txt", "doctor.txt", "hatchlock.toml", "hatch.lock", "plan.txt", "status.json"} <= set(found)
    assert {"audit.ndjson", "launch/talker.json", "logs/talker.log", "last-apply.ndjson"} <= set(found)
    host = os.uname().nodename
    for name, text in [*found.items(), ("the screen", done.out + done.err)]:
        for planted in (*VALUES.values(), TOKEN, TOKEN[4:20], USER):
            assert planted not in text, (name, planted)
        if name != "the screen":
            assert f'"{host}"' not in text, name
    # and what they stand for is there
    assert "~" in found["hatchlock.toml"]
    assert 'secret = "keyring:acme"' in found["hatchlock.toml"]
    assert "USER" in found["logs/talker.log"]
    assert found["plan.txt"].startswith("Nothing to do")
    assert json.loads(found["status.json"])["project"] == "trial"
    assert "! nobody here knows the value of env:NOT_HERE" in done.err
    assert "logs/talker.log" in done.out


def test_the_short_form_writes_nothing(project: CatProject) -> None:
    apply(project)
    before = sorted(project.directory.iterdir())
    done = project.ok("report")
    assert done.out.startswith("hatchlock ")
    assert "Nothing to do" in done.out
    own = own_address()
    assert ("where to tell of a mistake:" in done.out) == bool(own), "of a program of this machine nobody knows"
    assert own in done.out
    assert "nobody says where" not in done.out
    assert sorted(project.directory.iterdir()) == before
    document = project.ok("report", "--json").document
    assert (document["project"], document["written"]) == ("trial", "")
    assert {"name": "hatchlock.toml", "size": len(CAT)} in document["files"]


def test_what_is_broken_can_be_reported(project: CatProject) -> None:
    apply(project)
    project.write(CAT + "\nnonsense = 1\n")
    project.lock.write_text("version = what\n")
    project.ok("report", "--bundle", "bug.tar.gz")
    found = members(project.directory / "bug.tar.gz")
    assert "nonsense" in found["hatchlock.toml"]
    assert found["plan.txt"] == "it cannot be said: hatchlock.toml:19: servers.cat.nonsense: unknown key\n"
    assert found["hatch.lock"] == "version = what\n"


def test_what_is_kept_is_in_no_file_though_nothing_refers_to_it(project: CatProject) -> None:
    """A manifest and a lock that cannot be read tell of no secrets, and a login is told of by neither."""
    login = Login(
        url="https://far.example/mcp", access_token="plain words of access", refresh_token="plain words of refresh"
    )
    SecretStore(project.store).set("trial/other", "plain words of hers", Keyring({}))
    Logins(project.store, "trial", {}).set("far", login)
    kept = ("plain words of hers", login.access_token, login.refresh_token)
    project.write(CAT + "".join(f"# {value}\n" for value in kept))
    project.lock.write_text("version = what\n")
    project.ok("report", "--bundle", "bug.tar.gz")
    found = members(project.directory / "bug.tar.gz")
    assert found["hatchlock.toml"].count("# ***") == len(kept)
    assert not any(value in text for value in kept for text in found.values())


def test_outside_of_a_project_the_machine_is_reported(project: CatProject) -> None:
    project.manifest.unlink()
    done = project.ok("report", "--bundle")
    (path,) = project.directory.glob("hatchlock-report-*.tar.gz")
    assert set(members(path)) == {"report.txt", "doctor.txt"}
    assert str(path.name) in done.out


def test_nothing_is_overwritten(project: CatProject) -> None:
    apply(project)
    mine = project.directory / "mine"
    mine.write_text("mine")
    project.fails("report", "--bundle", "mine", status=64)
    assert mine.read_text() == "mine"
    project.fails("report", "--bundle", "nowhere/bug.tar.gz", status=64)
