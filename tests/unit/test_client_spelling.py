"""A secret is found in a file however it is spelled there, and spelled so again; no part of it is kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.clients.dialect import Dialect
from hatchlock.clients.edits import Edit, Taking, changed
from hatchlock.clients.json_object import JsonObject
from hatchlock.clients.kept_text import KeptText
from hatchlock.clients.originals import NO_ORIGINALS, Originals
from hatchlock.clients.spelling import is_form, spell, spelled
from hatchlock.clients.toml_tables import TomlTables
from hatchlock.clients.yaml_servers import YamlServers

TOKEN = "Zq81&Xw7<2>L'm/63\"Kp\\9é"
OURS = {"command": "/s/bin/hatchlock", "args": ["run", "--project", "p", "a"]}
SERVERS = JsonObject(("mcpServers",))
JSON = '{"mcpServers": {"a": {"command": "x", "env": {"API_TOKEN": %s}}}}\n'
WRITTEN = json.dumps(TOKEN, ensure_ascii=False)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (SERVERS, JSON % WRITTEN),
        (SERVERS, JSON % json.dumps(TOKEN)),
        (SERVERS, JSON % json.dumps(TOKEN).replace("\\u00e9", "\\u00E9")),
        (SERVERS, JSON % WRITTEN.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")),  # Go
        (SERVERS, JSON % WRITTEN.replace("/", "\\/")),  # PHP
        (SERVERS, JSON % WRITTEN.replace("Zq", "\\u005Aq")),
        (TomlTables("mcp_servers"), f"[mcp_servers.a]\nenv = {{API_TOKEN = {WRITTEN}}}\ncommand = 'x'\n"),
        (
            TomlTables("mcp_servers"),
            f"[mcp_servers.a]\ncommand = 'x'\n[mcp_servers.a.env]\nK = {WRITTEN.replace('Z', chr(92) + 'U0000005a')}\n",
        ),
        (
            YamlServers("extensions", name=""),
            f"extensions:\n  a:\n    cmd: x\n    envs: {{K: {WRITTEN.replace('Z', chr(92) + 'x5a')}}}\n",
        ),
        (
            YamlServers("extensions", name=""),
            f"extensions:\n  a:\n    cmd: x\n    envs: {{K: '{TOKEN.replace(chr(39), chr(39) * 2)}'}}\n",
        ),
    ],
)
def test_an_entry_comes_back_as_its_secret_was_spelled(dialect: Dialect, text: str) -> None:
    taken = _taken(dialect, text, TOKEN)
    assert "81" not in json.dumps(taken[1].to_dict())
    assert _back(dialect, *taken, TOKEN) == text


@pytest.mark.parametrize("token", ["81726354a", "hatchlock-81726354", "a", "args"])
def test_no_part_of_a_secret_is_kept_that_begins_or_ends_like_what_stands_there_now(token: str) -> None:
    dialect = YamlServers("extensions", name="")
    text = f"extensions:\n  a:\n    cmd: {token}\n    envs:\n      K_TOKEN: {token}\n"
    data, originals = _taken(dialect, text, token)
    assert "8172635" not in json.dumps(originals.to_dict())
    assert _back(dialect, data, originals, token) == text


def test_a_secret_that_was_written_across_lines_is_kept_as_its_value_alone() -> None:
    dialect, token = YamlServers("extensions", name=""), "first half 8172a second half 6354b"
    text = 'extensions:\n  a:\n    cmd: x\n    envs:\n      K_TOKEN: "first half 8172a\n        second half 6354b"\n'
    data, originals = _taken(dialect, text, token)
    assert "second half" not in json.dumps(originals.to_dict())
    back = _back(dialect, data, originals, token)
    assert {name: entry.value for name, entry in dialect.read(back.encode()).items()} == {
        "a": {"cmd": "x", "envs": {"K_TOKEN": token}}
    }


@pytest.mark.parametrize("later", ['new "quoted\\ one', "", "two\nlines"])
@pytest.mark.parametrize("written", ['"81726354"', "81726354"])
def test_a_secret_that_has_another_value_by_now_comes_back_with_it(later: str, written: str) -> None:
    data, originals = _taken(SERVERS, JSON % written, "81726354")
    assert "81726354" not in json.dumps(originals.to_dict())
    back = SERVERS.read(_back(SERVERS, data, originals, later).encode())["a"]
    assert back.value == {"command": "x", "env": {"API_TOKEN": later}}


def _taken(dialect: Dialect, text: str, token: str) -> tuple[bytes, Originals]:
    change = changed(
        text.encode(),
        Edit(name="a", value=OURS, taking=Taking(by="a", secrets=("s",))),
        NO_ORIGINALS,
        dialect=dialect,
        is_first=False,
        path="f",
        secrets=lambda names: dict.fromkeys(names, token),
    )
    assert change.data is not None
    return change.data, Originals.from_dict(json.loads(json.dumps(change.originals.to_dict())))


def _back(dialect: Dialect, data: bytes, originals: Originals, token: str) -> str:
    change = changed(
        data,
        Edit(name="a", value=None),
        originals,
        dialect=dialect,
        is_first=False,
        path="f",
        secrets=lambda names: dict.fromkeys(names, token),
    )
    assert change.data is not None
    return change.data.decode()


@given(st.text(min_size=1, max_size=30), st.sampled_from([json.dumps, lambda text: text.replace("'", "''"), repr]))
def test_a_spelling_says_nothing_of_the_text_and_gives_it_again(text: str, write: object) -> None:
    assert callable(write)
    within = f"a {write(text)} b"
    for begin, end, form in spelled(text, within):
        assert is_form(form)
        assert spell(text, form) == within[begin:end]
    kept = KeptText.of(within, {"s": text})
    assert kept.whole({"s": text}) == within
