from __future__ import annotations

import tomllib

import pytest

from hatchlock.manifest.edit import ServerExists, UnknownServer, add_server, new_manifest, remove_server
from hatchlock.manifest.load import loads

BEFORE = """\
# The project   (odd   spacing stays)
[project]
name   =   'p'          # quoted so

# clock
[servers.time]          # the clock
source = "pypi:mcp-server-time~=2026.1"
# inside

[servers.time.env]
TZ = "UTC"

# --- images ---

# from the vendor
[servers.github]
source = "oci:example.com/github:1"
sandbox = { pids = 5 }

# applications
[clients.cursor]
scope = "project"
"""

WITHOUT_TIME = """\
# The project   (odd   spacing stays)
[project]
name   =   'p'          # quoted so

# --- images ---

# from the vendor
[servers.github]
source = "oci:example.com/github:1"
sandbox = { pids = 5 }

# applications
[clients.cursor]
scope = "project"
"""

FIELDS = {
    "source": "pypi:x~=1.0",
    "args": ["--a", 'quote " and \\ and ü'],
    "startup-timeout": 5,
    "env": {"A": "b", "S": {"secret": "env:S"}},
    "sandbox": {"mounts": [{"source": "/a", "target": "/b"}], "reason": "r"},
}


def test_a_new_manifest_is_valid_and_has_no_warnings() -> None:
    loaded = loads(new_manifest("acme", ["linux/amd64", "darwin/arm64"]), shown="m")

    assert loaded.warnings == ()
    assert loaded.manifest.project.name == "acme"
    assert loaded.manifest.project.platforms == ("darwin/arm64", "linux/amd64")


def test_a_server_is_added_after_the_last_one_and_nothing_else_changes() -> None:
    after = add_server(BEFORE, "new", {"source": "pypi:x~=1.0", "env": {"A": "b"}})

    added = '[servers.new]\nsource = "pypi:x~=1.0"\n\n[servers.new.env]\nA = "b"\n\n'
    assert after == BEFORE.replace("# applications\n", added + "# applications\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\nname = 'p'\n",
        "[project]\nname = 'p'",
        "servers = {}\n[project]\nname = 'p'\n",
        "servers = { a = { command = 'x' } } # one line\n",
        "servers.a.command = 'x'\n[project]\nname = 'p'\n",
        "[servers]\na.command = 'x'\n\n[project]\nname = 'p'\n",
        "[servers.a]\r\ncommand = 'x'\r\n\r\n[project]\r\nname = 'p'\r\n",
        BEFORE,
    ],
)
def test_what_is_added_is_what_was_asked_for_wherever_servers_stand(text: str) -> None:
    after = add_server(text, "new", FIELDS)

    before = tomllib.loads(text)
    assert tomllib.loads(after) == {**before, "servers": {**before.get("servers", {}), "new": FIELDS}}
    assert [line for line in text.splitlines() if "servers =" not in line and line not in after.splitlines()] == []


@pytest.mark.parametrize("text", ["[project]\nname = 'p'\n", BEFORE, BEFORE.replace("\n", "\r\n")])
def test_adding_and_removing_gives_the_same_bytes(text: str) -> None:
    assert remove_server(add_server(text, "new", FIELDS), "new") == text


def test_a_name_that_exists_is_refused() -> None:
    with pytest.raises(ServerExists, match="already has a server 'time'"):
        add_server(BEFORE, "time", FIELDS)


def test_a_server_goes_with_its_sub_tables_and_its_own_comments_only() -> None:
    assert remove_server(BEFORE, "time") == WITHOUT_TIME


def test_the_last_server_leaves_no_blank_lines_at_the_end() -> None:
    text = "[project]\nname = 'p'\n\n[servers.a]\ncommand = 'x'\n"

    assert remove_server(text, "a") == "[project]\nname = 'p'\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "servers.a.command = 'x'\nservers.b.command = 'y' # stays\nservers.a.env.X = '1'\n",
            "servers.b.command = 'y' # stays\n",
        ),
        (
            "[servers]\n# of a\na.command = [\n  'x',\n]\nb.command = 'y'\n[servers.a.env]\nX = '1'\n",
            "[servers]\nb.command = 'y'\n",
        ),
        ("[servers]\na = { command = 'x' }\nb = { command = 'y' }\n", "[servers]\nb = { command = 'y' }\n"),
        ("[servers.'a']\ncommand = 'x'\n[servers.ab]\ncommand = 'y'\n", "[servers.ab]\ncommand = 'y'\n"),
        (
            "[servers.a]\ncommand = 'x'\n[servers.b]\ncommand = 'y'\n[servers.a.sandbox]\npids = 1\n",
            "[servers.b]\ncommand = 'y'\n",
        ),
        (
            '[servers.a]\ncommand = """\n[servers.b]\n"""\n\n\n[servers.b]\ncommand = \'y\'\n',
            "[servers.b]\ncommand = 'y'\n",
        ),
    ],
)
def test_a_server_is_removed_in_whatever_form_it_is_written(text: str, expected: str) -> None:
    assert remove_server(text, "a") == expected


def test_a_server_in_an_inline_table_of_several_is_removed() -> None:
    after = remove_server("servers = { a = { command = 'x' }, b = { command = 'y' } } # both\n", "a")

    assert tomllib.loads(after) == {"servers": {"b": {"command": "y"}}}
    assert after.endswith("# both\n")


def test_an_unknown_server_is_refused_with_the_closest_name() -> None:
    with pytest.raises(UnknownServer) as caught:
        remove_server(BEFORE, "tme")

    assert caught.value.hint == "did you mean 'time'?"


def test_a_manifest_whose_servers_are_no_table_has_no_server_to_remove() -> None:
    with pytest.raises(UnknownServer):
        remove_server("servers = 3\n", "x")
