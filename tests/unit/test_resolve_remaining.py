from __future__ import annotations

import pytest

from hatchlock.lock.model import Lock
from hatchlock.lock.store import loads
from hatchlock.manifest.edit import remove_server
from hatchlock.resolve.consistent import inconsistencies
from hatchlock.resolve.remaining import without_servers
from support.locks import EVERYTHING, world
from support.source_tree import ROOT

LOCKS = {
    "example": loads((ROOT / "hatch.lock.example").read_bytes()),
    "everything": world().lock(EVERYTHING),
    "first form": loads((ROOT / "fixtures" / "locks" / "v1.lock").read_bytes()),
}


@pytest.mark.parametrize(
    ("lock", "name"),
    [(lock, server.name) for lock in LOCKS.values() for server in lock.servers],
    ids=[f"{title}-{server.name}" for title, lock in LOCKS.items() for server in lock.servers],
)
def test_what_stays_is_as_it_was_and_holds_together(lock: Lock, name: str) -> None:
    left = without_servers(lock, {name})
    assert [item.name for item in left.servers] == [item.name for item in lock.servers if item.name != name]
    assert inconsistencies(left) == inconsistencies(lock)
    for what in ("packages", "archives", "images", "builds", "environments", "surfaces"):
        assert set(map(repr, getattr(left, what))) <= set(map(repr, getattr(lock, what)))
    shared = [item for item in lock.environments if not item.private]
    assert [item for item in left.environments if not item.private] == shared


def test_without_all_there_is_nothing_but_what_is_shared() -> None:
    lock = world().lock(EVERYTHING.replace("[environments.shared]", "[environments.other]").replace("shared", "other"))
    left = without_servers(lock, {item.name for item in lock.servers})
    assert (left.servers, left.images) == ((), ())
    assert [item.name for item in left.environments] == ["other"]
    assert {item.name for item in left.packages} == {"demo-core", "demo-lib", "demo-server"}


def test_it_is_what_locking_gives_where_nothing_is_shared() -> None:
    found = world()
    lock = found.lock(EVERYTHING)
    found.asked.clear()
    for name in ("demo", "boxed", "shop", "host"):
        assert without_servers(lock, {name}) == found.lock(remove_server(EVERYTHING, name), lock)
    assert found.asked == []


def test_a_server_that_it_does_not_have_changes_nothing() -> None:
    lock = LOCKS["example"]
    assert without_servers(lock, {"nobody"}) == lock
