"""Which steps begin at the same time: a function of what is ready and what runs."""

from __future__ import annotations

import pytest

from hatchlock.address import Address, ResourceKind
from hatchlock.reconcile.lanes import LANES, startable
from hatchlock.resources.base import Action, Step

ENV, IMAGE, SERVER, SYSTEM, CLIENT = (
    ResourceKind.ENV,
    ResourceKind.IMAGE,
    ResourceKind.SERVER,
    ResourceKind.SYSTEM,
    ResourceKind.CLIENT,
)


def steps(*words: str) -> list[Step]:
    return [Step(address=Address.parse(word), action=Action.CREATE, cause="not found", after="k") for word in words]


def begun(ready: list[str], running: list[ResourceKind], jobs: int = 4) -> list[str]:
    return [str(step.address) for step in startable(steps(*ready), running, jobs=jobs)]


def test_as_many_begin_as_there_are_jobs_in_the_plans_order() -> None:
    ready = ["env:a", "image:b", "server:c"]
    assert begun(ready, [], jobs=2) == ["env:a", "image:b"]
    assert begun(ready, [ENV], jobs=2) == ["env:a"]
    assert begun(ready, [ENV, IMAGE], jobs=2) == []


def test_the_hosts_packages_change_one_at_a_time_and_keep_nobody_else_waiting() -> None:
    assert begun(["system:a", "system:b", "server:c"], []) == ["system:a", "server:c"]
    assert begun(["system:b", "server:c"], [SYSTEM]) == ["server:c"]


@pytest.mark.parametrize("kind", [ENV, IMAGE])
def test_many_jobs_do_not_build_everything_at_once(kind: ResourceKind) -> None:
    ready = [f"{kind}:{number}" for number in range(20)]
    assert len(begun([*ready, "server:x"], [], jobs=50)) == LANES[kind] + 1
    assert begun([*ready, "server:x"], [kind] * LANES[kind], jobs=50) == ["server:x"]


def test_other_kinds_are_bounded_by_jobs_alone() -> None:
    assert len(begun([f"server:{number}" for number in range(20)], [], jobs=16)) == 16


def test_entries_of_applications_come_last_and_one_at_a_time() -> None:
    entries = ["client:cursor/a", "client:cursor/b"]
    assert begun(["server:c", *entries], []) == ["server:c"]
    assert begun(entries, [SERVER]) == []
    assert begun(entries, [CLIENT]) == []
    assert begun(entries, []) == ["client:cursor/a"]


def test_nothing_is_ready() -> None:
    assert begun([], []) == []
