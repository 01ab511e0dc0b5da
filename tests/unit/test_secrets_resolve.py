"""References become values, and values disappear from texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.launch import SecretReference
from hatchlock.security.secrets import (
    InsecureSecret,
    MissingSecret,
    SecretUnsupported,
    hidden_values,
    redact,
    resolve,
)


def one(reference: SecretReference, *, environ: dict[str, str] | None = None, directory: Path = Path("/")) -> str:
    return resolve({"KEY": reference}, environ=environ or {}, directory=str(directory)).get("KEY", "")


def secret_file(directory: Path, content: bytes, mode: int = 0o600) -> Path:
    path = directory / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_variable_is_looked_up_and_formatted() -> None:
    reference = SecretReference(secret="env:TOKEN", format="Bearer {}")
    assert one(reference, environ={"TOKEN": "abc {}"}) == "Bearer abc {}"


def test_a_file_loses_one_newline_and_is_found_from_the_projects_directory(tmp_path: Path) -> None:
    secret_file(tmp_path, b"abc\n\n")
    assert one(SecretReference(secret="file:token"), directory=tmp_path) == "abc\n"


def test_a_tilde_is_the_users_home(tmp_path: Path) -> None:
    secret_file(tmp_path, b"abc")
    assert one(SecretReference(secret="file:~/token"), environ={"HOME": str(tmp_path)}) == "abc"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:TOKEN", "the secret env:TOKEN for KEY has no value: the variable is not set"),
        ("env:EMPTY", "the secret env:EMPTY for KEY has no value: it is empty"),
        (
            "file:/nonexistent/token",
            "the secret file:/nonexistent/token for KEY has no value: No such file or directory",
        ),
    ],
)
def test_a_missing_secret_names_itself_and_how_to_set_it(reference: str, words: str) -> None:
    with pytest.raises(MissingSecret) as caught:
        one(SecretReference(secret=reference), environ={"EMPTY": ""})
    assert str(caught.value) == words
    assert reference.partition(":")[2] in caught.value.hint


def test_an_optional_secret_without_a_value_is_left_out() -> None:
    references = {"KEY": SecretReference(secret="env:TOKEN", required=False)}
    assert resolve(references, environ={}, directory="/") == {}


def test_a_file_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"abc", mode=0o644)
    with pytest.raises(InsecureSecret) as caught:
        one(SecretReference(secret=f"file:{path}"))
    assert caught.value.hint == f"chmod 600 {path}"
    assert one(SecretReference(secret=f"file:{secret_file(tmp_path, b'abc', mode=0o640)}")) == "abc"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"])
def test_bytes_that_no_variable_can_hold_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MissingSecret):
        one(SecretReference(secret=f"file:{secret_file(tmp_path, content)}"))


@pytest.mark.parametrize(
    "reference", [SecretReference(secret="keyring:x"), SecretReference(secret="env:HOME", as_="file")]
)
def test_what_this_version_does_not_know_is_refused(reference: SecretReference) -> None:
    with pytest.raises(SecretUnsupported):
        one(reference, environ={"HOME": "/"})


def test_the_bare_secret_is_hidden_and_each_line_of_a_long_one() -> None:
    references = {
        "A": SecretReference(secret="env:A", format="Bearer {}!"),
        "B": SecretReference(secret="env:B"),
        "C": SecretReference(secret="env:C"),
    }
    values = {"A": "Bearer abcdef!", "B": "line one\nline two", "C": "no"}
    assert hidden_values(references, values) == ("abcdef", "line one", "line one\nline two", "line two")


def test_longer_values_are_hidden_first() -> None:
    assert redact("x=secret-long y=secret", ["secret", "secret-long", ""]) == "x=*** y=***"
