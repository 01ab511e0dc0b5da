"""Which servers and entries keep the names that they had, and which do not."""

from __future__ import annotations

import pytest

from hatchlock.address import Address
from hatchlock.errors import HatchlockError
from hatchlock.reconcile.held import StaysUntil, entries_that_stay, servers_that_wait
from hatchlock.resources.base import Observed, Problem


def at(text: str) -> Address:
    return Address.parse(text)


def seen(text: str, former: str = "", successor: str = "") -> Observed:
    return Observed(
        address=at(text),
        key="k",
        former=at(former) if former else None,
        successor=at(successor) if successor else None,
    )


def blocked(text: str) -> Problem:
    return Problem.of(at(text), HatchlockError())


def waiting(present: list[Observed], *problems: str) -> list[tuple[str, str]]:
    found = servers_that_wait({item.address: item for item in present}, [blocked(text) for text in problems])
    return [(str(item.address), item.what) for item in found]


MOVED = seen("server:q", former="server:p")
ENTRY = seen("client:cursor/p")


@pytest.mark.parametrize("entry", [ENTRY, seen("client:cursor/q", former="client:cursor/p")])
def test_a_server_waits_for_the_application_that_starts_it_by_its_old_name(entry: Observed) -> None:
    assert waiting([MOVED, entry], "client:cursor/q") == [
        ("server:q", "it stays server:p until client:cursor/q can be written")
    ]


@pytest.mark.parametrize(
    ("present", "problems"),
    [
        ([MOVED, ENTRY], ["client:cursor/other"]),
        ([MOVED, ENTRY], ["server:q"]),
        ([MOVED, ENTRY], ["client:zed/q"]),
        ([MOVED], ["client:cursor/q"]),
        ([seen("server:q"), ENTRY], ["client:cursor/q"]),
        ([seen("client:zed/q", former="client:zed/p"), ENTRY], ["client:cursor/q"]),
    ],
)
def test_it_waits_for_nothing_else(present: list[Observed], problems: list[str]) -> None:
    assert waiting(present, *problems) == []


def test_an_entry_stays_with_what_is_to_follow_it() -> None:
    old, alone = seen("client:cursor/p", successor="client:cursor/q"), seen("client:cursor/z")
    present = {item.address: item for item in (old, alone)}
    (found,) = entries_that_stay(present, present, {at("client:cursor/q")})
    assert (found.address, found.code) == (old.address, "stays-until")
    assert found.what == str(StaysUntil(until=at("client:cursor/q"))) == "it stays until client:cursor/q can be written"
    assert list(entries_that_stay(present, present, set())) == []
