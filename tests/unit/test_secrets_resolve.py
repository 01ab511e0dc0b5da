"""References become values, each kind in its own way, and nothing becomes one that somebody else could know."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.errors import PermissionProblem
from hatchlock.launch import SecretReference
from hatchlock.security.secrets.files import BadDotenv, InsecureSecret, dotenv_value
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.resolve import MissingSecret, Places, resolve
from hatchlock.security.secrets.store import SecretStore, fingerprint, stored_name
from hatchlock.security.secrets.tracked import CommittedSecret
from hatchlock.security.secrets.values import Secrets
from support.runs import processes_with, wait_for

NO_KEYRING = {"PATH": "/usr/bin:/bin"}


def resolved(
    reference: SecretReference, *, environ: dict[str, str] | None = None, directory: Path = Path("/")
) -> Secrets:
    places = Places(
        environ={**NO_KEYRING, **(environ or {})}, directory=str(directory), project="trial", store=directory / "store"
    )
    return resolve({"KEY": reference}, places)


def one(reference: str | SecretReference, *, environ: dict[str, str] | None = None, directory: Path = Path("/")) -> str:
    wanted = SecretReference(secret=reference) if isinstance(reference, str) else reference
    return resolved(wanted, environ=environ, directory=directory).variables.get("KEY", "")


def secret_file(directory: Path, content: bytes, mode: int = 0o600, name: str = "token") -> Path:
    path = directory / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def program(directory: Path, text: str) -> Path:
    path = directory / "print-secret"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_variable_is_looked_up_and_formatted() -> None:
    reference = SecretReference(secret="env:TOKEN", format="Bearer {}")
    found = resolved(reference, environ={"TOKEN": "abc {}"})
    assert (found.variables, found.bare) == ({"KEY": "Bearer abc {}"}, {"KEY": "abc {}"})
    assert "abc" not in repr(found)


def test_a_file_loses_one_newline_and_is_found_from_the_projects_directory(tmp_path: Path) -> None:
    secret_file(tmp_path, b"abc\n\n")
    assert one("file:token", directory=tmp_path) == "abc\n"


def test_a_tilde_is_the_users_home(tmp_path: Path) -> None:
    secret_file(tmp_path, b"abc")
    assert one("file:~/token", environ={"HOME": str(tmp_path)}) == "abc"


def test_as_a_file_the_server_gets_its_path_and_a_whole_file_stays_whole(tmp_path: Path) -> None:
    secret_file(tmp_path, b"-----BEGIN-----\nabc\n-----END-----\n")
    found = resolved(SecretReference(secret="file:token", as_="file"), directory=tmp_path)
    assert found.environment() == {"KEY_FILE": "/run/secrets/KEY"}
    assert found.placed() == {"/run/secrets/KEY": b"-----BEGIN-----\nabc\n-----END-----\n"}
    formatted = resolved(SecretReference(secret="env:T", as_="file", format="token={}\n"), environ={"T": "abc"})
    assert formatted.files == {"KEY": b"token=abc\n"}


@pytest.mark.parametrize(
    ("reference", "words", "hint"),
    [
        ("env:TOKEN", "the variable is not set", "export TOKEN=…"),
        ("env:EMPTY", "it is empty", "export EMPTY=…"),
        ("file:/nonexistent/token", "No such file or directory", "install -m 600 /dev/stdin /nonexistent/token"),
        (
            "keyring:acme",
            "neither the keyring of this system nor the store has it",
            "`hatchlock secret set acme --project trial`",
        ),
        (
            "command:/nonexistent/tool read x",
            "there is no program /nonexistent/tool",
            "/nonexistent/tool read x",
        ),
        ("command:sh -c 'exit 3'", "it ended with status 3", "sh -c 'exit 3'"),
        ("command:true", "it is empty", "true"),
        ("file:/dev/null", "it is no regular file", "/dev/null"),
    ],
)
def test_a_missing_secret_names_itself_and_how_to_set_it(reference: str, words: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(MissingSecret) as caught:
        one(reference, environ={"EMPTY": ""}, directory=tmp_path)
    assert str(caught.value) == f"the secret {reference} for KEY has no value: {words}"
    assert hint in caught.value.hint


def test_an_optional_secret_without_a_value_is_left_out() -> None:
    assert resolved(SecretReference(secret="env:TOKEN", required=False)) == Secrets()


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"abc", mode=0o644)
    with pytest.raises(InsecureSecret) as caught:
        one(f"file:{path}")
    assert caught.value.hint == f"chmod 600 {path}"
    assert "by every user" in str(caught.value)
    with pytest.raises(InsecureSecret):
        one(f"file:{secret_file(tmp_path, b'abc', mode=0o602)}")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to a group")
def test_a_group_counts_as_others_unless_it_is_the_owners_own(tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"abc", mode=0o640)
    assert one(f"file:{path}") == "abc"
    os.chown(path, 0, 1)
    with pytest.raises(InsecureSecret, match="by its whole group"):
        one(f"file:{path}")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"])
def test_bytes_that_no_variable_can_hold_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MissingSecret):
        one(f"file:{secret_file(tmp_path, content)}")
    with pytest.raises(MissingSecret):
        one("env:TOKEN", environ={"TOKEN": content.decode(errors="surrogateescape")})


# dotenv

DOTENV = r"""
# a comment
export PLAIN=abc # a comment, after a blank
HASH=abc#def
 SPACED = two words
