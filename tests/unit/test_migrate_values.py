from __future__ import annotations

import pytest

from hatchlock.migrate.model import Secret, Table
from hatchlock.migrate.values import is_placeholder, parted, references, unparted

TOKEN = "abcdefgh12345678"


@pytest.mark.parametrize(
    ("value", "reference", "shown"),
    [
        ("${TOKEN}", "env:TOKEN", ""),
        ("${env:TOKEN}", "env:TOKEN", ""),
        ("$TOKEN", "env:TOKEN", ""),
        ("{env:TOKEN}", "env:TOKEN", ""),
        ("{file:/run/token}", "file:/run/token", ""),
        ("${input:token}", "", ""),
        ("${{ secrets.token }}", "", ""),
        ("Bearer ${{secrets.token}}", "", "Bearer {}"),
        ("${{ inputs.token }}", "", ""),
        ("Bearer ${TOKEN}", "env:TOKEN", "Bearer {}"),
        ("${TOKEN:-}", "env:TOKEN", ""),
        ("${A}:${B}", "env:K", ""),
    ],
)
def test_every_spelling_of_a_reference_is_one(value: str, reference: str, shown: str) -> None:
    literals, secrets = parted("env", {"K": value})
    assert literals == {}
    asked = "token" if any(word in value for word in ("input", "secrets")) else ""
    assert secrets == (Secret(table="env", key="K", reference=reference, format=shown, asked=asked),)


@pytest.mark.parametrize(
    ("table", "key", "value", "secret"),
    [
        ("env", "API_KEY", TOKEN, ("", TOKEN)),
        ("env", "ANYTHING", "ghp_" + "a" * 20, ("", "ghp_" + "a" * 20)),
        ("env", "API_KEY", "<YOUR_API_KEY>", ("", "")),
        ("env", "API_KEY", "your-api-key", ("", "")),
        ("env", "API_KEY", "YOUR_API_KEY_HERE", ("", "")),
        ("env", "API_KEY", "xxxx", ("", "")),
        ("env", "HEADERS", f'{{"Authorization": "Bearer {TOKEN}"}}', ("", f'{{"Authorization": "Bearer {TOKEN}"}}')),
        ("env", "HOOK", f"https://h.example/?api_key={TOKEN}", ("", f"https://h.example/?api_key={TOKEN}")),
        ("env", "SECRET", f'{{"type": "{TOKEN}"}}', ("", f'{{"type": "{TOKEN}"}}')),
        ("headers", "Authorization", f"Bearer {TOKEN}", ("Bearer {}", TOKEN)),
        ("headers", "Authorization", "Bearer <token>", ("Bearer {}", "")),
        ("headers", "X-API-Key", TOKEN, ("", TOKEN)),
    ],
)
def test_what_looks_like_a_secret_or_stands_for_one_is_one(
    table: Table, key: str, value: str, secret: tuple[str, str]
) -> None:
    literals, secrets = parted(table, {key: value})
    assert literals == {}
    assert [(item.format, item.value, item.reference) for item in secrets] == [(*secret, "")]


@pytest.mark.parametrize("value", ["info", "$()", "", "${LEVEL:-info}", "https://h.example", "a $5 bill", "$$", "100%"])
def test_the_rest_is_literal(value: str) -> None:
    literals, secrets = parted("env", {"LEVEL": value})
    assert secrets == ()
    assert literals == {"LEVEL": "info" if "info" in value else value}


@pytest.mark.parametrize(
    ("table", "key", "value", "why"),
    [
        ("env", "K", "${A}:${B}", "put together from several parts; set the variable K"),
        ("env", "LEVEL", "${L:-info}", "it has its default now, whatever the variable L says"),
        ("env", "API_KEY", f"${{K:-{TOKEN}}}", "the value that it has without the variable K is not kept"),
        ("env", "K", "${workspaceFolder}/x", "known to the application alone"),
        ("env", "K", "$(cat ~/token)", 'a command of a shell is run by nobody here: K = { secret = "command:PROGRAM'),
        ("headers", "X-K", "Bearer $(pass show it)", "a command of a shell is run by nobody here"),
        ("env", "a-b", "1", "no name of a variable"),
        ("env", "K", "a\0b", "NUL"),
        ("env", "K_TOKEN", "a\ud800b", "half of a character"),
        ("headers", "X-A", "", "a header cannot have that value"),
    ],
)
def test_what_is_not_as_it_was_is_said_without_the_value(table: Table, key: str, value: str, why: str) -> None:
    (left,) = unparted(table, {key: value, "FINE": "1"}, line=4)
    assert left.line == 4
    assert why in left.what
    assert TOKEN not in left.what


def test_what_only_looks_alike_is_neither() -> None:
    assert references("${workspaceFolder} $5 ${input:x}")[0].place == ""
    assert not is_placeholder(TOKEN)
    assert not is_placeholder("production")
    assert not is_placeholder("my-dog-ate-it")
