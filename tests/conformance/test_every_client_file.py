"""Every configuration file that we have of any application: entries of ours come, change and go, and it is as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.file_text import Unparsable
from hatchlock.clients.kept_text import is_suspect
from hatchlock.clients.put_aside import First
from hatchlock.clients.reversal import kept, put_back
from support.client_desk import Desk, plan

FIXTURES = Path(__file__).parents[2] / "fixtures" / "clients"
WHOSE = {
    **{name: name for name in ("vscode", "gemini", "zed", "amp", "crush", "windsurf", "jetbrains-copilot", "cline")},
    "codex": "codex",
    "vibe": "mistral-vibe",
    "goose": "goose",
    "continue": "continue",
    "toml": "codex",
    "yaml": "goose",
    "opencode1": "opencode",
    "opencode2": "opencode-v2",
}
"""The directories of the corpus that have a dialect of their own; the others are as Cursor has them."""
TIED = {"anchors-elsewhere.yaml", "anchors.yaml"}
"""Files with entries that are tied to others, and are refused."""


@pytest.fixture(autouse=True)
def _nothing_is_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What survives a power cut is shown elsewhere, and a thousand flushes take longer than all the rest."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def files(*, broken: bool) -> list[Path]:
    found = [path for path in FIXTURES.rglob("*") if path.suffix in {".json", ".jsonc", ".toml", ".yaml"}]
    return sorted(path for path in found if ("broken" in path.parts) == broken)


def each(*, broken: bool) -> pytest.MarkDecorator:
    chosen = files(broken=broken)
    return pytest.mark.parametrize("path", chosen, ids=[str(path.relative_to(FIXTURES)) for path in chosen])


def client_of(path: Path) -> str:
    return next((WHOSE[part] for part in reversed(path.relative_to(FIXTURES).parts) if part in WHOSE), "cursor")


def others(desk: Desk, *names: str) -> dict[str, tuple[Any, bytes]]:
    """Return the text of each entry that is not ours."""
    data = desk.path.read_bytes()
    found = desk.client.dialect.read(data)
    return {name: (item.value, data[slice(*item.span)]) for name, item in found.items() if name not in names}


def test_there_are_enough_of_all_dialects() -> None:
    assert len(files(broken=False)) >= 60
    assert len({client_of(path) for path in files(broken=False)}) == len(set(WHOSE.values())) + 1


@each(broken=False)
def test_entries_of_ours_come_change_and_go(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    desk = Desk(tmp_path, before, client_of(path))
    theirs = others(desk)
    desk.apply("ours", "two")
    assert others(desk, "ours", "two") == theirs
    desk.apply("ours", "two", more={"timeout": 7, "env": {"A": "b"}})
    assert others(desk, "ours", "two") == theirs
    desk.apply("renamed", "two", moved={"ours": "renamed"})
    assert others(desk, "renamed", "two") == theirs
    desk.apply("two")
    assert others(desk, "two") == theirs
    desk.apply()
    assert desk.path.read_bytes() == before
    assert (desk.kept, desk.told) == ("", [])


@each(broken=False)
def test_an_entry_that_was_read_is_replaced_and_comes_back(path: Path, tmp_path: Path) -> None:
    replace_and_return(path, tmp_path, most=1)


@pytest.mark.full
@each(broken=False)
def test_every_entry_that_was_read_is_replaced_and_comes_back(path: Path, tmp_path: Path) -> None:
    replace_and_return(path, tmp_path, most=99)


def replace_and_return(path: Path, tmp_path: Path, *, most: int) -> None:
    before = path.read_bytes()
    for number, name in enumerate(Desk(tmp_path / "first", before, client_of(path)).names()[:most]):
        desk = Desk(tmp_path / str(number), before, client_of(path))
        value, text = others(desk)[name]
        if path.name in TIED or is_suspect(text.decode(), value):
            continue
        server = f"server-{number}" if number % 2 else name
        theirs = {other: item for other, item in others(desk).items() if other != name}
        records = (desk.imported(name, server),)
        desk.apply(server, imported=records)
        assert others(desk, server) == theirs
        desk.apply(server, "beside", imported=records, more={"env": {"A": "b"}})
        desk.apply(server, imported=records)
        desk.apply(imported=records)
        assert desk.path.read_bytes() == before or (others(desk)[name][0] == value and desk.told)
        if not desk.told:
            assert desk.kept == ""
        assert desk.told == []


@each(broken=False)
def test_an_entry_that_was_taken_out_comes_back(path: Path) -> None:
    dialect, before = CLIENTS[client_of(path)].dialect, path.read_bytes()
    entries = dialect.read(before)
    for name in entries if path.name not in TIED else ():
        after = dialect.remove(before, name)
        taken = kept(before, after, name, by="ours", is_replaced=False, dialect=dialect, secrets={})
        if taken is None:
            continue
        texts = [hunk.old.shown for hunk in taken.hunks]
        spans = {other: before[slice(*item.span)].decode() for other, item in entries.items() if other != name}
        assert not any(len(text) > 4 and text in hunk for text in spans.values() for hunk in texts)
        back = put_back(after, taken, None, First(name="ours", value={}), dialect=dialect, secrets={})
        assert (back.how, back.data) == ("exact", before)


@each(broken=True)
def test_a_broken_file_is_left_alone(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    desk = Desk(tmp_path, before, client_of(path))
    found = desk.resource("ours")
    made = plan(found)
    assert (made.steps, [item.code for item in made.problems]) == ((), ["unparsable-client-file"])
    with pytest.raises(Unparsable):
        desk.client.dialect.set(before, "ours", {"command": "x"})
    assert desk.path.read_bytes() == before


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_file_that_is_made_for_us_goes_with_us(client: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, None, client)
    desk.apply("a")
    desk.apply("a", "b")
    desk.apply("b")
    desk.apply()
    assert [item.name for item in tmp_path.iterdir()] == ["store"]
