"""Secrets in a manifest: references in every form, and no value, neither in sight nor where arguments are."""

from __future__ import annotations

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.launch import SecretReference
from hatchlock.manifest.load import loads
from hatchlock.manifest.suspicion import looks_secret, secret_arguments, surely_secret

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n[servers.s]\nsource = "pypi:x==1"\n'
RANDOM = "abcdefgh12345678"


def wrong(text: str) -> list[str]:
    with pytest.raises(ManyErrors) as caught:
        loads(HEAD + text, shown="m")
    return [f"{error.place}: {error}" for error in caught.value.errors]


@pytest.mark.parametrize(
    "reference", ["env:A", "file:.env#A", "file:~/a", "keyring:acme-token.1", "command:op read 'op://a b/c'"]
)
def test_every_kind_of_reference_is_taken(reference: str) -> None:
    loaded = loads(f'{HEAD}env.A = {{ secret = "{reference}", as = "file" }}\n', shown="m")
    assert loaded.manifest.servers["s"].secrets == {"A": SecretReference(secret=reference, as_="file")}


@pytest.mark.parametrize(
    "reference", ["keyring:a/b", "keyring:", "keyring:login.tracker", "command:'", "command: ", "env:A-B", "sk-abc"]
)
def test_what_is_no_reference_is_refused_and_not_repeated(reference: str) -> None:
    (problem,) = wrong(f'env.A = {{ secret = "{reference}" }}\n')
    assert problem.startswith("m:6: servers.s.env.A.secret: ")
    assert "sk-abc" not in problem


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('env.API_TOKEN = "hunter2"', "servers.s.env.API_TOKEN"),
        (f'env.SORT_KEY = "{RANDOM}"', "servers.s.env.SORT_KEY"),
        ('env.DB = "postgres://u:hunter2@h/db"', "servers.s.env.DB"),
        (f'args = ["--token", "{RANDOM}"]', "servers.s.args[1]"),
        (f'command = ["x", "--token={RANDOM}"]', "servers.s.command[1]"),
        ('args = ["-H", "Authorization: Bearer abc1"]', "servers.s.args[1]"),
    ],
)
def test_a_literal_that_is_surely_a_secret_is_an_error_with_its_line(text: str, where: str) -> None:
    (problem,) = wrong(f"{text}\n")
    assert problem.startswith(f"m:6: {where}: the ")
    assert "looks like a secret" in problem
    assert "hunter2" not in problem
    assert RANDOM not in problem


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('args = ["--token", { secret = "env:A" }]', "servers.s.args[1]"),
        ('command = ["x", { secret = "env:A" }]', "servers.s.command[1]"),
        ('args = ["https://h/?key={secret}"]', "servers.s.args[0]"),
        ('args = ["--token=${A}"]\nenv.A = { secret = "env:A" }', "servers.s.args[0]"),
        ('args = ["--token", "$A"]\nenv.A = { secret = "env:A" }', "servers.s.args[1]"),
    ],
)
def test_a_secret_for_an_argument_is_refused_with_the_other_ways(text: str, where: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(f"{HEAD}{text}\n", shown="m")
    (problem,) = caught.value.errors
    assert str(problem).startswith(f"{where}: ")
    assert "everyone on this machine can read arguments" in str(problem)
    assert problem.hint == 'give it as a variable, env.NAME = { secret = … }, or as a file: as = "file"'


def test_a_file_takes_a_second_variable() -> None:
    (problem,) = wrong('env.A = { secret = "env:A", as = "file" }\nenv.A_FILE = "/x"\n')
    assert problem == "m:7: servers.s.env.A_FILE: A_FILE is where the server finds the file of A"


@pytest.mark.parametrize(
    ("name", "value", "sure"),
    [
        ("SORT_KEY", "created", False),
        ("MAX_TOKENS", "4096", False),
        ("TOKEN", "4096", False),
        ("TOKEN", "${TOKEN}", False),
        ("AUTH", "basic", False),
        ("PASSWORD", "swordfish", True),
        ("X_API_KEY", "x", True),
        ("AUTH", RANDOM, True),
        ("ANYTHING", "ghp_abcdefghijklmnop1234", True),
        ("ANYTHING", "npm_abcdefghijklmnopqrstuvwxyz0123456789", True),
        ("ANYTHING", RANDOM, False),
    ],
)
def test_what_is_sure_looks_like_one_as_well(name: str, value: str, sure: bool) -> None:
    assert surely_secret(name, value) is sure
    assert looks_secret(name, value) or not sure


def test_a_plain_word_may_be_an_argument() -> None:
    words = ["--csrf-token", "X-Csrf-Header", "--token", RANDOM]
    assert secret_arguments(words) == [1, 3]
    assert secret_arguments(words, sure=True) == [3]