EMPTY=
COMMENT_ONLY= # nothing
SINGLE='$not \n expanded # at all'
DOUBLE="a\"b\\c\nd\$e\x"   # a comment
KEY="-----BEGIN-----
line
-----END-----"
DOLLAR=$PLAIN
PLAIN=later
""".replace("two words\n", "two words  \r\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PLAIN", "later"),
        ("HASH", "abc#def"),
        ("SPACED", "two words"),
        ("EMPTY", ""),
        ("COMMENT_ONLY", ""),
        ("SINGLE", r"$not \n expanded # at all"),
        ("DOUBLE", 'a"b\\c\nd$e\\x'),
        ("KEY", "-----BEGIN-----\nline\n-----END-----"),
        ("DOLLAR", "$PLAIN"),
        ("OTHER", None),
    ],
)
def test_a_dotenv_file_is_read_as_documented(name: str, value: str | None) -> None:
    assert dotenv_value(DOTENV, name) == value


@pytest.mark.parametrize("text", ["A=b\nhunter2", "A=b\nB='hunter2", 'A=b\nB="hunter2" hunter2', "A=b\n1B=hunter2"])
def test_a_bad_line_is_named_by_its_number_alone(text: str, tmp_path: Path) -> None:
    secret_file(tmp_path, text.encode(), name=".env")
    with pytest.raises(BadDotenv) as caught:
        one("file:.env#A", directory=tmp_path)
    assert str(caught.value.place) == f"{tmp_path}/.env:2"
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_a_name_of_a_dotenv_file_is_found_and_a_missing_one_said(tmp_path: Path) -> None:
    secret_file(tmp_path, b"TOKEN=abc\n", name=".env")
    assert one("file:.env#TOKEN", directory=tmp_path) == "abc"
    with pytest.raises(MissingSecret) as caught:
        one("file:.env#OTHER", directory=tmp_path)
    assert str(caught.value).endswith("the file does not name OTHER")
    assert (
        caught.value.hint == f"write OTHER=… into {tmp_path}/.env, which only you can read: chmod 600 {tmp_path}/.env"
    )


# git


def test_a_file_that_git_does_not_ignore_is_refused_and_one_that_it_has(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    path = secret_file(tmp_path, b"abc")
    with pytest.raises(CommittedSecret) as caught:
        one("file:token", directory=tmp_path)
    assert str(path) in str(caught.value)
    git("add", "token")
    (tmp_path / ".gitignore").write_text("token\n")
    with pytest.raises(CommittedSecret):
        one("file:token", directory=tmp_path)
    git("rm", "-q", "--cached", "token")
    assert one("file:token", directory=tmp_path) == "abc"
    outside = secret_file(tmp_path.parent, b"abc", name=f"{tmp_path.name}-outside")
    assert one(f"file:{outside}", directory=tmp_path) == "abc"


# commands


def test_a_command_gets_words_and_no_shell_no_stdin_and_little_of_our_environment(tmp_path: Path) -> None:
    path = program(
        tmp_path, "import os, sys\nprint(sys.argv[1:], sys.stdin.read(), sorted(os.environ), os.getcwd(), end='')"
    )
    environ = {"HOME": "/home/x", "AWS_SECRET_ACCESS_KEY": "no", "LC_CTYPE": "C.UTF-8"}
    found = one(f"command:{path} 'a b' $HOME", environ=environ, directory=tmp_path)
    names = eval(found[found.index("[", 1) : found.rindex("]") + 1])
    assert found.startswith(f"{['a b', '$HOME']}  [")
    assert found.endswith(str(tmp_path))
    assert set(names) - {"LC_CTYPE"} == {"HOME", "PATH"}  # Python itself sets LC_CTYPE


def test_what_a_failing_command_printed_is_not_shown(tmp_path: Path) -> None:
    path = program(
        tmp_path, "import sys\nprint('hunter2-hunter2')\nsys.exit('no session for hunter2-hunter2, log in first')"
    )
    with pytest.raises(MissingSecret) as caught:
        one(f"command:{path}")
    assert str(caught.value).endswith("it ended with status 1 and said: no session for ***, log in first")


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hatchlock.security.secrets.programs._COMMAND_SECONDS", 0.3)
    seconds = f"600.{secrets.randbelow(10**9):09}"
    with pytest.raises(MissingSecret, match=r"it did not end within 0\.3 s"):
        one(f"command:sh -c 'sleep {seconds} & sleep {seconds}'")
    assert wait_for(lambda: processes_with(seconds) == [])


def test_two_variables_from_one_command_ask_it_once(tmp_path: Path) -> None:
    path = program(tmp_path, f"open({str(tmp_path / 'asked')!r}, 'a').write('x')\nprint('abc')")
    reference = SecretReference(secret=f"command:{path}")
    places = Places(environ=NO_KEYRING, directory="/", project="trial", store=tmp_path)
    assert resolve({"A": reference, "B": reference}, places).variables == {"A": "abc", "B": "abc"}
    assert (tmp_path / "asked").read_text() == "x"


# the store, and the keyring


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """A program that keeps secrets as `keyring` does: by service and name, in a file of its own."""
    directory = tmp_path / "bin"
    directory.mkdir()
    path = directory / "keyring"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, sys, pathlib\n"
        f"kept = pathlib.Path({str(tmp_path / 'kept.json')!r})\n"
        "known = json.loads(kept.read_text()) if kept.exists() else {}\n"
        "action, service, name = sys.argv[1:]\n"
        "key = f'{service} {name}'\n"
        "if action == 'set': known[key] = sys.stdin.read().removesuffix('\\n')\n"
        "elif key not in known: sys.exit(1)\n"
        "elif action == 'del': del known[key]\n"
        "else: print(known[key])\n"
        "kept.write_text(json.dumps(known))\n"
    )
    path.chmod(0o755)
    return Keyring({"PATH": f"{directory}:/usr/bin:/bin"})


def test_without_a_keyring_the_store_keeps_a_secret_for_its_owner_alone(tmp_path: Path) -> None:
    store = SecretStore(tmp_path / "store")
    assert store.set("acme", "abc", Keyring(NO_KEYRING)) == "store"
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert one("keyring:acme", directory=tmp_path) == "abc"
    store.path.chmod(0o640)
    with pytest.raises(PermissionProblem):
        one("keyring:acme", directory=tmp_path)
    store.path.chmod(0o600)
    assert store.forget("acme", Keyring(NO_KEYRING))
    assert not store.forget("acme", Keyring(NO_KEYRING))
    assert dict(store.names()) == {}


def test_a_keyring_has_the_value_and_the_store_only_the_name(tmp_path: Path, keyring: Keyring) -> None:
    store = SecretStore(tmp_path / "store")
    assert store.set("acme", "abc\ndef", keyring) == "keyring"
    assert "abc" not in store.path.read_text()
    assert dict(store.names()) == {"acme": "keyring"}
    assert store.get("acme", "trial", keyring) == "abc\ndef"
    assert store.forget("acme", keyring)
    assert store.get("acme", "trial", keyring) is None


def test_what_a_keyring_would_change_goes_to_the_store(tmp_path: Path, keyring: Keyring) -> None:
    store = SecretStore(tmp_path / "store")
    assert store.set("acme", "abc\n", keyring) == "store"
    assert store.get("acme", "trial", keyring) == "abc\n"
    assert keyring.get("acme") is None


def test_a_projects_own_secret_comes_first_and_one_that_others_put_into_the_keyring_last(
    tmp_path: Path, keyring: Keyring
) -> None:
    store = SecretStore(tmp_path / "store")
    keyring.set("acme", "from elsewhere")
    assert store.get("acme", "trial", keyring) == "from elsewhere"
    store.set("acme", "for all", keyring)
    store.set(stored_name("acme", "trial"), "of one", Keyring(NO_KEYRING))
    assert (store.get("acme", "trial", keyring), store.get("acme", "other", keyring)) == ("of one", "for all")
    with pytest.raises(ValueError):
        stored_name("../acme")


def test_a_fingerprint_tells_a_change_and_no_value(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, {"A": "abc"}, create=False) == {}
    first = fingerprint(tmp_path, {"A": "abc", "B": "abc"}, create=True)
    assert first["A"] != first["B"]
    assert fingerprint(tmp_path, {"A": "abc", "B": "abd"}, create=False) != first
    assert fingerprint(tmp_path, {"A": "abc", "B": "abc"}, create=True) == first
    assert (tmp_path / "secrets.key").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*")) == []


def test_what_no_variable_can_hold_is_said_before_the_server_is_started() -> None:
    longest = (1 << 17) - len("KEY=") - 1
    assert len(one("env:MINE", environ={"MINE": "x" * longest})) == longest
    with pytest.raises(MissingSecret, match="no variable can be that long"):
        one("env:MINE", environ={"MINE": "x" * (longest + 1)})
    as_file = SecretReference(secret="env:MINE", as_="file")
    assert len(resolved(as_file, environ={"MINE": "x" * (longest + 1)}).files["KEY"]) == longest + 1


@pytest.mark.parametrize("entry", ["", ".", "relative"])
def test_no_program_is_taken_from_where_we_happen_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """A server with its workspace can write there, and would choose what `run` starts outside of its sandbox."""
    workspace = tmp_path / "workspace"
    (workspace / "relative").mkdir(parents=True)
    for directory in (workspace, workspace / "relative"):
        secret_file(directory, b"#!/bin/sh\necho planted\n", 0o755, name="tool")
    monkeypatch.chdir(workspace)
    path = f"{entry}{os.pathsep}/usr/bin:/bin"
    with pytest.raises(MissingSecret, match="there is no program tool on PATH"):
        one("command:tool", environ={"PATH": path}, directory=workspace)
    monkeypatch.chdir("/")
    assert one("command:./tool", environ={"PATH": path}, directory=workspace) == "planted"
