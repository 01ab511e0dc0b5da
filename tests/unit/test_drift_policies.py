from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hatchlock.address import Address
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.resources.base import Desired, DriftPolicy, Observed
from hatchlock.resources.client import ClientFile, EntrySpec
from hatchlock.resources.drift import Policies
from hatchlock.resources.server import ServerSpec
from hatchlock.resources.target import Target, target_from_dict, target_to_dict
from hatchlock.resources.world import World

SHARED, IMAGE, SESSION = Address.parse("env:shared"), Address.parse("image:c"), Address.parse("container:of-b")
FILE = ClientFile(client="cursor", scope="user", path="/c")


def record(name: str, **values: Any) -> LaunchRecord:
    fixed = {"project": "p", "server": name, "runtime": "process", "argv": ("x",), "key": ""}
    return LaunchRecord(**{**fixed, **values})


SERVERS = (
    ServerSpec(record=record("a"), needs=SHARED),
    ServerSpec(record=record("b", volumes={"/data": "/store/data"}), needs=SHARED),
    ServerSpec(record=record("c", runtime="container", sandbox=Sandbox(network=("internet",))), needs=IMAGE),
)


def policies(**drift: DriftPolicy) -> Policies:
    target = Target(project="p", servers=SERVERS, entries=(EntrySpec(file=FILE, server="b", value={}),), drift=drift)
    containers = SimpleNamespace(server=lambda address: "b" if address == SESSION else "")
    return Policies(target, cast("World", SimpleNamespace(containers=containers)))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("server:b", "ignore"),
        ("client:cursor/b", "ignore"),
        ("volume:b/data@process", "ignore"),
        ("container:of-b", "ignore"),
        ("container:of-nobody", "correct"),
        ("env:shared", "warn"),
        ("server:c", "correct"),
        ("network:hatchlock-p", "correct"),
        ("env:nobodys", "correct"),
    ],
)
def test_what_several_use_is_treated_as_the_strictest_of_them_says(address: str, expected: str) -> None:
    assert policies(a="warn", b="ignore").of(Address.parse(address)) == expected


def test_one_that_says_nothing_wants_what_it_shares_put_right() -> None:
    assert policies(b="ignore").of(SHARED) == "correct"


def test_the_network_is_of_those_who_reach_every_host() -> None:
    assert policies(c="warn").of(Address.parse("network:hatchlock-p")) == "warn"


def test_each_resource_gets_its_policy_and_what_nobody_has_touched_none() -> None:
    (desired,) = policies(b="ignore").desired([Desired(address=Address.parse("server:b"), key="k")])
    touched = Observed(address=SESSION, key="k", drifted=True)
    changed, same = policies(b="ignore").observed([touched, Observed(address=SESSION, key="k")])
    assert (desired.drift, changed.policy, same.policy) == ("ignore", "ignore", "correct")


def test_a_target_without_policies_is_what_it_was_before_there_were_any() -> None:
    assert "drift" not in target_to_dict(Target(project="p"))
    said = Target(project="p", drift={"a": "warn"})
    assert target_from_dict(target_to_dict(said)) == said
