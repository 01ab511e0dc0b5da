"""What the lock has of pinned servers: people can read it, and it has the hashes that it says."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from hatchlock.lock.model import Lock
from hatchlock.lock.problems import BadPin
from hatchlock.lock.store import dumps, loads, loads_sides
from hatchlock.lock.surfaces import Definition, readable, surface_of
from hatchlock.surface import definition_hash, parse_strictly
from support.values import DEFINITIONS

TOOL = {"name": "get_time", "description": "Tells what's the time.\nAlways.", "inputSchema": {"type": "object"}}
OTHER = {
    "name": "zone",
    "description": "the user's \u202ezone\u202c '''",
    "inputSchema": {"minimum": 1.0, "maximum": 1e30},
}


def pinned(definition: Any) -> Definition:
    return Definition(name=definition["name"], sha256=definition_hash(definition), text=readable(definition))


SURFACE = surface_of(
    "time",
    artefact="a" * 64,
    protocol="2025-11-25",
    secrets=("TOKEN",),
    instructions='Say "please".\nThen \u202ewait\u202c.\\',
    tools=[pinned(OTHER), pinned(TOOL)],
    varying=("tool zone",),
)
LOCK = Lock(project="p", platforms=("linux/amd64",), surfaces=(SURFACE,))


def test_a_definition_is_readable_in_the_lock() -> None:
    text = dumps(LOCK)
    assert loads(text.encode()) == LOCK
    block = text[text.index("[[surface.tools]]") :].split("\n\n")[0]
    assert block.splitlines()[3:8] == [
        "text = '''",
        "{",
        '  "name": "get_time",',
        '  "description": "Tells what\'s the time.\\nAlways.",',
        '  "inputSchema": {',
    ]
    assert '"minimum": 1,' in text


def test_nothing_in_the_lock_turns_direction_or_is_invisible() -> None:
    text = dumps(LOCK)
    assert all(line.isprintable() for line in text.splitlines())
    assert "\\u202e" in text
    assert tomllib.loads(text)["surface"][0]["instructions"] == SURFACE.instructions


def test_a_lock_with_pins_is_of_a_newer_minor_version() -> None:
    assert "minor = 4\n" in dumps(LOCK)
    assert "minor" not in dumps(replace(LOCK, surfaces=()))


@given(DEFINITIONS)
def test_the_text_of_a_definition_has_its_hash(definition: dict[str, Any]) -> None:
    text = readable(definition)
    assert text.isascii()
    assert definition_hash(parse_strictly(text)) == definition_hash(definition)
    assert list(json.loads(text)) == list(definition)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Always.", "Never.", "the tool get_time pinned of time has a text with another hash than the one beside it"),
        ('"name": "get_time"', '"name": "get_tame"', "the tool get_time pinned of time is called get_tame in its text"),
        ('"name": "get_time",', "", "the tool get_time pinned of time has no hash: it has no name"),
        (
            '"name": "get_time",',
            '"name": "get_time", "name": "get_time",',
            "the tool get_time pinned of time has no hash: a member name is repeated",
        ),
        ("'''\n{", "'''\n", "the tool get_time pinned of time has a text that is no JSON"),
        (SURFACE.tools_sha256, "0" * 64, "the tools pinned of time are not those of tools-sha256"),
        ('"tool zone"', '"tool z\\u202e"', "the tool z\\u202e pinned of time is not there, and said to vary"),
        ("please", "thanks", "the text of the instructions pinned of time has another hash than the one beside it"),
    ],
)
def test_a_pin_that_was_changed_by_hand_is_refused(old: str, new: str, why: str) -> None:
    text = dumps(LOCK)
    assert old in text
    with pytest.raises(BadPin) as caught:
        loads(text.replace(old, new, 1).encode())
    assert caught.value.why == why
    assert "time" in caught.value.hint


def test_of_a_merge_that_mixed_pins_the_rest_is_read() -> None:
    text = dumps(LOCK).replace(SURFACE.tools_sha256, "0" * 64)
    conflict = text.replace('project = "p"\n', '<<<<<<< a\nproject = "p"\n=======\nproject = "q"\n>>>>>>> b\n')
    told: list[str] = []
    sides = loads_sides(conflict.encode(), warn=told.append)
    assert [(side.project, side.surfaces) for side in sides] == [("p", ()), ("q", ())]
    why = "the tools pinned of time are not those of tools-sha256"
    assert told == 2 * [f"what was pinned of time is left out, as a merge has mixed it: {why}"]
