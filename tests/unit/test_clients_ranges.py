"""Which ranges of a file are kept, and where they are found again."""

from __future__ import annotations

import json

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.kept_text import is_suspect
from hatchlock.clients.put_aside import First, Taken
from hatchlock.clients.reversal import kept, made_place, put_back, without_place

JSON = CLIENTS["cursor"].dialect
TOML = CLIENTS["codex"].dialect
OURS = {"command": "hatchlock", "args": ["run", "x"]}
FIRST = First(name="x", value=OURS)


def replaced(before: bytes, name: str, dialect: object = JSON) -> tuple[bytes, Taken]:
    assert dialect in (JSON, TOML)
    chosen = JSON if dialect is JSON else TOML
    after = chosen.rename(before, name, "x", OURS)
    taken = kept(before, after, name, by="x", is_replaced=True, dialect=chosen, secrets={})
    assert taken is not None
    return after, taken


def text_of(taken: Taken) -> str:
    return "".join(hunk.old.shown + hunk.new for hunk in taken.hunks)


def test_nothing_of_other_entries_is_kept() -> None:
    before = b'{"mcpServers": {"a": {"command": "a"}, "other": {"command": "tok"}, "a": {"command": "b"}, "z": {}}}'
    after, taken = replaced(before, "a")
    assert "other" not in text_of(taken)
    assert "tok" not in json.dumps([hunk.old.to_list() for hunk in taken.hunks])
    back = put_back(after, taken, "x", FIRST, dialect=JSON, secrets={})
    assert (back.how, back.data) == ("exact", before)


def test_tables_that_are_apart_are_several_ranges() -> None:
    before = b'[mcp_servers.a]\ncommand = "a"\n\n[mcp_servers.other]\ncommand = "tok"\n\n[mcp_servers.a.env]\nX = "y"\n\n[z]\n'
    after, taken = replaced(before, "a", TOML)
    assert len(taken.hunks) > 1
    assert "tok" not in text_of(taken)
    grown = after.replace(b'"tok"', b'"tok"\nargs = ["more"]')
    back = put_back(grown, taken, "x", FIRST, dialect=TOML, secrets={})
    assert (back.how, back.data) == ("exact", before.replace(b'"tok"', b'"tok"\nargs = ["more"]'))


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_lines_that_begin_alike_are_told_apart(name: str) -> None:
    before = b'[mcp_servers.a]\ncommand = "a"\n\n[mcp_servers.b]\ncommand = "b"\n\n[mcp_servers.c]\ncommand = "c"\n'
    after = TOML.remove(before, name)
    taken = kept(before, after, name, by="x", is_replaced=False, dialect=TOML, secrets={})
    assert taken is not None
    assert taken.hunks
    others = {"a", "b", "c"} - {name}
    assert not any(f'"{other}"' in text_of(taken) or f"servers.{other}" in text_of(taken) for other in others)
    back = put_back(after, taken, None, FIRST, dialect=TOML, secrets={})
    assert (back.how, back.data) == ("exact", before)


def test_the_same_text_elsewhere_is_not_taken_for_it() -> None:
    before = b'{"mcpServers": {"a": {"command": "a", "args": [ ]}}, "note": "?"}'
    after, taken = replaced(before, "a")
    start = after.index(b'"x"')
    copy = after[start : after.index(b"}", start) + 1]
    elsewhere = b"/* " + copy + b" */ " + after
    back = put_back(elsewhere, taken, "x", FIRST, dialect=JSON, secrets={})
    assert (back.how, back.data) == ("exact", b"/* " + copy + b" */ " + before)


def test_an_entry_that_was_removed_finds_its_neighbour() -> None:
    before = b'{"mcpServers": {"a": {},\n "b": {"command" : "b"},\n "c": {}}}'
    after = JSON.remove(before, "b")
    taken = kept(before, after, "b", by="x", is_replaced=False, dialect=JSON, secrets={})
    assert taken is not None
    assert taken.neighbour
    assert taken.neighbour[0] == "a"
    moved = b"// more\n" + after.replace(b'"c"', b'"n": {}, "c"')
    back = put_back(moved, taken, None, FIRST, dialect=JSON, secrets={})
    assert back.how == "exact"
    assert back.data == b"// more\n" + before.replace(b'"c"', b'"n": {}, "c"')


def test_the_same_entry_again_is_nothing_to_put_back() -> None:
    before = b'{"mcpServers": {"a": {"command": "a"}}}'
    after, taken = replaced(before, "a")
    again = JSON.set(after, "a", {"command": "a"})
    back = put_back(again, taken, "x", FIRST, dialect=JSON, secrets={})
    assert (back.how, list(JSON.read(back.data))) == ("exact", ["a"])


