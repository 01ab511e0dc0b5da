"""How entries stand to what is declared: every case as values."""

from __future__ import annotations

import pytest

from hatchlock.clients.owners import Mark, mark_of
from hatchlock.clients.shape import Address, Start
from hatchlock.clients.states import ENTRY_STATES, Owner, declared_standing, replaced_standing, undeclared_standing


@pytest.mark.parametrize(
    ("found", "owner", "state"),
    [
        (None, "nobody", "missing"),
        ("wanted", "this project", "in-sync"),
        ("left", "this project", "changed"),
        ("edited", "this project", "drifted"),
        ("left", "nobody", "foreign"),
        ("wanted", "another project", "other-project"),
    ],
)
def test_what_is_declared(found: str | None, owner: Owner, state: str) -> None:
    assert declared_standing(found, "wanted", owner=owner, left=["left"]).state == state


def test_an_entry_that_starts_nothing_yet_is_not_in_sync() -> None:
    dead = declared_standing("x", "x", owner="this project", left=["x"], starts_something=False)
    assert (dead.state, "`apply` does that" in dead.detail) == ("changed", True)


def test_undoing_an_edit_takes_that_consent() -> None:
    assert "--allow-destructive" in declared_standing("y", "x", owner="this project", left=["x"]).detail


def test_an_entry_that_was_imported_is_told_from_one_that_is_in_the_way() -> None:
    imported = declared_standing("x", "y", owner="nobody", left=(), is_imported=True)
    other = declared_standing("x", "y", owner="nobody", left=())
    assert imported.state == other.state == "foreign"
    assert "was imported" in imported.detail
    assert "left alone" in other.detail


@pytest.mark.parametrize(
    ("owner", "gone", "state"),
    [
        ("nobody", "", "foreign"),
        ("nobody", "the store is gone", "foreign"),
        ("this project", "", "changed"),
        ("this project", "it has no such server", "orphaned"),
        ("another project", "", "other-project"),
        ("another project", "the store is gone", "orphaned"),
    ],
)
def test_what_is_not_declared(owner: Owner, gone: str, state: str) -> None:
    assert undeclared_standing(owner=owner, gone=gone).state == state


def test_an_entry_that_becomes_one_of_another_name_says_so() -> None:
    renamed = replaced_standing(owner="nobody", by="time-cursor")
    assert renamed.state == "foreign"
    assert renamed.detail == "it was imported: `apply` puts this project's time-cursor into its place"


def test_what_moves_or_was_given_up_is_no_orphan() -> None:
    moved = undeclared_standing(owner="this project", gone="it has no such server", moved_to="new")
    assert (moved.state, moved.detail) == ("changed", "`apply` renames it to new")
    held = undeclared_standing(owner="this project", gone="", moved_to="new", is_held_back=True)
    assert held.detail == "`apply` renames it to new, as soon as nothing else is called so"
    assert undeclared_standing(owner="this project", gone="gone", is_given_up=True).state == "foreign"


def test_every_state_is_one_that_is_told() -> None:
    assert len(set(ENTRY_STATES)) == len(ENTRY_STATES) == 7


@pytest.mark.parametrize(
    ("entry", "mark"),
    [
        (("/s/bin/hatchlock", "run", "--project", "p", "time"), ("", "p", "time")),
        (("/s/bin/hatchlock", "run", "--home", "/h", "--project", "p", "time"), ("/h", "p", "time")),
        (("/s/bin/hatchlock", "run", "time"), None),
        (("/s/bin/other", "run", "--project", "p", "time"), None),
        (("/s/bin/hatchlock", "run", "--project", "p", "time", "--dev"), None),
    ],
)
def test_a_mark_of_any_store_is_read(entry: tuple[str, ...], mark: tuple[str, str, str] | None) -> None:
    found = mark_of(Start(command=entry[0], args=entry[1:]), scope="user")
    expected = Mark(launcher=entry[0], home=mark[0], project=mark[1], server=mark[2]) if mark else None
    assert found == expected


def test_a_mark_in_a_projects_file_names_no_project() -> None:
    found = mark_of(Start(command="hatchlock", args=("run", "time")), scope="project")
    assert found == Mark(launcher="hatchlock", home="", project="", server="time")
    assert mark_of(Start(command="/opt/hatchlock", args=("run", "time")), scope="project") is None
    assert mark_of(Address(url="https://x.example"), scope="user") is None
