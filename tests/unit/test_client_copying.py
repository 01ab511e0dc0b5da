"""One application's entry in another one's form: what goes along, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.copying import Copy, NotCopied, copied
from hatchlock.clients.shape import Address, Start

START = Start(command="npx", args=("-y", "thing"), env={"A": "b"})


def copy(value: Any, source: str, target: str) -> Copy | NotCopied:
    return copied(value, CLIENTS[source], CLIENTS[target])


@pytest.mark.parametrize("source", CLIENTS)
def test_what_is_started_means_the_same_in_every_other_application(source: str) -> None:
    for target in CLIENTS:
        found = copy(CLIENTS[source].shape.written(START), source, target)
        assert isinstance(found, Copy)
        assert CLIENTS[target].shape.read(found.value) == START
        assert found.left == ()


@pytest.mark.parametrize("target", CLIENTS)
def test_an_address_is_carried_over_or_refused_by_name(target: str) -> None:
    server = Address(url="https://mcp.example.com/mcp", headers={"X": "y"})
    found = copy(CLIENTS["cursor"].shape.written(server), "cursor", target)
    if CLIENTS[target].shape.http is None:
        assert isinstance(found, NotCopied)
        assert "streamable HTTP" in found.why
        assert CLIENTS[target].title in found.why
    else:
        assert isinstance(found, Copy)
        assert CLIENTS[target].shape.read(found.value) == server


def test_what_is_not_carried_over_is_named() -> None:
    entry = {
        "type": "stdio",
        "command": "npx",
        "args": ["thing"],
        "env": {"A": "b", "PORT": 80},
        "autoApprove": ["x"],
        "alwaysLoad": True,
    }
    found = copy(entry, "claude-code", "codex")
    assert isinstance(found, Copy)
    assert found.value == {"command": "npx", "args": ["thing"], "env": {"A": "b"}}
    assert found.left == ("env.PORT", "autoApprove", "alwaysLoad")


def test_the_same_application_keeps_every_field() -> None:
    entry = {"command": "npx", "env": {"PORT": 80}, "anything": [1]}
    assert copy(entry, "cursor", "cursor") == Copy(value=entry)


@pytest.mark.parametrize(
    ("switch", "copies"), [({"disabled": True}, False), ({"enabled": False}, False), ({"disabled": False}, True)]
)
def test_what_is_switched_off_is_not_copied_into_where_it_would_be_on(switch: dict[str, bool], copies: bool) -> None:
    found = copy({"command": "npx", **switch}, "cursor", "codex")
    assert isinstance(found, Copy) is copies
    assert not isinstance(found, Copy) or found.left == ()


def test_what_only_one_application_can_ask_for_is_refused() -> None:
    entry = {"type": "stdio", "command": "npx", "env": {"TOKEN": "${input:token}"}}
    found = copy(entry, "vscode", "cursor")
    assert isinstance(found, NotCopied)
    assert "asks for a value" in found.why


def test_a_reference_that_each_application_writes_in_its_own_way_is_told() -> None:
    found = copy({"command": "npx", "env": {"TOKEN": "${env:TOKEN}"}}, "cursor", "codex")
    assert isinstance(found, Copy)
    assert found.notes == ("what it refers to by name is looked for in another way there",)


@pytest.mark.parametrize("entry", ["text", {}, {"enabled": True}, {"command": 3}])
def test_what_is_no_server_is_not_copied(entry: object) -> None:
    assert isinstance(copy(entry, "cursor", "codex"), NotCopied)


def test_a_copy_never_shows_its_value() -> None:
    found = copy({"command": "npx", "env": {"TOKEN": "hunter2"}}, "cursor", "codex")
    assert "hunter2" not in repr(found)


def test_headers_in_a_table_of_their_own_are_carried_over_and_its_other_members_are_named() -> None:
    entry = {
        "type": "streamable-http",
        "url": "https://x.example",
        "requestOptions": {"headers": {"X": "y"}, "timeout": 5},
    }
    found = copy(entry, "continue", "mistral-vibe")
    assert isinstance(found, Copy)
    assert found.value["auth"] == {"type": "static", "headers": {"X": "y"}}
    assert found.left == ("requestOptions.timeout",)
