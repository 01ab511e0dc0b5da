"""What a rollback does not bring back is said, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from hatchlock.address import Address
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.resources.base import Desired, Observed
from hatchlock.resources.system_spec import HostPackage, SystemSpec
from hatchlock.resources.target import Target
from hatchlock.resources.world import World
from hatchlock.state.project import ProjectState
from hatchlock.usecases.beyond import beyond_nothing, beyond_return
from hatchlock.usecases.plan import Planned


@pytest.fixture
def state(tmp_path: Path) -> ProjectState:
    return ProjectState(tmp_path / "projects" / "p")


def address(text: str) -> Address:
    return Address.parse(text)


def planned(
    state: ProjectState, *, wanted: tuple[str, ...] = (), there: tuple[str, ...] = (), target: Target | None = None
) -> Planned:
    desired = tuple(Desired(address=address(text), key="1") for text in wanted)
    observed = tuple(Observed(address=address(text), key="1") for text in there)
    plan = diff(desired, observed, forgotten=[item.address for item in observed])
    return Planned(
        plan=plan,
        target=target or Target(project="p"),
        world=cast("World", None),
        state=state,
        interrupted=None,
        desired=desired,
        observed=observed,
    )


def system(*names: str) -> SystemSpec:
    return SystemSpec(
        name="e", packages=tuple(HostPackage(name=name, version="1", sha256="0" * 64) for name in sorted(names))
    )


def leave(state: ProjectState, *names: str) -> None:
    target = {"target": {"systems": [system(*names).to_dict()] if names else []}}
    state.generations.record(lock=b"", manifest=b"", overlay=b"", target=target, facts={"servers": {}})


def said(planned: Planned, number: int, tmp_path: Path) -> list[str]:
    return list(beyond_return(planned, number, Home(root=tmp_path, is_default=False)))


def test_packages_that_later_generations_brought_to_the_host_stay(state: ProjectState, tmp_path: Path) -> None:
    for names in (("jq",), ("jq", "curl"), ("zip",)):
        leave(state, *names)
    target = Target(project="p", systems=(system("jq"),))
    assert said(planned(state, target=target), 1, tmp_path) == ["packages of the host stay: curl, zip"]
    assert said(planned(state, target=target), 2, tmp_path) == ["packages of the host stay: zip"]
    assert said(planned(state, target=target), 3, tmp_path) == []


def test_many_packages_are_named_in_part(state: ProjectState, tmp_path: Path) -> None:
    leave(state)
    leave(state, *"abcdefg")
    assert said(planned(state), 1, tmp_path) == ["packages of the host stay: a, b, c, d, e, …"]


@pytest.mark.parametrize("content", ["{", '{"target": []}', '{"target": {"systems": [5]}}'])
def test_a_later_generation_that_cannot_be_read_says_nothing(state: ProjectState, tmp_path: Path, content: str) -> None:
    leave(state)
    leave(state, "a")
    (state.root / "generations" / "2" / "target.json").write_text(content)
    assert said(planned(state), 1, tmp_path) == []


def test_data_is_told_of_by_what_becomes_of_it(state: ProjectState, tmp_path: Path) -> None:
    wanted, there = ("volume:a/x", "volume:b/x", "server:a"), ("volume:b/x", "volume:c/x", "server:a", "server:c")
    assert said(planned(state, wanted=wanted, there=there), 1, tmp_path) == [
        "volume:c/x was made since; it stays, with what is in it",
        "volume:a/x is gone; it comes back empty",
        "what servers have written into their volumes since stays as it is",
    ]
    assert said(planned(state, wanted=("server:a",), there=("server:a",)), 1, tmp_path) == []


def test_where_nothing_was_before_data_stays(state: ProjectState) -> None:
    left = planned(state, there=("volume:c/x", "server:c"))
    assert list(beyond_nothing(left)) == ["volume:c/x stays, with what is in it"]
