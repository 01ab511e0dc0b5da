"""What is put aside of an entry holds no secret, and is called exact only if it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.put_aside import First, Taken
from hatchlock.clients.reversal import kept, put_back

DIALECT = JsonObject(("mcpServers",))
OURS = {"command": "/s/bin/hatchlock", "args": ["run", "--project", "p", "a"]}
TOKEN = "ghp_0123456789abcdef0123"


def file(entry: str) -> bytes:
    return f'{{"mcpServers": {{"a": {entry}}}}}\n'.encode()


def replaced(before: bytes) -> tuple[bytes, Taken | None]:
    after = DIALECT.set(before, "a", OURS)
    return after, kept(before, after, "a", by="a", is_replaced=True, dialect=DIALECT, secrets={})


def given_back(data: bytes, taken: Taken) -> Any:
    first = First(name="a", value=OURS)
    return put_back(data, taken, "a", first, dialect=DIALECT, secrets={})


def test_what_was_laid_out_anew_is_not_called_exact() -> None:
    before = file('{"command": "npx", "args": ["gh"]}')
    after, taken = replaced(before)
    assert taken is not None
    found = given_back(after, taken)
    assert (found.data, found.how) == (before, "exact")
    spread = after.replace(b'{"command"', b'{ "command"')  # where both texts begin alike, so the range still fits
    assert spread != after
    found = given_back(spread, taken)
    assert found.how == "value"
    assert DIALECT.read(found.data)["a"].value == DIALECT.read(before)["a"].value


@pytest.mark.parametrize(
    "entry",
    [
        json.dumps({"command": "npx", "env": {"T": TOKEN}}),
        f'{{"command": "npx" /* {TOKEN} */}}',
    ],
    ids=["value", "comment"],
)
def test_a_secret_that_nothing_keeps_is_not_put_aside(entry: str) -> None:
    assert replaced(file(entry))[1] is None


def test_nor_is_one_in_the_value_where_no_range_of_the_text_is_kept() -> None:
    data = file(json.dumps({"command": "npx", "env": {"T": TOKEN}}))
    assert kept(data, data, "a", by="b", is_replaced=False, dialect=DIALECT, secrets={}) is None
