"""`try --header`: a reference, and never the value, which process lists would show."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from hatchlock.cli.headers import header_arguments, with_headers
from hatchlock.errors import UsageError

FAR = {"url": "https://mcp.example/mcp"}


def given(*words: str, fields: dict[str, Any] = FAR) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    header_arguments(parser)
    options = [part for word in words for part in ("--header", word)]
    return with_headers(fields, parser.parse_args(options))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization=Bearer env:TOKEN", {"secret": "env:TOKEN", "format": "Bearer {}"}),
        ("X-Key=keyring:acme-token", {"secret": "keyring:acme-token"}),
        ("X-Key=file:./key", {"secret": "file:./key"}),
        ("X-Key=command:pass show acme", {"secret": "command:pass show acme"}),
        ("X-Key=Token command:pass show acme", {"secret": "command:pass show acme", "format": "Token {}"}),
    ],
)
def test_a_reference_with_a_word_before_it(text: str, secret: dict[str, str]) -> None:
    assert given(text) == {**FAR, "headers": {text.partition("=")[0]: secret}}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter2",
        "Authorization=Bearer hunter2",
        "Authorization=hunter2",
        "Authorization=hunter2 or more env:TOKEN",
        "Authorization=hunter2-is-no-word env:TOKEN",
        "Authorization=env:",
        "=env:hunter2",
        "hunter2",
    ],
)
def test_anything_else_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        given(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert "env:TOKEN" in caught.value.hint


def test_none_is_given_twice_and_what_an_entry_says_is_replaced() -> None:
    with pytest.raises(UsageError, match="twice"):
        given("X-Key=env:A", "x-key=env:B")
    fields = {**FAR, "headers": {"X-Team": "blue", "x-key": "old"}}
    assert given("X-Key=env:A", fields=fields)["headers"] == {"X-Team": "blue", "X-Key": {"secret": "env:A"}}
    assert given(fields=fields) is fields


def test_a_server_that_runs_here_has_none() -> None:
    with pytest.raises(UsageError, match="at an address"):
        given("X-Key=env:A", fields={"source": "pypi:x"})