def test_blanks_come_back_into_the_place_and_into_nothing_else() -> None:
    before = b'{"x": {   }, "mcpServers": {\n  }, "y": { }}'
    one = JSON.set(before, "a", OURS)
    place = made_place(before, one, "a", dialect=JSON)
    assert place is not None
    left = JSON.remove(JSON.remove(JSON.set(one, "b", OURS), "a"), "b")
    assert left != before
    assert without_place(left, place, dialect=JSON) == before


def test_a_place_that_got_a_neighbour_goes_all_the_same() -> None:
    before = b'{\n  "theme": "dark"\n}\n'
    one = JSON.set(before, "a", OURS)
    place = made_place(before, one, "a", dialect=JSON)
    assert place is not None
    left = JSON.remove(one, "a").replace(b'"mcpServers": {}', b'"mcpServers": {},\n  "more": 1')
    assert without_place(left, place, dialect=JSON) == b'{\n  "theme": "dark",\n  "more": 1\n}\n'


def test_the_same_words_in_a_comment_are_no_place() -> None:
    before = b'{\n  "theme": "dark"\n}\n'
    one = JSON.set(before, "a", OURS)
    place = made_place(before, one, "a", dialect=JSON)
    assert place is not None
    comment = b'/*,\n  "mcpServers": {}*/ '
    left = comment + JSON.remove(one, "a")
    assert without_place(left, place, dialect=JSON) == comment + before


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ('{"command": "x"}', {"command": "x"}, False),
        ('{"env": {"API_KEY": "${SECRET}"}}', {"env": {"API_KEY": "${SECRET}"}}, False),
        ('{"env": {"API_KEY": "abc1"}}', {"env": {"API_KEY": "abc1"}}, True),
        ('{"env": {"API_KEY": "${input:key}"}}', {"env": {"API_KEY": "${input:key}"}}, False),
        ('{"headers": {"Authorization": "Bearer ${env:T}"}}', {"headers": {"Authorization": "Bearer ${env:T}"}}, False),
        ('{"headers": {"Authorization": "Bearer abc"}}', {"headers": {"Authorization": "Bearer abc"}}, True),
        ('{"args": ["--token", "abc1"]}', {"args": ["--token", "abc1"]}, True),
        ('{"args": ["--token=${SECRET}"]}', {"args": ["--token=${SECRET}"]}, False),
        ('{"description": "how auth: works"}', {"description": "how auth: works"}, False),
        ('{"command": "x"} // my token: abc1', {"command": "x"}, True),
        ('{"command": "x"} // was ghp_0123456789abcdef0123', {"command": "x"}, True),
        ("command = 'x'  # password = 'abc1'", {"command": "x"}, True),
        ("o:\n  headers:\n    Authorization: Bearer ${SECRET}\n", {"Authorization": "Bearer ${SECRET}"}, False),
        ("Authorization: Bearer ${{ secrets.T }}\n", {"Authorization": "Bearer ${{ secrets.T }}"}, False),
        ("API_KEY: ${{ secrets.T }}\n", {"API_KEY": "${{ secrets.T }}"}, False),
        ("# Authorization: Bearer abc1\ncommand: x\n", {"command": "x"}, True),
    ],
)
def test_what_looks_like_a_secret_is_seen_in_values_and_comments(text: str, value: object, expected: bool) -> None:
    assert is_suspect(text, value) is expected


def test_a_place_that_somebody_uses_stays() -> None:
    before = b"{}"
    one = JSON.set(before, "a", OURS)
    place = made_place(before, one, "a", dialect=JSON)
    assert place is not None
    theirs = JSON.remove(JSON.set(one, "theirs", OURS), "a")
    assert without_place(theirs, place, dialect=JSON) == theirs


def test_of_several_places_that_would_do_it_is_the_one_between_the_same_texts() -> None:
    before = b'{"theme": 1, "mcpServers": {/* c */ /* d */"b": {"command": "b"},/* e */"c": {}}}'
    after = JSON.remove(before, "b")
    taken = kept(before, after, "b", by="x", is_replaced=False, dialect=JSON, secrets={})
    assert taken is not None
    for theme in (b"10", b"100000000", b"[1, 2]", b'"long, longer, longest"'):
        changed = after.replace(b"1", theme, 1)
        back = put_back(changed, taken, None, FIRST, dialect=JSON, secrets={})
        assert (back.how, back.data) == ("exact", before.replace(b"1", theme, 1))
