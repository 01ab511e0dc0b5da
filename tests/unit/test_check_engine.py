"""Which servers an engine cannot serve, and what is said of it before anything is planned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hatchlock.engines.facts import Lack
from hatchlock.launch import LaunchRecord, Mount, Sandbox
from hatchlock.resources.check_engine import check_engine, engine_notes
from hatchlock.resources.unplaced import EngineElsewhere, EngineUnfit

FATAL = Lack(about="API", what="it refuses containers with a stdin", mend="use another", is_fatal=True)
LIMITS = Lack(about="limits", what="memory would not be limited", mend="start the kernel with control groups")
WARNING = Lack(about="warning", what="bridge-nf-call-iptables is disabled")
HERE, THERE = "unix:///var/run/docker.sock", "ssh://me@build"


def record(engine: str = HERE, **sandbox: Any) -> LaunchRecord:
    return LaunchRecord(
        project="p",
        server="s",
        runtime="container",
        argv=("/bin/server",),
        key="0" * 64,
        engine=engine,
        sandbox=replace(Sandbox(), **sandbox),
    )


def test_an_engine_that_can_serve_nobody_is_refused_with_the_way_out() -> None:
    with pytest.raises(EngineUnfit, match="cannot serve it: it refuses containers with a stdin") as caught:
        check_engine(record(), [LIMITS, FATAL])
    assert caught.value.hint == "use another"


def test_what_is_only_less_is_told_and_refuses_nobody() -> None:
    check_engine(record(), [LIMITS, WARNING])
    assert engine_notes([LIMITS, WARNING]) == ("memory would not be limited; start the kernel with control groups",)


@pytest.mark.parametrize(
    ("sandbox", "needs"),
    [
        ({"mounts": (Mount(source="/data", target="/d"),)}, r"its mounts \(/data\)"),
        ({"mounts": (Mount(source="workspace", target="/d"),)}, r"its mounts \(workspace\)"),
        ({"network": ("api.test:443",)}, "a network that is limited to a list of hosts"),
    ],
)
def test_an_engine_elsewhere_has_nothing_of_this_machine(sandbox: dict[str, Any], needs: str) -> None:
    check_engine(record(**sandbox), [])
    with pytest.raises(EngineElsewhere, match=needs):
        check_engine(record(THERE, **sandbox), [])


@pytest.mark.parametrize("network", ["none", "internet", "host"])
def test_and_serves_all_others(network: str) -> None:
    check_engine(record(THERE, network=(network,)), [])


def test_an_engine_in_a_virtual_machine_shares_no_socket_with_this_one() -> None:
    beside = Lack(about="sockets", what="its containers run on another kernel", mend="use an engine here")
    check_engine(record(mounts=(Mount(source="/data", target="/d"),)), [beside])
    with pytest.raises(EngineElsewhere, match="is in a virtual machine, and cannot have a network that is limited"):
        check_engine(record(network=("api.test:443",)), [beside])
