"""`mcp-pin.lock`: what is written is read again, and every hash in it counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hatchlock.lock.mcp_pin import BadPinFile, PinnedPackage, read_mcp_pin, render_mcp_pin
from hatchlock.lock.model import Lock
from hatchlock.lock.surfaces import Definition, readable, surface_of
from hatchlock.surface import definition_hash, instructions_hash


def definition(name: str) -> Definition:
    value = {"name": name, "inputSchema": {"minimum": 0.5, "maximum": 3}}
    return Definition(name=name, sha256=definition_hash(value), text=readable(value))


SURFACE = surface_of(
    "time", artefact="a" * 64, instructions="Ask.\n", tools=[definition("get"), definition("put")], prompts=[]
)
LOCK = Lock(project="p", platforms=(), surfaces=(SURFACE,))
TEXT = render_mcp_pin(LOCK)
TORN = {"instructions": "a\ud83d", "instructionsHash": instructions_hash("a\ud83d")}


def test_what_is_pinned_is_read_back() -> None:
    (server,) = read_mcp_pin(TEXT.encode(), file="f")
    assert (server.name, server.tools, server.prompts) == ("time", SURFACE.tools, SURFACE.prompts)
    assert (server.instructions, server.package) == ("Ask.\n", None)


def test_it_is_a_file_of_version_1_whose_servers_are_started_by_run() -> None:
    document = json.loads(TEXT)
    assert document["lockfileVersion"] == 1
    entry = document["servers"]["time"]
    # of "hatchlock run time": what mcp-pin looks for when it is given no name
    assert entry["id"] == "ff3a323833a19641"
    assert "package" not in entry
    assert entry["tools"][0]["definition"]["inputSchema"]["maximum"] == 3


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(TEXT)
    change(document["servers"]["time"])
    return json.dumps(document).encode()


def test_what_is_not_recorded_is_not_taken_for_empty() -> None:
    (server,) = read_mcp_pin(changed(lambda entry: (entry.pop("prompts"), entry.pop("promptsHash"))), file="f")
    assert server.prompts is None


def test_the_package_that_was_approved_is_read() -> None:
    package = {"ecosystem": "npm", "name": "x", "requested": "", "version": "1.2.3", "integrity": "sha512-…"}
    (server,) = read_mcp_pin(changed(lambda entry: entry.update(package=package)), file="f")
    assert server.package == PinnedPackage(ecosystem="npm", name="x", version="1.2.3")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[]", "it is no mcp-pin.lock"),
        (b"\xff", "it is no mcp-pin.lock"),
        (b'{"lockfileVersion": 1, "servers": []}', "servers is no object"),
        (b'{"lockfileVersion": 2, "servers": {}}', "it is of version 2.0, and known is 1"),
        (
            TEXT.replace('"lockfileVersion": 1', '"lockfileVersion": 1, "about": ""').encode(),
            "a member name is repeated",
        ),
        (changed(lambda e: e.update(instructions="Tell.")), "the hash of the instructions of server time"),
        (changed(lambda e: e.update(setHash="0" * 64)), "the hash of the tools of server time"),
        (changed(lambda e: e["tools"].pop()), "the hash of the tools of server time"),
        (changed(lambda e: e["tools"][0]["definition"].update(title="x")), "the hash of the tool get of server time"),
        (changed(lambda e: e["tools"][0].update(name="put")), "a tool of server time has two names"),
        (changed(lambda e: e["tools"].append(e["tools"][0])), "a tool of server time has two names"),
        (changed(lambda e: e.update(TORN)), "a\\ud83d of server time has half a character in it"),
        (changed(lambda e: e.pop("tools")), "it is no mcp-pin.lock"),
    ],
)
def test_a_file_that_does_not_hold_together_is_refused_whole(data: bytes, why: str) -> None:
    with pytest.raises(BadPinFile) as caught:
        read_mcp_pin(data, file="f")
    assert caught.value.why.startswith(why)
    assert caught.value.hint
